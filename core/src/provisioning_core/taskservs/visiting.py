"""A visit to one server about one taskserv: the look, the marks, the doing, the waiting for health."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..errors import ProviderError, ProvisioningError, UsageError
from ..extras import install_line
from ..provider import Resource
from ..providers.openssh import ssh_command
from .deployed import Deployed
from .health import ask, wait_healthy
from .marker import Marker, digest, remove_marker, write_marker
from .offers import Look, check_needs, check_supported, look
from .proxying import Loan
from .remote import Remote, connected
from .server import Server
from .wish import Reveal, Wish

Verb = Literal["install", "remove"]


@dataclass(frozen=True, slots=True)
class First:
    """What the first look has shown. why: what is to be done and for what reason."""

    look: Look
    marker: Marker | None
    holds: bool
    why: str


class Visit:
    """To one server, about one taskserv."""

    def __init__(self, wish: Wish, server: Resource, reveal: Reveal, tell: Callable[[str], None]) -> None:
        self.wish = wish
        self.manifest = wish.taskserv.manifest
        self.attributes = server.attributes
        self.ssh: Mapping[str, Any] = self.attributes["ssh"]
        self.params: dict[str, Any] = dict(wish.params)
        self._reveal = reveal
        self._tell = lambda text: tell(reveal.hidden(text))

    def reveal(self) -> None:
        self.params = self.manifest.revealed(self.wish.params, self._reveal)

    def without_secrets(self) -> None:
        """For a removal: what is removed needs no password, and its secret may be gone already."""
        hidden = {each.name: None for each in self.manifest.parameters if each.holds_secrets}
        self.params |= hidden

    def hiding(self) -> Hiding:
        return Hiding(self._reveal)

    async def look(self) -> First:
        async with connected(self.ssh) as remote:
            seen = await look(remote, self.attributes)
            marker = seen.markers.get(self.wish.name)
            if marker is None:
                return First(seen, None, False, "installing")
            if not marker.done:
                return First(seen, marker, False, "an earlier attempt did not come to its end: applying again")
            differences = marker.differences(self.wish.version, self.params, self.wish.taskserv.digest)
            if differences:
                return First(seen, marker, False, f"changed: {', '.join(differences)}; applying")
            health = self.manifest.health
            fault = await ask(remote, health, self.params, self._address()) if health else None
            return First(seen, marker, fault is None, f"is there, but not healthy ({fault}): applying again")

    def apply(self, verb: Verb, seen: Look, *, purge: bool = False) -> Deployed:
        """Refuse, mark, and do it. What comes of it has no secret in it, whatever the taskserv says of itself."""
        deployed = self._apply(verb, seen, purge)
        facts = json.loads(self._reveal.hidden(json.dumps(dict(deployed.facts))))
        return Deployed(facts, tuple(map(self._reveal.hidden, deployed.changed)))

    def _apply(self, verb: Verb, seen: Look, purge: bool) -> Deployed:
        if verb == "install":
            check_supported(self.manifest, self.wish.server, seen, self.attributes)
            check_needs(self.manifest, self.wish.server, seen)
        temporary = asyncio.run(self._begin(seen))
        loan = Loan(self.ssh)
        server = Server(
            self.wish.server,
            self.wish.infra,
            str(self.ssh["user"]),
            self.wish.version,
            seen.offers,
            self.wish.taskserv.folder,
            self._address(),
            _public_key(self.ssh),
            self._tell,
            loan.url,
            lambda: asyncio.run(self._knock()),
        )
        try:
            if self.manifest.form == "python":
                try:
                    from .deploying import deploy  # gevent and paramiko: only now, and only in this process
                except ModuleNotFoundError as error:
                    raise UsageError(
                        f"the taskserv {self.manifest.name} needs pyinfra: {error}",
                        code="missing_extra",
                        hint=install_line("taskservs"),
                    ) from error

                arguments = (self.params,) if verb == "install" else (self.params, purge)
                return deploy(self.ssh, server, verb, arguments, sudo=seen.sudo, temporary=temporary)
            if self.manifest.form == "shell":
                return asyncio.run(self._run_script(server, verb, purge))
            from .scripts import run_here

            return run_here(server, ssh_command(self.ssh, ""), verb, self.params, purge=purge)
        finally:
            loan.end()

    async def settle(self, seen: Look, deployed: Deployed) -> Marker:
        """Wait until it is healthy, then write the last mark. Raises ProviderError (`unhealthy`)."""
        async with connected(self.ssh) as remote:
            health = self.manifest.health
            if health is not None:
                deadline_s = health.deadline_s
                fault = await wait_healthy(remote, health, self.params, address=self._address(), deadline_s=deadline_s)
                if fault is not None:
                    raise ProviderError(
                        f"{self.wish.title} is not healthy after {deadline_s:g} s: {fault}", code="unhealthy"
                    )
            installed = await self._installed(remote) or str(deployed.facts.get("version") or self.wish.version)
            facts = {name: value for name, value in deployed.facts.items() if name != "version"}
            marker = replace(self._marker(done=True), installed=installed, facts=facts)
            return await write_marker(remote, seen.directory, marker)

    async def forget(self, seen: Look) -> None:
        async with connected(self.ssh) as remote:
            await remove_marker(remote, seen.directory, self.wish.name)

    async def _knock(self) -> None:
        async with connected(self.ssh) as remote:
            await remote.run("true")

    async def _begin(self, seen: Look) -> str | None:
        """The first mark. Where root is had by sudo: a directory for files on their way, its login's alone."""
        async with connected(self.ssh) as remote:
            await write_marker(remote, seen.directory, self._marker(done=False))
            if not seen.sudo:
                return None
            done = await remote.run(
                'mkdir -p -m 700 "$HOME/.cache/provisioning" && cd "$HOME/.cache/provisioning" && pwd'
            )
            return done.out.strip() or None

    async def _run_script(self, server: Server, verb: Verb, purge: bool) -> Deployed:
        from .scripts import run_on

        async with connected(self.ssh) as remote:
            return await run_on(remote, server, self.manifest, verb, self.params, purge=purge)

    async def _installed(self, remote: Remote) -> str | None:
        """The version of the first of its packages."""
        if not self.manifest.packages:
            return None
        done = await remote.run(f"dpkg-query -W -f '${{Version}}' {self.manifest.packages[0]} 2>/dev/null")
        return done.out.strip() or None

    def _marker(self, *, done: bool) -> Marker:
        wish = self.wish
        return Marker(wish.name, wish.taskserv.name, wish.version, digest(self.params), wish.taskserv.digest, done)

    def _address(self) -> str | None:
        address = self.attributes.get("address")
        return str(address) if address else None


@dataclass
class Hiding:
    """What leaves this block as an error has no secret in its text."""

    reveal: Reveal

    def __enter__(self) -> None: ...

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, ProvisioningError):
            error.message = self.reveal.hidden(error.message)
            error.args = (error.message,)


def _public_key(ssh: Mapping[str, Any]) -> str | None:
    """The public half of the key that we enter with; None where it cannot be read without a password."""
    import asyncssh

    try:
        return asyncssh.read_private_key(str(ssh["identity_file"])).export_public_key().decode().strip()
    except (OSError, asyncssh.KeyImportError):
        return None
