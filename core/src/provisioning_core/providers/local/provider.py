"""The provider `local`: machines on this machine, for trying things out and for tests.

Networks are records, made here; servers are made by the machine room (`room`). Reading and deleting need no room.
"""

from __future__ import annotations

import builtins
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from ...capabilities import PlanInfo, PowerAction
from ...errors import ProviderError
from ...provider import Created, Kind, Resource, Wish
from ...yamlfile import shown, suggestion
from . import changing, images, processes, terms, vm
from .describing import described
from .door import ask_room, room_of
from .registry import Isolation, Record, Registry, check_name, decode_record, new_record
from .removal import remove_tree
from .running import end_machine, wait_for_ssh
from .vmhost import VmHost, vm_host

_LEVELS = ("process", "namespace", "image", "vm")
_ROOM_ENDS_S = 10.0


class LocalProvider:
    """Machines of one workspace, all they are lies in <workspace>/.provisioning/local.

    isolation: "namespace" (Linux: own hostname, processes, file system, network), "image" (these, and packages, users
    and services as on any server), "vm" (qemu, see `vmhost`), "process" (a plain process with a directory of its own),
    or None: "image" where a server's spec has an `image`, else "namespace" or "process", what this host allows;
    `PROVISIONING_LOCAL_ISOLATION` says the same, and counts before the settings. What is shared with the host is in the
    attribute `shared_with_host`.
    """

    name = "local"
    capabilities = terms.CAPABILITIES

    def __init__(
        self, workspace: Path, settings: Mapping[str, Any] = {}, *, isolation: Isolation | None = None
    ) -> None:
        self.workspace = Path(workspace)
        wanted = isolation or os.environ.get("PROVISIONING_LOCAL_ISOLATION") or settings.get("isolation") or None
        if wanted not in (*_LEVELS, None):
            raise ProviderError(
                f"cannot separate machines by the isolation {shown(wanted)}.{suggestion(wanted, _LEVELS)}".rstrip("."),
                code="unknown_isolation",
                hint=f"accepted: {', '.join(_LEVELS)}",
                retryable=False,
            )
        self._isolation = cast("Isolation | None", wanted)
        self._settings = settings
        self._registry = Registry(self.workspace)

    def create(self, wish: Wish, *, announce: Callable[[Resource], None] = lambda _: None) -> Created:
        check_name(wish)  # here already: no room is started for a wish that it will refuse
        self._check(wish.kind, wish.spec)
        if wish.kind == "network":
            return self._create_network(wish, announce)
        level = self._level(wish)
        if level == "vm":
            told = lambda record: announce(self._resource(record))  # noqa: E731
            record, created, restarted = vm.create(self._registry, wish, self._vm_host(), told)
            return Created(self._resource(record), created, restarted)
        image = images.ready(wish.spec.get("image"), self._settings, self.workspace) if level == "image" else None
        request = {"create": asdict(wish), "isolation": level, "image": asdict(image) if image else None}
        answer = ask_room(self.workspace, request, lambda fields: announce(self._resource(decode_record(fields))))
        record = decode_record(answer["done"])
        wait_for_ssh(record)
        if record.isolation == "process":
            shared = ", ".join(record.shared_with_host)
            sys.stderr.write(f"warning: server {record.name!r} is a plain process: it shares {shared} with this host\n")
        if record.network_refusal:
            sys.stderr.write(f"warning: server {record.name!r} reaches no other server: {record.network_refusal}\n")
        if record.spec.get("firewall"):
            sys.stderr.write(f"warning: server {record.name!r} has firewall rules, which are not enforced here\n")
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
                end_machine(record)
            self._registry.remove(record)
            if kind == "server":
                self._registry.write_known_hosts()
            last = kind == "server" and not self._registry.all("server")
        if last:
            processes.wait_gone(room_of(self._registry), timeout_s=_ROOM_ENDS_S)
        return True

    def normalize(self, kind: Kind, spec: Mapping[str, Any]) -> dict[str, Any]:
        self._check(kind, spec)
        return terms.normalize(kind, spec, imaged=self._imaged())

    def update(self, id: str, wish: Wish) -> Resource:
        self._check(wish.kind, wish.spec)
        return self._resource(changing.update(self.workspace, id, wish, self._vm_host, imaged=self._imaged()))

    def power(self, id: str, action: PowerAction) -> Resource:
        return self._resource(changing.power(self.workspace, id, action, self._vm_host))

    def zones(self) -> builtins.list[str]:
        return [terms.ZONE]

    def plans(self, zone: str | None = None) -> builtins.list[PlanInfo]:
        return [*terms.PLANS]

    def images(self) -> builtins.list[str]:
        return images.names(self._settings)

    def check(self) -> builtins.list[tuple[str, bool, str]]:
        """Each level: whether it can be had here, and in words what it is or what is missing. Each is tried."""
        from . import levels

        return levels.probe(self.workspace, self._settings)

    def _check(self, kind: Kind, spec: Mapping[str, Any]) -> None:
        terms.check(kind, spec, self.images(), scripts_only=self._isolation != "vm")

    def _vm_host(self) -> VmHost:
        return vm_host(self.workspace, self._settings)

    def _imaged(self) -> bool:
        return self._isolation in (None, "image")

    def _level(self, wish: Wish) -> Isolation | None:
        """None: the best that the host allows, of those that need no image."""
        level = self._isolation or ("image" if wish.spec.get("image") else None)
        if level == "image" and not processes.LINUX:
            raise ProviderError(
                f"cannot create server {wish.name!r} from an image: {sys.platform} has no namespaces",
                code="isolation_unavailable",
                hint="leave `image` out",
                retryable=False,
            )
        return level

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
        return described(self._registry, record, imaged=self._imaged())


def destroy(workspace: Path) -> None:
    """Everything that the provider `local` has ever made in this workspace: machines, room, disks, keys, records."""
    registry = Registry(Path(workspace))
    if not registry.root.is_dir():
        return
    with registry.locked("start.lock"), registry.locked():
        records = registry.all("server")
        for record in records:
            end_machine(record)
        room = room_of(registry)
        if not processes.end(room, (signal.SIGTERM, signal.SIGKILL), grace_s=_ROOM_ENDS_S):
            raise ProviderError(f"cannot end the machine room of {workspace}, process {room}")
        remove_tree(registry.root)
    try:
        registry.root.parent.rmdir()
    except OSError:
        pass  # others keep something there
