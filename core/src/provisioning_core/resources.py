"""One network or server at the provider: made, found, deleted, told of. What every operation's leaf does.

The Python operations call these, the Nushell ones reach them through `provisioning vm`: so both libraries do the same.
Changing what exists: `alteration`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast
from uuid import UUID, uuid4

from . import params as check
from .capabilities import Adopting
from .clouds import Clouds
from .errors import UsageError
from .inventory import Entry, Inventory, entry_of, sealed
from .params import Check, check_params
from .plan.comparing import differences, wish_in_terms
from .plan.disowned import disowned, leaving_refused, second_refused
from .plan.model import FieldChange
from .plan.precondition import Begun, check_create, check_delete
from .provider import Created, Kind, Provider, Resource, Wish
from .workspace import Workspace
from .yamlfile import shown

SPECS: Mapping[Kind, Check] = {
    "server": check.SERVER_SPEC,
    "network": check.NETWORK_SPEC,
    "storage": check.STORAGE_SPEC,
}
NAMES: Mapping[Kind, Check] = {
    "server": check.server_name,
    "network": check.network_name,
    "storage": check.server_name,
}
PAGE_BYTES_MAX = 900 * 1024  # of a result, which may have 1 MiB
CREATE_PARAMS = ("infra", "name", "spec", "labels", "provider", "expect")
DELETE_PARAMS = ("infra", "name", "provider", "expect", "id")


@dataclass(frozen=True, slots=True)
class Origin:
    """Which task writes an entry of the inventory."""

    workflow_id: str = ""
    operation: str = ""


NOBODY = Origin()


class Page(NamedTuple):
    """items: from the beginning, as many as fit. rest: how many do not. after: the key to go on from, or None."""

    items: list[dict[str, Any]]
    rest: int
    after: str | None


def expectation(value: Any) -> str | None:
    """A check of the param `expect`, which plan/precondition.py describes."""
    if not isinstance(value, dict) or not isinstance(value.get("plan"), str):
        return f"an object with the plan's id is expected, got {shown(value)}"
    if not (value.get("absent") is True or isinstance(value.get("id"), str)):
        return "either `absent` or an `id` is expected"
    fields, observed = value.get("fields", []), value.get("observed", {})
    if not isinstance(observed, dict) or not isinstance(fields, list):
        return "`observed` is an object, `fields` a list"
    if not all(isinstance(field, list) and len(field) == 3 for field in fields):
        return "`fields` is a list of [path, before, after]"
    return None


def create_resource(
    workspace: Workspace,
    kind: Kind,
    params: Mapping[str, Any],
    *,
    intent: str,
    key: str | None = None,
    announce: Callable[[Resource], None] = lambda _: None,
    origin: Origin = NOBODY,
) -> dict[str, Any]:
    """Make it, or find the one that is there: `created` says which. params: CREATE_PARAMS, the last three optional.

    `restarted` is only there, and true, where the one that was found was stopped and runs again; `finished` where an
    earlier request or attempt had made it, whose end was never seen. One that is known to be at another provider is
    left there and found: it is not made twice.

    intent: a UUID; a random one where it is empty. key: what the task says; it must be the one of this resource.
    announce: called as soon as the provider has given it an id. Raises UsageError (`bad_params`), ProviderError,
    ConflictError (`plan_stale`).
    """
    wish = wish_of(workspace, kind, params, intent=intent, key=key)
    name, expect = params.get("provider") or workspace.provider, params.get("expect")
    provider = workspace.load_provider(name)
    terms = wish_in_terms(provider, kind, wish.spec, wish.labels)
    inventory = Inventory(workspace)
    elsewhere = _elsewhere(workspace, inventory, kind, wish.key, name)
    if expect is not None:
        there = provider.find(kind, intent=wish.intent, key=wish.key)
        moved = (FieldChange("provider", elsewhere[0], name, "replace"),) if elsewhere else ()
        # One that is being made has not got all its parts: that is judged when it is done.
        half = there is not None and there.state == "creating"
        left = () if there is None or half else differences(provider, terms, there, inventory.get(wish.key))
        check_create(expect, elsewhere[1] if elsewhere else there, (*left, *moved), f"{kind} {wish.name}")
    if elsewhere:
        return describe(elsewhere[1]) | {"created": False, "provider": elsewhere[0]}
    _refuse_second(workspace, provider, inventory.get(wish.key), name)

    begun = False  # by an earlier request or attempt, and not seen to end

    def announce_own(resource: Resource) -> None:
        nonlocal begun
        before = inventory.get(wish.key)
        begun = resource.state == "creating" or (before is not None and before.unfinished(resource))
        if resource.intent == wish.intent:  # what an earlier wish made is no news
            begun = True
            announce(resource)
            record(resource, unfinished=True)

    def record(resource: Resource, *, unfinished: bool = False) -> None:
        # Of a resource that an earlier wish made, that one's wish stays the one to compare with.
        before = inventory.get(wish.key)
        last = before.wish if before is not None and before.id == resource.id else None
        wished = terms if resource.intent == wish.intent else last
        told: dict[str, Any] = {"intent": wish.intent, "workflow_id": origin.workflow_id, "operation": origin.operation}
        inventory.record(entry_of(name, resource, **told, wish=wished, unfinished=unfinished))

    made: Created = provider.create(wish, announce=announce_own)
    record(made.resource)
    if expect is not None and not made.created:
        left = differences(provider, terms, made.resource, inventory.get(wish.key))
        check_create(expect, made.resource, left, f"{kind} {wish.name}")
    more = {"restarted": made.restarted, "finished": begun and not made.created and not made.restarted}
    return describe(made.resource) | {"created": made.created} | {name: True for name, said in more.items() if said}


def created_words(made: Mapping[str, Any]) -> str:
    """What came of a create, its answer given: `server web-1 created`."""
    if made["created"]:
        done = "created"
    elif made.get("restarted"):
        done = "was stopped: started again"
    elif made.get("finished"):
        done = "was made by an earlier request, which was not seen to end: complete now"
    else:
        done = "is there: nothing to do"
    return f"{made['kind']} {made['name']} {done}"


def delete_resource(
    workspace: Workspace,
    kind: Kind,
    params: Mapping[str, Any],
    *,
    key: str | None = None,
) -> dict[str, Any]:
    """Delete it where it is there: `deleted` says whether it was. params: DELETE_PARAMS, the last three optional.

    id: of one that has lost our labels and is to go all the same; only the one that the inventory knows by this key.
    Raises as `create_resource`, ConflictError (`disowned`) where it has lost them and no id was said.
    """
    accepted = {"provider": check.provider_name, "expect": expectation, "id": check.text(500)}
    check_params(params, {"infra": check.infra_name, "name": NAMES[kind]}, accepted)
    name, expect = params.get("provider") or workspace.provider, params.get("expect")
    provider = workspace.load_provider(name)
    own = own_key(workspace, kind, params, key)
    found = provider.find(kind, key=own) or _ours_again(workspace, provider, own, name, params.get("id"))
    if expect is None:
        deleted = found is not None and provider.delete(kind, found.id)
        _forget(workspace, kind, params, own, name)
        return {"name": params["name"], "id": found.id if found else None, "deleted": deleted}
    begun = Begun(workspace.path, expect, own)
    deleted = False
    if check_delete(expect, found, provider, begun.there, f"{kind} {params['name']}"):
        assert found is not None
        with begun.held():
            deleted = provider.delete(kind, found.id)
            _forget(workspace, kind, params, own, name)
    else:  # it is gone already; a killed attempt may have left the rest undone
        if found is None:
            _forget(workspace, kind, params, own, name)
        begun.forget()
    return {"name": params["name"], "id": found.id if deleted and found else None, "deleted": deleted}


def list_resources(workspace: Workspace, kind: Kind, infra: str | None = None) -> list[dict[str, Any]]:
    """What exists at all providers, in the order of the keys; `provider` is said where it is not the workspace's."""
    return [
        describe(each.resource) | ({"provider": each.provider} if each.provider != workspace.provider else {})
        for each in Clouds(workspace).list(kind, infra)
    ]


