"""What a server is given besides its size: keys, user data, a firewall, storages. Each only where a flag says so."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from ..capabilities import normalized
from ..provider import Provider, Resource
from .suite_ground import SuiteGround

RUN_S = 60.0
_MARK = "a-mark-of-the-suite"


class PartTests(SuiteGround):
    # --- hooks to override -------------------------------------------------------------------------------------------

    def told(self, provider: Provider, resource: Resource, name: str) -> Any:
        """What the cloud knows of that field of the server; None where it can't be known, but by a look inside.

        Override it where the servers of the tests are on paper.
        """
        seen = provider.get("server", resource.id)
        observed = (seen.attributes.get("spec") or {}) if seen is not None else {}
        return None if name not in observed else "" if observed[name] is None else observed[name]

    def run_on(self, resource: Resource, command: str, key: Any = None) -> str | None:
        """What the command prints on the server; None where nobody gets in with that key (asyncssh's; the own one)."""
        return asyncio.run(_run_on(dict(resource.attributes.get("ssh") or {}), command, key))

    # --- tests -------------------------------------------------------------------------------------------------------

    def test_ssh_keys_let_in_who_has_them(self, provider: Provider) -> None:
        self.needs(provider, "ssh_keys")
        import asyncssh

        friend, stranger = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
        public = friend.export_public_key().decode().strip()
        made = provider.create(self.wish("server", spec={**self.spec("server"), "ssh_keys": [public]})).resource
        if (told := self.told(provider, made, "ssh_keys")) is not None:
            assert public in "\n".join(told), "the key was not given to the server"
            return
        self._must_be_inside(made, "ssh_keys")
        assert self.run_on(made, "echo in", friend) is not None, "who has the key is not let in"
        assert self.run_on(made, "echo in", stranger) is None, "who has another key is let in"

    def test_user_data_is_run(self, provider: Provider) -> None:
        self.needs(provider, "user_data")
        script = f'#!/bin/sh\necho {_MARK} > "${{HOME:-/tmp}}/conformance"\n'
        made = provider.create(self.wish("server", spec={**self.spec("server"), "user_data": script})).resource
        if (told := self.told(provider, made, "user_data")) is not None:
            assert _MARK in told, "the user data was not given to the server"
            return
        self._must_be_inside(made, "user_data")
        ends = time.monotonic() + RUN_S
        while _MARK not in (self.run_on(made, "cat ~/conformance /tmp/conformance 2>/dev/null; true") or ""):
            assert time.monotonic() < ends, f"it was not run within {RUN_S:g} s"
            time.sleep(0.1)

    def test_firewall_rules_are_there(self, provider: Provider) -> None:
        self.needs(provider, "firewall")
        self._is_told(provider, "firewall")

    def test_storages_are_there_and_go_with_their_server(self, provider: Provider) -> None:
        self.needs(provider, "storages")
        made = self._is_told(provider, "storages")
        assert provider.delete("server", made.id)
        if "storage" in self.kinds_of(provider):
            assert provider.list("storage") == [], "a part of a server is listed as a storage of its own"

    # --- what they ask -----------------------------------------------------------------------------------------------

    def _is_told(self, provider: Provider, name: str) -> Resource:
        wish = self.wish("server", spec=self.rich_spec(provider, "server"))
        made = provider.create(wish).resource
        told = self.told(provider, made, name)
        if told is None:
            provider.delete("server", made.id)
            pytest.skip(f"flag {name}: it is not observed, and the hook `told` is not overridden")
        assert told == normalized(provider, "server", wish.spec)[name], f"{name} is not as wished"
        return made

    def _must_be_inside(self, made: Resource, flag: str) -> None:
        if self.run_on(made, "echo in") is None:
            pytest.skip(f"flag {flag}: nobody can look into its servers; override the hook `told` or `run_on`")


async def _run_on(ssh: dict[str, Any], command: str, key: Any) -> str | None:
    import asyncssh

    keys = [key if key is not None else ssh.get("identity_file")]
    try:
        async with asyncssh.connect(
            ssh["host"], ssh["port"], username=ssh["user"], client_keys=keys, known_hosts=None, config=None,
            agent_path=None, connect_timeout=10, login_timeout=10,
        ) as connection:  # fmt: skip
            done = await connection.run(command, check=False)
            return str(done.stdout)
    except (KeyError, OSError, asyncssh.Error):
        return None
