"""Changes of a machine that exists: its fields, and its power. Each may be repeated, whatever was killed in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...capabilities import PowerAction
from ...errors import ProviderError
from ...provider import Kind, Wish
from . import processes, vm
from .door import ask_room, room_of
from .registry import Record, Registry, decode_record
from .running import STOP_S, end_machine, wait_for_ssh
from .terms import CAPABILITIES, normalize
from .vmhost import VmHost

_IN_RECORD = ("plan", "cpus", "memory_gb", "disk_gb", "ssh_keys", "storages")


Host = Callable[[], VmHost]
"""What virtual machines need, only asked for where it is one. Raises ProviderError."""


def update(workspace: Path, id: str, wish: Wish, host: Host, *, imaged: bool) -> Record:
    """The record comes first; what it wishes is then brought about, also by whoever repeats a killed update."""
    registry = Registry(workspace)
    with registry.locked():
        record = _must_get(registry, wish.kind, id)
        before, after = (normalize(wish.kind, spec, imaged=imaged) for spec in (record.spec, wish.spec))
        different = _different(before, after)
        _check_effects(record, different)
        restarts = bool(
            {"storages", "plan"} & set(different) if record.isolation == "vm" else {"storages"} & set(different)
        )
        kept = {name: value for name, value in record.spec.items() if name not in _IN_RECORD}
        given = {name: wish.spec[name] for name in _IN_RECORD if wish.spec.get(name) is not None}
        labels = dict(wish.labels) | {"key": record.key, "intent": record.intent}
        running = wish.kind == "server" and processes.alive(record.process)
        # Two in one: a record that is written says "not yet as it wishes" until the machine has been started with it.
        record = replace(record, spec=kept | given, labels=labels, pending=record.pending or (restarts and running))
        registry.write(record)
        if record.pending and running:
            _stop(registry, record)
    if record.pending:
        return start(workspace, id, host)
    if running and record.isolation != "vm":
        ask_room(workspace, {"keys": id}, lambda _: None)
        return _must_get(registry, wish.kind, id)
    return record


def power(workspace: Path, id: str, action: PowerAction, host: Host) -> Record:
    if action == "start":
        return start(workspace, id, host)
    registry = Registry(workspace)
    with registry.locked():
        record = _must_get(registry, "server", id)
        if processes.alive(record.process):
            _stop(registry, record)
        last = not any(processes.alive(each.process) for each in registry.all("server"))
    if action == "reboot":
        return start(workspace, id, host)
    if last:
        processes.wait_gone(room_of(registry), timeout_s=STOP_S)
    return record


def start(workspace: Path, id: str, host: Host) -> Record:
    registry = Registry(workspace)
    if _must_get(registry, "server", id).isolation == "vm":
        return vm.start_again(registry, id, host())
    record = decode_record(ask_room(workspace, {"start": id}, lambda _: None)["done"])
    wait_for_ssh(record)
    return record


def _stop(registry: Registry, record: Record) -> None:
    if record.isolation == "vm":
        vm.power_down(registry.home("server", record.id), record.process)
    end_machine(record, politely=True)


def _different(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """user data: what was run cannot be run again. disk_gb, image: where the wish says nothing, anything will do."""
    names = dict.fromkeys([*before, *after])
    silent = {name for name in ("disk_gb", "image", "plan", "cpus", "memory_gb") if after.get(name) is None}
    return [name for name in names if name not in silent and before.get(name) != after.get(name)]


def _check_effects(record: Record, different: list[str]) -> None:
    fixed = [name for name in different if CAPABILITIES.effect(record.kind, name) == "replace"]
    if record.isolation == "vm":  # cloud-init reads them once, and a disk in use keeps its size
        fixed += [name for name in different if name in ("ssh_keys", "storages", "disk_gb")]
    if fixed:
        raise ProviderError(
            f"{record.kind} {record.name}: {', '.join(fixed)} can't be changed in what exists",
            code="needs_replacement",
            retryable=False,
        )


def _must_get(registry: Registry, kind: Kind, id: str) -> Record:
    record = registry.get(kind, id)
    if record is None:
        raise ProviderError(f"there is no {kind} {id!r}", code="not_found", retryable=False)
    return record