def page_of(items: Sequence[dict[str, Any]], after: str | None = None) -> Page:
    """The items whose key comes after that one, as many as a result can hold."""
    left = [item for item in items if after is None or item["key"] > after]
    size = 2
    for count, item in enumerate(left):
        size += len(json.dumps(item, ensure_ascii=False).encode("utf-8", "replace")) + 2
        if size > PAGE_BYTES_MAX and count:
            return Page(left[:count], len(left) - count, str(left[count - 1]["key"]))
    return Page(left, 0, None)


def describe(resource: Resource) -> dict[str, Any]:
    """As results and tables show it; `address`, `ssh`, `plan`, `zone` and whatever else the provider says of it."""
    known = {"infra": resource.infra, "name": resource.name, "kind": resource.kind, "id": resource.id}
    return sealed(resource.attributes) | known | {"key": resource.key, "state": resource.state}


def wish_of(
    workspace: Workspace, kind: Kind, params: Mapping[str, Any], *, intent: str, key: str | None, more: Any = None
) -> Wish:
    """The wish that such params are. more: further required params, with their checks. Raises UsageError."""
    check_params(
        params,
        {"infra": check.infra_name, "name": NAMES[kind], "spec": SPECS[kind]} | (more or {}),
        {"labels": check.labels, "provider": check.provider_name, "expect": expectation},
    )
    own = own_key(workspace, kind, params, key)
    infra, name = params["infra"], params["name"]
    return Wish(kind, own, _uuid(intent), infra, name, params["spec"], params.get("labels") or {})


