"""What is behind the servers of the doubles `aws` and `hetzner`: nothing, or machines of the provider `local`.

`GET /_double/machines` at the double's port says where each is reached: {server id: {"host", "port", "user"}}.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from ..provider import Resource
from .http import Answer, Request, Route
from .upcloud.account import Account
from .upcloud.machines import LocalMachines, NoMachines

Backed = Literal["none", "local"]


class Addresses(NamedTuple):
    """public: for this host. private: for its neighbours."""

    public: str
    private: str


class Backing:
    """Servers and networks by the double's own ids."""

    def __init__(self, directory: Path, backed: Backed) -> None:
        self._networks = _Networks()
        self.real = backed == "local"
        account = cast(Account, self._networks)
        self._machines = LocalMachines(directory, account) if self.real else NoMachines()
        self._servers: dict[str, dict[str, Any]] = {}
        self._places: dict[str, dict[str, Any]] = {}
        self._resting: set[str] = set()
        for machine in self._machines.left():
            self._find_again(machine)

    def create(self, id: str, name: str, keys: Sequence[str], network: tuple[str, str] | None) -> Addresses | None:
        """Where it is reached; None where nothing is behind it. network: id and range."""
        record: dict[str, Any] = {"uuid": id, "title": name, "hostname": name, "_ssh_keys": list(keys)}
        if network:
            self._networks.ranges[network[0]] = network[1]
        self._servers[id] = record | {"_interfaces": [{"type": "private", "network": network[0]}] if network else []}
        place = self._machines.create(self._servers[id])
        if place is None:
            return None
        self._places[id] = {name: place[name] for name in ("host", "port", "user")}
        return Addresses(str(place["host"]), str(place["private"]))

    def has(self, id: str) -> bool:
        return id in self._servers

    def go_on(self, id: str, name: str, keys: Sequence[str], network: tuple[str, str] | None) -> Addresses | None:
        """As `create`, after a kill: that may have come before the machine, or before its login keys.

        One that does not run gets them when it is switched on; None then.
        """
        if id not in self._resting:
            return self.create(id, name, keys, network)
        self._servers[id] |= {"_ssh_keys": list(keys), "_interfaces": []}
        return None

    def _find_again(self, machine: Resource) -> None:
        """It was made for an earlier double of this directory, which was killed or has kept it."""
        if machine.state == "stopped":
            self._resting.add(machine.key)
        self._servers[machine.key] = {"uuid": machine.key, "title": machine.name, "hostname": machine.name}
        ssh = machine.attributes["ssh"]
        if ssh["host"]:
            self._places[machine.key] = {name: ssh[name] for name in ("host", "port", "user")}

    def ready(self, id: str) -> bool:
        return id not in self._servers or self._machines.ready(self._servers[id])

    def power(self, id: str, on: bool) -> None:
        if on and id in self._resting and "_ssh_keys" in self._servers[id]:
            self._resting.discard(id)
            self._machines.create(self._servers[id])  # which starts it, and lets in whom it is to let in
        elif id in self._servers:
            self._machines.power(self._servers[id], on)

    def delete(self, id: str) -> None:
        if record := self._servers.pop(id, None):
            self._machines.delete(record)
        self._places.pop(id, None)

    def close(self, *, remove: bool) -> None:
        self._machines.close(remove=remove)

    def route(self) -> Route:
        def show(_: Request) -> Answer:
            return Answer(200, dict(self._places))

        return Route("GET", "/_double/machines", show)


class _Networks:
    """What LocalMachines asks of an account: a network's range."""

    def __init__(self) -> None:
        self.ranges: dict[str, str] = {}

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        yield

    def get(self, _kind: str, id: str) -> dict[str, Any]:
        return {"uuid": id, "_cidr": self.ranges[id]}
