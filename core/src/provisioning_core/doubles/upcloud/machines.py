"""What is behind the double's servers: nothing, or machines of the provider `local`, so that SSH works end to end.

The machines live in `<state directory>/machines`, a workspace of their own. A server's public address is then the
loopback address at which this host reaches the machine. Its port is rarely 22 (an ordinary user may not listen
there), so the server's details have one field that UpCloud's do not: `"_double": {"ssh": {"host", "port", "user"} |
null}`; null: nothing is behind it. Our provider reads it only where the API itself is on loopback. The keys of the
create's `login_user` are put into the machine's authorized_keys; the firewall and further disks are not made real.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from ...capabilities import Powering
from ...errors import ProvisioningError
from ...login import login
from ...provider import Resource, Wish
from .account import Account, Record

_INFRA = "double"
_ANNOUNCED_S = 60.0
_CONNECT_S = 20.0
_WRITE_KEYS = """
umask 077; mkdir -p ~/.ssh && cd ~/.ssh && touch authorized_keys || exit
while IFS= read -r key; do grep -qxF -e "$key" authorized_keys || printf '%s\\n' "$key" >> authorized_keys; done
"""


class NoMachines:
    """Servers that only their records know: a create costs a millisecond."""

    def create(self, server: Record) -> dict[str, Any] | None:
        return None

    def ready(self, server: Record) -> bool:
        return True

    def there(self, server: Record) -> bool:
        return True

    def left(self) -> list[Resource]:
        return []

    def power(self, server: Record, on: bool) -> None:
        pass

    def delete(self, server: Record) -> None:
        pass

    def close(self, *, remove: bool) -> None:
        pass


class LocalMachines:
    """One machine of the provider `local` per server."""

    def __init__(self, directory: Path, account: Account) -> None:
        self.workspace = directory / "machines"
        self.workspace.mkdir(parents=True, exist_ok=True)
        self._account = account
        self._making: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()

    def create(self, server: Record) -> dict[str, Any] | None:
        """Waits until the machine's place is known; the machine goes on being made."""
        known = threading.Event()
        place: dict[str, Any] = {}

        def announce(resource: Resource) -> None:
            if not place and resource.attributes["ssh"]["host"]:
                ssh = resource.attributes["ssh"]
                place.update(
                    host=ssh["host"], port=ssh["port"], user=ssh["user"], private=resource.attributes["address"]
                )
            known.set()

        def make() -> None:
            try:
                made = self._provider().create(self._wish(server), announce=announce)
                announce(made.resource)
                _let_in(made.resource, server["_ssh_keys"])
            except (ProvisioningError, OSError) as error:
                server.update(state="error", _next=None)
                sys.stderr.write(f"server {server['title']}: {error}\n")
            known.set()

        with self._lock:
            thread = threading.Thread(target=make, name=f"machine {server['uuid']}", daemon=True)
            self._making[server["uuid"]] = thread
        thread.start()
        known.wait(_ANNOUNCED_S)
        return place or None

    def ready(self, server: Record) -> bool:
        thread = self._making.get(server["uuid"])
        return thread is None or not thread.is_alive()

    def there(self, server: Record) -> bool:
        there = self._provider().find("server", key=server["uuid"]) is not None
        if not there and server.get("_ssh"):
            sys.stderr.write(f"server {server['title']}: its machine is gone, nobody can log in to it any more\n")
        return there

    def left(self) -> list[Resource]:
        """All that an earlier double of this directory has left; the key of each is its server's id."""
        machines: list[Resource] = self._provider().list("server")
        return machines

    def power(self, server: Record, on: bool) -> None:
        """As far as the provider `local` can: a machine that it cannot stop goes on running."""
        provider = self._provider()
        machine = provider.find("server", key=server["uuid"])
        if machine is not None and isinstance(provider, Powering):
            provider.power(machine.id, "start" if on else "stop")

    def delete(self, server: Record) -> None:
        if thread := self._making.pop(server["uuid"], None):
            thread.join(_ANNOUNCED_S)
        provider = self._provider()
        if machine := provider.find("server", key=server["uuid"]):
            provider.delete("server", machine.id)

    def close(self, *, remove: bool) -> None:
        for thread in list(self._making.values()):
            thread.join(_ANNOUNCED_S)
        if remove:
            from ...providers.local import destroy

            destroy(self.workspace)

    def _provider(self) -> Any:
        from ...providers.local import LocalProvider

        return LocalProvider(self.workspace)

    def _wish(self, server: Record) -> Wish:
        network = self._network(server)
        spec: dict[str, Any] = {"plan": "1cpu-1gb"} | ({"network": network} if network else {})
        intent = str(uuid5(NAMESPACE_URL, server["uuid"]))
        name = server["hostname"].partition(".")[0].lower()
        return Wish("server", server["uuid"], intent, _INFRA, name, spec)

    def _network(self, server: Record) -> str | None:
        """The local network that stands for the server's first private one; made where there is none."""
        uuids = [each["network"] for each in server["_interfaces"] if each["type"] == "private"]
        if not uuids:
            return None
        with self._account.locked():
            record = self._account.get("network", uuids[0])
        name = f"n{record['uuid'][-12:]}"
        intent = str(uuid5(NAMESPACE_URL, record["uuid"]))
        spec: Mapping[str, Any] = {"cidr": record["_cidr"]}
        self._provider().create(Wish("network", record["uuid"], intent, _INFRA, name, spec))
        return name


def _let_in(machine: Resource, keys: list[str]) -> None:
    """As cloud-init does it: who has one of these keys may come in."""
    if keys:
        asyncio.run(_write_keys(machine.attributes["ssh"], "".join(f"{key.strip()}\n" for key in keys)))


async def _write_keys(ssh: Mapping[str, Any], lines: str) -> None:
    import asyncssh

    connection = asyncssh.connect(**login(ssh, _CONNECT_S))
    try:
        async with connection as open_connection:
            await open_connection.run(_WRITE_KEYS, input=lines, check=True)
    except asyncssh.Error as error:
        raise OSError(f"cannot put the login keys into it: {error}") from error
