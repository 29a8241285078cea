"""What is different between a wish and what exists, field by field, in the provider's terms.

Each field of the wish is compared with what the provider observed, and where it can't observe it, with what the
inventory remembers of the last wish; where neither knows it, it is not compared: a plan never invents a change. What
the wish no longer says, but the last wish did, is a change for those fields whose absence means "none".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..capabilities import Effect, capabilities_of, normalized
from ..inventory import Entry, sealed
from ..names import RESERVED_LABELS
from ..provider import Kind, Provider, Resource
from .model import FieldChange

NONE_WHERE_ABSENT = frozenset({"network", "user_data", "ssh_keys", "firewall", "storages"})
"""Of the other fields (zone, image, disk_gb, …) absence means: whatever the provider gives."""
DIGEST_CHARS = 16
IMPLIED_BY_PLAN = frozenset({"cpus", "memory_gb"})


def wish_in_terms(provider: Provider, kind: Kind, spec: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    """{"spec", "labels"} as the inventory keeps it, and as it is compared. Raises ProviderError (a bad spec)."""
    return {"spec": sealed(normalized(provider, kind, spec)), "labels": dict(labels)}


def differences(
    provider: Provider, wish: Mapping[str, Any], resource: Resource, entry: Entry | None
) -> tuple[FieldChange, ...]:
    """What would have to be changed in the resource. wish: of `wish_in_terms`. entry: the inventory's of that key."""
    last = (entry.wish if entry is not None and entry.id == resource.id else None) or {}
    capabilities = capabilities_of(provider)

    def effect(name: str) -> Effect:
        return capabilities.effect(resource.kind, name) if "update" in capabilities.flags else "replace"

    observed = sealed(resource.attributes.get("spec") or {})
    found = list(_spec_differences(wish["spec"], observed, last.get("spec") or {}, effect))
    labels = resource.attributes.get("labels", last.get("labels"))
    if labels is not None:
        found += _parts("labels", _own(labels), _own(wish["labels"]), effect("labels"))
    return tuple(found)


def state_change(resource: Resource, entry: Entry | None) -> FieldChange | None:
    """What a server lacks to be used; None: nothing. entry: the inventory's of that key.

    A stopped one is started, one whose create was never seen to end is gone on with, whatever the provider calls it.
    One in error nobody can start: it is made again, or comes back by itself.
    """
    unfinished = entry is not None and entry.unfinished(resource)
    state = "creating" if unfinished and resource.state == "started" else resource.state
    if state == "started":
        return None
    return FieldChange("state", state, "started", "replace" if state == "error" else "in_place")


def observation(resource: Resource) -> dict[str, str]:
    """What it is like: a digest per field. The same as long as nobody changes it; tells which fields were changed.

    `state` only of what is in error: that it was so is a reason to replace it, which is gone when it has recovered.
    """
    seen = {**sealed(resource.attributes.get("spec") or {}), "labels": resource.attributes.get("labels")}
    seen |= {"state": "error"} if resource.state == "error" else {}
    return {name: _digest(value) for name, value in seen.items() if value is not None}


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_CHARS]


def _spec_differences(
    wish: Mapping[str, Any], observed: Mapping[str, Any], last: Mapping[str, Any], effect: Any
) -> Iterator[FieldChange]:
    known = {**last, **observed}
    implied = IMPLIED_BY_PLAN if wish.get("plan") is not None and known.get("plan") is not None else frozenset()
    for name in (name for name in dict.fromkeys([*wish, *known]) if name not in implied):
        wanted = wish.get(name)
        if name not in known or _same(known[name], wanted):
            continue
        if name not in wish and (name not in last or name not in NONE_WHERE_ABSENT):
            continue
        yield from _parts(name, known[name], wanted, effect(name))


def _parts(name: str, before: Any, after: Any, effect: Effect) -> Iterator[FieldChange]:
    """One change per part that has a name: a label, a storage; one for all else."""
    first, second = _by_name(before), _by_name(after)
    if first is None or second is None:
        yield FieldChange(name, before, after, effect)
        return
    for part in dict.fromkeys([*first, *second]):
        if first.get(part) != second.get(part):
            yield FieldChange(f"{name}.{part}", first.get(part), second.get(part), effect)


def _by_name(value: Any) -> Mapping[str, Any] | None:
    """By name, where the parts have names; None where it is one thing."""
    if value is None or value in ({}, []):
        return {}
    if isinstance(value, Mapping):
        return value
    if isinstance(value, list | tuple) and all(isinstance(each, Mapping) and "name" in each for each in value):
        return {each["name"]: {part: each[part] for part in each if part != "name"} for each in value}
    return None


def _same(one: Any, other: Any) -> bool:
    """Nothing is nothing, however it is written."""
    return one == other or (one in (None, [], {}) and other in (None, [], {}))


def _own(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if name not in RESERVED_LABELS}