def own_key(workspace: Workspace, kind: Kind, params: Mapping[str, Any], key: str | None) -> str:
    """Raises UsageError (`bad_key`) where the task's is another's."""
    own = workspace.key(params["infra"], kind, params["name"])
    if key is not None and key != own:
        raise UsageError(
            f"the task's key is {shown(key)}, but this {kind}'s is {own!r}",
            code="bad_key",
            hint="leave the key out, or submit to the orchestrator of this workspace",
        )
    return own


def _elsewhere(
    workspace: Workspace, inventory: Inventory, kind: Kind, key: str, provider: str
) -> tuple[str, Resource] | None:
    """Where the inventory remembers it at another provider, and it is still there."""
    entry = inventory.get(key)
    if entry is None or entry.provider == provider:
        return None
    other: Provider = workspace.load_provider(entry.provider)
    found = other.find(kind, key=key)
    return (entry.provider, found) if found is not None else None


def _lost(workspace: Workspace, provider: Provider, entry: Entry | None, name: str) -> bool:
    """Whether what is remembered is at that provider, without our labels."""
    if entry is None or entry.provider != name or not entry.id:
        return False
    kind = cast(Kind, entry.kind)
    there = provider.get(kind, entry.id)
    if there is not None and there.key == entry.key:
        return False
    return entry.key in disowned(Clouds(workspace, {name: provider}), kind, [entry])


def _refuse_second(workspace: Workspace, provider: Provider, entry: Entry | None, name: str) -> None:
    """Raises ConflictError (`disowned`) where a create would find nothing and make another one."""
    if _lost(workspace, provider, entry, name):
        assert entry is not None
        raise second_refused(entry.infra, [entry])


def _ours_again(workspace: Workspace, provider: Provider, key: str, name: str, id: str | None) -> Resource | None:
    """The one that has lost its labels, with them again: killed after that, the same again finds it by them.

    id: what was confirmed. None where nothing is there. Raises ConflictError (`disowned`) where it is not that one.
    """
    entry = Inventory(workspace).get(key)
    if not _lost(workspace, provider, entry, name):
        return None
    assert entry is not None
    if entry.id != id:
        raise leaving_refused(entry.infra, [entry])
    last = entry.wish or entry.attributes
    spec, labels = last.get("spec") or {}, last.get("labels") or {}
    wish = Wish(cast(Kind, entry.kind), key, _uuid(entry.intent), entry.infra, entry.name, spec, labels)
    return cast(Adopting, provider).adopt(entry.id, wish)


def _forget(workspace: Workspace, kind: Kind, params: Mapping[str, Any], key: str, provider: str) -> None:
    """It is gone from there, and with a server all that was installed on it."""
    inventory = Inventory(workspace)
    entry = inventory.get(key)
    if entry is not None and entry.provider != provider:
        return  # it lives on elsewhere
    inventory.forget(key)
    if kind == "server":
        for service in inventory.all(params["infra"], "taskserv"):
            if service.name.endswith(f".{params['name']}"):
                inventory.forget(service.key)


def _uuid(intent: str) -> str:
    try:
        return str(UUID(intent)) if intent else str(uuid4())
    except (ValueError, AttributeError, TypeError):
        raise UsageError(f"the intent is {shown(intent)}; a UUID is expected", code="bad_input") from None
