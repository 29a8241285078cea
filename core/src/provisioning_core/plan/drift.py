"""Drift: what is otherwise than it was left, behind our back. The definition, the inventory and the providers compared.

gone        the inventory has it, no provider does (or another one of that key is there)
changed     the provider shows other fields than were last wished for (of what was adopted: than were seen then), and
            than are defined now
unlabelled  it is there and has lost our labels, so that a create would make another one
stopped     a server that is there and does not run
unfinished  a server whose making was never seen to end
broken      a server in error at its provider, which nobody can start
unmanaged   it has our labels, and neither definition nor inventory know it
unrecorded  it is defined and there, and only the inventory does not know it
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from ..clouds import Clouds, Found
from ..errors import NotFoundError
from ..infra import Infra, load_infra
from ..inventory import Entry
from ..provider import Kind
from .comparing import differences, state_change, wish_in_terms
from .disowned import disowned
from .model import FieldChange

Sort = Literal["gone", "unlabelled", "changed", "stopped", "unfinished", "broken", "unmanaged", "unrecorded"]
KINDS: tuple[Kind, ...] = ("network", "server")


@dataclass(frozen=True, slots=True)
class Drift:
    """fields: before is as it was wished, after is as it is. heals: what to type to make it good."""

    sort: Sort
    kind: str
    name: str
    key: str
    provider: str
    id: str
    fields: tuple[FieldChange, ...] = ()
    heals: str = ""


def find_drift(clouds: Clouds, infra: str) -> list[Drift]:
    """In the order of the keys, networks first. Raises NotFoundError where nothing knows the infrastructure."""
    try:
        definition: Infra | None = load_infra(clouds.workspace, infra)
    except NotFoundError:
        if infra not in clouds.inventory.infras():
            raise
        definition = None
    found: list[Drift] = []
    for kind in KINDS:
        there = {(each.provider, each.resource.key): each for each in clouds.list(kind, infra, definition=definition)}
        entries = {entry.key: entry for entry in clouds.inventory.all(infra, kind)}
        wishes = _wishes(clouds, definition, kind)
        lost = disowned(clouds, kind, [each for key, each in entries.items() if (each.provider, key) not in there])
        for entry in entries.values():
            if entry.key in lost:
                found.append(_unlabelled(infra, entry, entry.key in wishes))
                continue
            at = there.get((entry.provider, entry.key))
            found += _remembered(clouds, infra, entry, at, wishes.get(entry.key), definition is not None)
        for each in there.values():
            entry_there = entries.get(each.resource.key)
            if entry_there is None or entry_there.provider != each.provider:
                found += _not_remembered(clouds, infra, each, wishes.get(each.resource.key))
    servers = {entry.id for entry in clouds.inventory.all(infra, "server")} - {
        one.id for one in found if one.sort == "gone"
    }
    found += _lost_services(clouds, infra, servers)
    return found


def _wishes(clouds: Clouds, infra: Infra | None, kind: Kind) -> dict[str, tuple[str, dict[str, Any]]]:
    """By key, the provider and the wish in its terms."""
    if infra is None:
        return {}
    return {
        clouds.workspace.key(infra.name, kind, each.name): (
            each.provider,
            wish_in_terms(clouds.load(each.provider), kind, each.spec(), each.labels),
        )
        for each in (infra.servers if kind == "server" else infra.networks)
    }


def _unlabelled(infra: str, entry: Entry, defined: bool) -> Drift:
    heals = f"provisioning server import {infra}/{entry.name} --id {entry.id}"
    heals = heals if defined and entry.kind == "server" else ""  # nothing else can be adopted
    return Drift("unlabelled", entry.kind, entry.name, entry.key, entry.provider, entry.id, (), heals)


def _remembered(
    clouds: Clouds,
    infra: str,
    entry: Entry,
    found: Found | None,
    wanted: tuple[str, dict[str, Any]] | None,
    defined: bool,
) -> Iterator[Drift]:
    again = f"provisioning infra create {infra}"
    if found is None or found.resource.id != entry.id:
        # Defined no more, it has only to be forgotten: a create does that too, where there is a file.
        heals = again if defined else f"provisioning infra inventory rebuild {infra}"
        yield Drift("gone", entry.kind, entry.name, entry.key, entry.provider, entry.id, (), heals)
        return
    wish = entry.wish or _seen(entry)
    if wish is not None:
        # What was last wished is compared with what is: a definition that was changed since is a plan, no drift.
        provider = clouds.load(entry.provider)
        fields = differences(provider, _complete(wish), found.resource, None)
        if wanted is not None and wanted[0] == entry.provider:
            # A field that is as it is defined now has nothing left to heal: an update that was killed before it could
            # be written down, or a definition that has followed the world.
            left = {each.path for each in differences(provider, wanted[1], found.resource, entry)}
            fields = tuple(each for each in fields if each.path in left)
        shown = tuple(FieldChange(each.path, each.after, each.before, each.effect) for each in fields)
        if shown:
            replacing = any(each.effect == "replace" for each in fields)
            heals = f"{again} --confirm={infra}" if replacing else again
            yield _drift("changed", found, shown, heals)
    yield from _not_running(infra, found, entry, wanted is not None)


def _not_running(infra: str, found: Found, entry: Entry | None, defined: bool) -> Iterator[Drift]:
    """Nothing of a server that can be used. defined: a create makes it again; else it only takes it away."""
    lacks = state_change(found.resource, entry) if found.resource.kind == "server" else None
    if lacks is None:
        return
    again, taking = f"provisioning infra create {infra}", f"provisioning infra create {infra} --confirm={infra}"
    state = (FieldChange("state", "started", lacks.before, lacks.effect),)
    if lacks.before == "error":
        yield _drift("broken", found, state, taking)
    elif lacks.before == "creating":
        yield _drift("unfinished", found, state, again if defined else taking)
    else:
        yield _drift("stopped", found, state, f"provisioning server start {infra}/{found.resource.name}")


def _seen(entry: Entry) -> dict[str, Any] | None:
    """What was there when it was written down: nobody wished for what was adopted. How it is defined is a plan's."""
    seen = {name: entry.attributes[name] for name in ("spec", "labels") if entry.attributes.get(name) is not None}
    return seen or None


def _complete(wish: Any) -> dict[str, Any]:
    return {"spec": wish.get("spec") or {}, "labels": wish.get("labels") or {}}


def _not_remembered(
    clouds: Clouds, infra: str, found: Found, wanted: tuple[str, dict[str, Any]] | None
) -> Iterator[Drift]:
    if wanted is not None and wanted[0] == found.provider:
        yield _drift("unrecorded", found, (), f"provisioning infra inventory rebuild {infra}")
        yield from _not_running(infra, found, None, True)
    else:
        yield _drift("unmanaged", found, (), f"provisioning infra create {infra} --confirm={infra}")


def _lost_services(clouds: Clouds, infra: str, servers: set[str]) -> Iterator[Drift]:
    for entry in clouds.inventory.all(infra, "taskserv"):
        if entry.id and entry.id not in servers:
            heals = f"provisioning infra create {infra}"
            yield Drift("gone", entry.kind, entry.name, entry.key, entry.provider, entry.id, (), heals)


def _drift(sort: Sort, found: Found, fields: tuple[FieldChange, ...], heals: str) -> Drift:
    resource = found.resource
    return Drift(sort, resource.kind, resource.name, resource.key, found.provider, resource.id, fields, heals)
