"""One network or server at the provider: made, found, deleted, told of. What every operation's leaf does.

The Python operations call these, the Nushell ones reach them through `provisioning vm`: so both libraries do the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID, uuid4

from . import params as check
from .errors import UsageError
from .params import Check, check_params
from .provider import Kind, Resource, Wish
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


def create_resource(
    workspace: Workspace,
    kind: Kind,
    params: Mapping[str, Any],
    *,
    intent: str,
    key: str | None = None,
    announce: Callable[[Resource], None] = lambda _: None,
) -> dict[str, Any]:
    """Make it, or find the one that is there: `created` says which. params: infra, name, spec, labels, provider.

    `restarted` is only there, and true, where the one that was found was stopped and runs again.

    intent: a UUID; a random one where it is empty. key: what the task says; it must be the one of this resource.
    announce: called as soon as the provider has given it an id. Raises UsageError (`bad_params`), ProviderError.
    """
    check_params(
        params,
        {"infra": check.infra_name, "name": NAMES[kind], "spec": SPECS[kind]},
        {"labels": check.labels, "provider": check.provider_name},
    )
    infra, name = params["infra"], params["name"]
    own_key = _own_key(workspace, kind, params, key)
    wish = Wish(kind, own_key, _uuid(intent), infra, name, params["spec"], params.get("labels") or {})

    def announce_own(resource: Resource) -> None:
        if resource.intent == wish.intent:  # what an earlier wish made is no news
            announce(resource)

    made = workspace.load_provider(params.get("provider")).create(wish, announce=announce_own)
    return describe(made.resource) | {"created": made.created} | ({"restarted": True} if made.restarted else {})


def delete_resource(
    workspace: Workspace, kind: Kind, params: Mapping[str, Any], *, key: str | None = None
) -> dict[str, Any]:
    """Delete it where it is there: `deleted` says whether it was. params: infra, name, provider."""
    check_params(params, {"infra": check.infra_name, "name": NAMES[kind]}, {"provider": check.provider_name})
    provider = workspace.load_provider(params.get("provider"))
    found = provider.find(kind, key=_own_key(workspace, kind, params, key))
    deleted = found is not None and provider.delete(kind, found.id)
    return {"name": params["name"], "id": found.id if found else None, "deleted": deleted}


def list_resources(workspace: Workspace, kind: Kind, infra: str | None = None) -> list[dict[str, Any]]:
    """What exists, in the order of the keys."""
    return [describe(resource) for resource in workspace.load_provider().list(kind, infra=infra)]


def describe(resource: Resource) -> dict[str, Any]:
    """As results and tables show it; `address`, `ssh`, `plan`, `zone` and whatever else the provider says of it."""
    known = {"infra": resource.infra, "name": resource.name, "kind": resource.kind, "id": resource.id}
    return dict(resource.attributes) | known | {"key": resource.key, "state": resource.state}


def _own_key(workspace: Workspace, kind: Kind, params: Mapping[str, Any], key: str | None) -> str:
    own = workspace.key(params["infra"], kind, params["name"])
    if key is not None and key != own:
        raise UsageError(
            f"the task's key is {shown(key)}, but this {kind}'s is {own!r}",
            code="bad_key",
            hint="leave the key out, or submit to the orchestrator of this workspace",
        )
    return own


def _uuid(intent: str) -> str:
    try:
        return str(UUID(intent)) if intent else str(uuid4())
    except (ValueError, AttributeError, TypeError):
        raise UsageError(f"the intent is {shown(intent)}; a UUID is expected", code="bad_input") from None
