"""The provider `local`: machines on this machine, for trying things out and for tests.

Networks are records, made here; servers are made by the machine room (`room`). Reading and deleting need no room.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from ...errors import ProviderError
from ...provider import Created, Kind, Resource, ServerState, Wish
from . import processes
from .door import ask_room, room_of
from .registry import Isolation, Record, Registry, check_name, decode_record, new_record, remove_tree

_STOP_S = 10.0
_ROOM_ENDS_S = 10.0


class LocalProvider:
    """Machines of one workspace, all they are lies in <workspace>/.provisioning/local.

    isolation: "namespace" (Linux: own hostname, processes, file system, network), "image" (these, and packages, users
    and services as on any server), "process" (a plain process with a directory of its own), or None: "image" where a
    server's spec has an `image`, else the best of the other two that this host allows; `PROVISIONING_LOCAL_ISOLATION`
    says the same. What a server shares with the host is in its attribute `shared_with_host`.
    """

    name = "local"

    def __init__(
        self, workspace: Path, settings: Mapping[str, Any] = {}, *, isolation: Isolation | None = None
    ) -> None:
        self.workspace = Path(workspace)
        wanted = isolation or settings.get("isolation") or os.environ.get("PROVISIONING_LOCAL_ISOLATION") or None
        if wanted not in ("namespace", "process", "image", None):
            raise ProviderError(
                f"cannot separate machines by the isolation {wanted!r}",
                code="unknown_isolation",
                hint="process, namespace or image",
                retryable=False,
            )
        self._isolation = cast("Isolation | None", wanted)
        self._registry = Registry(self.workspace)

    def create(self, wish: Wish, *, announce: Callable[[Resource], None] = lambda _: None) -> Created:
        if wish.kind == "network":
            return self._create_network(wish, announce)
        check_name(wish)  # here already: no room is started for a wish that it will refuse
        request = {"create": asdict(wish), "isolation": self._isolation}
        answer = ask_room(self.workspace, request, lambda fields: announce(self._resource(decode_record(fields))))
        record = decode_record(answer["done"])
        _wait_for_ssh(record)
        if record.isolation == "process":
            shared = ", ".join(record.shared_with_host)
            sys.stderr.write(f"warning: server {record.name!r} is a plain process: it shares {shared} with this host\n")
        if record.network_refusal:
            sys.stderr.write(f"warning: server {record.name!r} reaches no other server: {record.network_refusal}\n")
        return Created(self._resource(record), created=answer["created"], restarted=answer.get("restarted", False))

    def find(self, kind: Kind, *, intent: str | None = None, key: str | None = None) -> Resource | None:
        for record in self._registry.all(kind):
            if intent is not None and record.intent == intent:
                return self._resource(record)
        found = (record for record in self._registry.all(kind) if key is not None and record.key == key)
        return next(map(self._resource, found), None)

    def get(self, kind: Kind, id: str) -> Resource | None:
        record = self._registry.get(kind, id)
        return None if record is None else self._resource(record)

    def list(self, kind: Kind, *, infra: str | None = None) -> list[Resource]:
        return [self._resource(each) for each in self._registry.all(kind) if infra is None or each.infra == infra]

    def delete(self, kind: Kind, id: str) -> bool:
        if not self._registry.root.is_dir():
            return False
        with self._registry.locked():
            self._registry.sweep()
            record = self._registry.get(kind, id)
            if record is None:
                return False
            if kind == "network":
                self._check_unused(record)
            else:
                _end_machine(record)
            self._registry.remove(record)
            if kind == "server":
                self._registry.write_known_hosts()
            last = kind == "server" and not self._registry.all("server")
        if last:
            processes.wait_gone(room_of(self._registry), timeout_s=_ROOM_ENDS_S)
        return True

    def _create_network(self, wish: Wish, announce: Callable[[Resource], None]) -> Created:
        with self._registry.locked():
            self._registry.sweep()
            record = self._registry.find("network", intent=wish.intent, key=wish.key)
            created = record is None
            if record is None:
                record = new_record(self._registry, wish)
                self._registry.write(record)
        resource = self._resource(record)
        announce(resource)
        return Created(resource, created)

    def _check_unused(self, network: Record) -> None:
        users = [each.name for each in self._registry.all("server") if each.network == network.id]
        if users:
            raise ProviderError(
                f"cannot delete network {network.name!r}: {', '.join(users[:10])} still in it",
                code="network_in_use",
                hint="delete its servers first",
            )

    def _resource(self, record: Record) -> Resource:
        state: ServerState = "started"
        attributes: dict[str, Any] = {"labels": record.labels, "created_at": record.created_at}
        if record.kind == "network":
            attributes["cidr"] = record.cidr
        else:
            running = processes.alive(record.process)
            state = "started" if running else "stopped" if record.ready else "creating"
            attributes |= {
                "address": record.address,
                "zone": record.spec.get("zone", "local"),
                "plan": record.spec.get("plan"),
                "hostname": record.name,
                "network": record.spec.get("network"),
                "network_refusal": record.network_refusal,
                "isolation": record.isolation,
                "image": record.image,
                "shared_with_host": list(record.shared_with_host),
                "ssh": {
                    "host": record.ssh_host,
                    "port": record.ssh_port,
                    "user": record.user,
                    "identity_file": str(self._registry.root / "keys/id_ed25519"),
                    "known_hosts_file": str(self._registry.root / "known_hosts"),
                },
            }
        return Resource(
            record.kind, record.id, record.key, record.intent, record.infra, record.name, state, attributes=attributes
        )


def destroy(workspace: Path) -> None:
    """Everything that the provider `local` has ever made in this workspace: machines, room, disks, keys, records."""
    registry = Registry(Path(workspace))
    if not registry.root.is_dir():
        return
    with registry.locked("start.lock"), registry.locked():
        records = registry.all("server")
        for record in records:
            _end_machine(record)
        room = room_of(registry)
        if not processes.end(room, (signal.SIGTERM, signal.SIGKILL), grace_s=_ROOM_ENDS_S):
            raise ProviderError(f"cannot end the machine room of {workspace}, process {room}")
        remove_tree(registry.root)
    try:
        registry.root.parent.rmdir()
    except OSError:
        pass  # others keep something there


def _end_machine(record: Record) -> None:
    """Kill the machine's first process, and with it all the others. Raises ProviderError where it does not end."""
    if record.inside:
        gone = processes.end(record.process, (signal.SIGKILL,), grace_s=_STOP_S)
    else:  # it clears its own sessions away; where it does not, we do
        below = processes.descendants(record.process.pid) if processes.alive(record.process) and record.process else []
        gone = processes.end(record.process, (signal.SIGTERM, signal.SIGKILL), grace_s=_STOP_S)
        for each in below:
            gone = processes.end(each, (signal.SIGKILL,), grace_s=_STOP_S) and gone
    if not gone:
        raise ProviderError(f"cannot stop server {record.name!r}: process {record.process} does not end")


def _wait_for_ssh(record: Record) -> None:
    """Its SSH server says its name, at the place where people will look for it."""
    deadline = time.monotonic() + _STOP_S
    while True:
        try:
            with socket.create_connection((record.ssh_host or "", record.ssh_port), timeout=_STOP_S) as connection:
                if connection.recv(4) == b"SSH-":
                    return
                raise ConnectionError("something else answers")
        except OSError as error:
            if time.monotonic() > deadline or not processes.alive(record.process):
                raise ProviderError(
                    f"server {record.name!r} does not answer at {record.ssh_host}:{record.ssh_port}: {error}"
                ) from error
            time.sleep(0.02)
