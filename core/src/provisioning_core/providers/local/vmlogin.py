"""Whether one can log in to a virtual machine, as its owner will."""

from __future__ import annotations

import asyncio

import asyncssh

from .registry import Record, Registry

_TRY_S = 10.0


def answers(registry: Registry, record: Record) -> bool:
    return asyncio.run(_answers(registry, record))


async def _answers(registry: Registry, record: Record) -> bool:
    try:
        async with asyncio.timeout(_TRY_S):  # also of a guest that accepts and then says nothing
            connection = await asyncssh.connect(
                record.ssh_host or "",
                record.ssh_port,
                username=record.user,
                client_keys=[str(registry.root / "keys/id_ed25519")],
                known_hosts=str(registry.root / "known_hosts"),
                config=None,
                agent_path=None,
            )
            async with connection:
                done = await connection.run("true")
    except (OSError, asyncssh.Error, TimeoutError):
        return False
    return done.exit_status == 0
