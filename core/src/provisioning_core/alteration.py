"""Changing a network or server that exists: its fields, its power, whose it is. Each is found again first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from . import params as check
from .capabilities import Adopting, PowerAction, Powering, Updating
from .clouds import Clouds, require
from .errors import ConflictError, NotFoundError
from .inventory import Inventory, entry_of
from .params import Check, check_params
from .plan.comparing import differences, state_change, wish_in_terms
from .plan.precondition import check_update, starts
from .provider import Kind, Resource
from .resources import NAMES, NOBODY, Origin, create_resource, describe, own_key, wish_of
from .workspace import Workspace
from .yamlfile import shown

POWER_ACTIONS = ("start", "stop", "reboot")


def identity(value: Any) -> str | None:
    return None if isinstance(value, str) and 0 < len(value) <= 500 else f"an id is expected, got {shown(value)}"


def update_resource(
    workspace: Workspace,
    kind: Kind,
    params: Mapping[str, Any],
    *,
    intent: str,
    key: str | None = None,
    origin: Origin = NOBODY,
) -> dict[str, Any]:
    """Make it like the wish: `updated` names the fields that were changed, none where it was so already.

    params: infra, name, id, spec, labels, provider, expect. What an expectation did not plan is refused. Raises
    UsageError (`bad_params`, `not_capable`), ConflictError (`plan_stale`), NotFoundError, ProviderError.
    """
    more: Mapping[str, Check] = {"id": identity}
    wish = wish_of(workspace, kind, params, intent=intent, key=key, more=more)
    name, expect = params.get("provider") or workspace.provider, params.get("expect")
    what = f"{kind} {wish.name}"
    provider = workspace.load_provider(name)
    terms = wish_in_terms(provider, kind, wish.spec, wish.labels)
    inventory = Inventory(workspace)
    found = provider.find(kind, key=wish.key)
    left = differences(provider, terms, found, inventory.get(wish.key)) if found is not None else ()
    if expect is not None:
        check_update(expect, found, left, what)
    if found is None or found.id != params["id"]:
        raise NotFoundError(f"{what} is not {params['id']} any more", code="not_found")
    restarted = False
    lacks = kind == "server" and state_change(found, inventory.get(wish.key)) is not None
    if lacks and starts(expect):
        # Making it again finds it, starts it, and finishes what a killed create has left undone.
        one = {field: params[field] for field in ("infra", "name", "spec", "labels", "provider") if field in params}
        restarted = bool(create_resource(workspace, kind, one, intent=intent, key=key, origin=origin).get("restarted"))
        found = provider.get(kind, found.id) or found
        left = differences(provider, terms, found, inventory.get(wish.key))
    if left:
        require(provider, name, "update", f"change {', '.join(each.path for each in left)} of a {kind}")
        found = cast(Updating, provider).update(found.id, wish)
    told: dict[str, Any] = {"intent": wish.intent, "workflow_id": origin.workflow_id, "operation": origin.operation}
    inventory.record(entry_of(name, found, **told, wish=terms))
    updated = [each.path for each in left]
    return describe(found) | {"updated": updated} | ({"restarted": True} if restarted else {})


def power_resource(workspace: Workspace, params: Mapping[str, Any], *, key: str | None = None) -> dict[str, Any]:
    """Start, stop or reboot a server: `changed` says whether it was otherwise. params: infra, name, action, provider.

    Raises UsageError (`bad_params`, `not_capable`), NotFoundError, ProviderError.
    """
    check_params(
        params,
        {"infra": check.infra_name, "name": NAMES["server"], "action": check.one_of(*POWER_ACTIONS)},
        {"provider": check.provider_name},
    )
    action = cast(PowerAction, params["action"])
    own = own_key(workspace, "server", params, key)
    name = params.get("provider") or workspace.provider
    provider = workspace.load_provider(name)
    require(provider, name, "power", f"{action} servers")
    found = provider.find("server", key=own)
    if found is None:
        raise NotFoundError(
            f"server {params['name']} does not exist",
            code="unknown_server",
            hint=f"provisioning server create {params['infra']} {params['name']}",
        )
    wanted = "stopped" if action == "stop" else "started"
    changed = action == "reboot" or found.state != wanted
    after = cast(Powering, provider).power(found.id, action)
    return describe(after) | {"changed": changed}


def adoptable(workspace: Workspace, kind: Kind, provider: str, id: str) -> Resource:
    """The resource of that id which is nobody's yet. Raises UsageError (`not_capable`), NotFoundError."""
    loaded = Clouds(workspace).load(provider)
    require(loaded, provider, "adopt", f"let a {kind} be adopted")
    free = cast(Adopting, loaded).unmanaged(kind)
    for resource in free:
        if resource.id == id:
            return resource
    known = ", ".join(f"{each.id} ({each.name})" if each.name else each.id for each in free[:20])
    raise NotFoundError(
        f"the provider {provider} has no {kind} {shown(id)} that is nobody's",
        code="not_found",
        hint=f"there are: {known or 'none'}",
    )


def adopt_resource(
    workspace: Workspace, kind: Kind, params: Mapping[str, Any], *, intent: str, key: str | None = None
) -> dict[str, Any]:
    """Make a resource that exists ours, under this key. params: infra, name, id, spec, labels, provider.

    The same again changes nothing. How it is otherwise than the spec says is for the next plan. Raises as above,
    ConflictError (`adopted_elsewhere`) where another one has that key.
    """
    wish = wish_of(workspace, kind, params, intent=intent, key=key, more={"id": identity})
    name = params.get("provider") or workspace.provider
    provider = workspace.load_provider(name)
    require(provider, name, "adopt", f"let a {kind} be adopted")
    there = provider.find(kind, key=wish.key)
    if there is not None and there.id != params["id"]:
        raise ConflictError(f"{kind} {wish.name} is there already: {there.id}", code="adopted_elsewhere")
    adopted = cast(Adopting, provider).adopt(params["id"], wish)
    Inventory(workspace).record(entry_of(name, adopted, intent=wish.intent, operation=f"{kind}s/adopt"))
    return describe(adopted) | {"adopted": True}
