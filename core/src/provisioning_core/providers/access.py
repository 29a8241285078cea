"""How a workspace gets into servers at clouds: one key pair for all of them, one known_hosts file for each.

    <workspace>/.provisioning/keys/id_ed25519, .pub     made when first needed; the public half goes to the clouds
    <workspace>/.provisioning/hosts/<provider>-<id>     the server's host key, as it was at the first login

An address may be given to another server later, an id never: so a new server is never taken for an impostor, nor an
impostor for the old one. The first login trusts the key that it is shown: clouds tell nobody what it should be.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ProviderError

_ANSWER_S = 10.0


def workspace_key(workspace: Path) -> str:
    """The public key, one line. Two processes that need it first at the same moment get the same one."""
    private = _identity(workspace)
    public = private.with_name(f"{private.name}.pub")
    private.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (private.parent / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not public.exists():  # written last: where it is, the private half is whole
            _make_pair(private, public)
        return public.read_text("utf-8").strip()


def ssh_of(workspace: Path, provider: str, id: str, *, host: str, port: int, user: str) -> dict[str, Any]:
    """The attribute `ssh` of a server."""
    known_hosts = Path(workspace).absolute() / ".provisioning" / "hosts" / f"{provider}-{id}"
    files = {"identity_file": str(_identity(workspace)), "known_hosts_file": str(known_hosts)}
    return {"host": host, "port": port, "user": user} | files


def wait_for_ssh(ssh: Mapping[str, Any], *, name: str, deadline_s: float, poll_s: float) -> None:
    """Return when one can log in. Raises ProviderError (`no_ssh`), which says what stood in the way at the end."""
    import asyncssh

    ends = time.monotonic() + deadline_s
    while True:
        try:
            asyncio.run(_log_in(ssh))
            return
        except (OSError, asyncssh.Error, TimeoutError) as error:
            if time.monotonic() > ends or isinstance(error, asyncssh.HostKeyNotVerifiable):
                where = f"{ssh['user']}@{ssh['host']}, port {ssh['port']}"
                raise ProviderError(
                    f"server {name!r} lets nobody in by SSH ({where}) after {deadline_s:g} s: {error or 'no answer'}",
                    code="no_ssh",
                    hint="look at its firewall and at its console",
                ) from error
            time.sleep(poll_s)


def forget_host(ssh: Mapping[str, Any]) -> None:
    Path(ssh["known_hosts_file"]).unlink(missing_ok=True)


async def _log_in(ssh: Mapping[str, Any]) -> None:
    import asyncssh

    known = Path(ssh["known_hosts_file"])
    if not known.exists():
        at = (ssh["host"], ssh["port"])
        async with asyncio.timeout(_ANSWER_S):
            key = await asyncssh.get_server_host_key(*at, config=None)
        assert key is not None
        known.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _replace(known, f"[{at[0]}]:{at[1]} {key.export_public_key().decode().strip()}\n".encode())
    async with asyncssh.connect(
        ssh["host"],
        ssh["port"],
        username=ssh["user"],
        client_keys=[ssh["identity_file"]],
        known_hosts=str(known),
        config=None,
        agent_path=None,
        connect_timeout=_ANSWER_S,
        login_timeout=_ANSWER_S,
    ):
        return


def _identity(workspace: Path) -> Path:
    return Path(workspace).absolute() / ".provisioning" / "keys" / "id_ed25519"


def _make_pair(private: Path, public: Path) -> None:
    import asyncssh

    key = asyncssh.generate_private_key("ssh-ed25519", comment="provisioning")
    _replace(private, key.export_private_key())
    _replace(public, key.export_public_key())


def _replace(file: Path, content: bytes) -> None:
    """Whole or not at all, and on the disk: a server may be made with a key that a power cut must not take."""
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as written:
        written.write(content)
        written.flush()
        os.fsync(written.fileno())
    part.replace(file)
