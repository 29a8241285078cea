"""What a delete is about: all that is defined or exists, at every provider; the networks after the servers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..clouds import Clouds, Found
from ..errors import NotFoundError
from ..infra import Infra, load_infra, no_server
from ..inventory import Entry
from ..operation import new_task
from ..provider import Kind
from ..workspace import Workspace
from .disowned import disowned, leaving_refused
from .model import Change, FieldChange, Plan
from .tasks import provider_param, task_id

UNLABELLED = FieldChange("labels", "ours", None, "in_place")
"""Of a change that deletes: it has lost them, and is known by the inventory's id alone."""


class Target(NamedTuple):
    kind: Kind
    name: str
    provider: str


def delete_targets(clouds: Clouds, infra: str, servers: Sequence[str] | None = None) -> list[Target]:
    """Servers first. Without `servers` the networks as well. Raises NotFoundError where neither file nor resource is.

    Defined ones are in it whether they exist or not: one may be on its way this very moment. One that exists at another
    provider than its definition names is in it once for each. An infrastructure that has lost its file can be deleted
    all the same: the inventory and the labels say what it was.
    """
    return _targets(clouds, infra, servers, _existing(clouds, infra))


def chosen_servers(clouds: Clouds, infra: str, servers: Sequence[str], there: Sequence[Found]) -> frozenset[str]:
    """The names behind names of servers and groups, of all that are defined, exist or are remembered.

    there: the servers that exist. Raises as `delete_targets` does.
    """
    return frozenset(target.name for target in _targets(clouds, infra, servers, there) if target.kind == "server")


def plan_delete(
    workspace: Workspace, infra: str, servers: Sequence[str] | None = None, *, clouds: Clouds | None = None
) -> Plan:
    """Only what exists is in it; of what has lost our labels it says that as a field. Raises as `delete_targets`."""
    clouds = clouds or Clouds(workspace)
    there = _existing(clouds, infra)
    found = {Target(each.resource.kind, each.resource.name, each.provider): each.resource for each in there}
    changes = []
    targets = _targets(clouds, infra, servers, there)
    lost = _unlabelled(clouds, infra, targets, there)
    for target in targets:
        key = workspace.key(infra, target.kind, target.name)
        if target in found:
            changes.append(Change("delete", target.kind, target.name, key, found[target].id, target.provider))
        elif target in lost:
            about = (target.kind, target.name, key, lost[target].id, target.provider)
            changes.append(Change("delete", *about, fields=(UNLABELLED,)))
    return Plan(infra, tuple(changes))


def unlabelled_ids(plan: Plan) -> list[str]:
    """Of a plan to delete, the ids of what has lost our labels."""
    return [each.id for each in plan.changes if each.id and UNLABELLED in each.fields]


def delete_tasks(
    clouds: Clouds, infra: str, servers: Sequence[str] | None, unlabelled: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """The expansion of servers/delete. unlabelled: ids of what has lost our labels and is to go too.

    Raises as `delete_targets` does, ConflictError (`disowned`) where there is more of that.
    """
    workspace = clouds.workspace
    there = _existing(clouds, infra)
    targets = _targets(clouds, infra, servers, there)
    lost = _unlabelled(clouds, infra, targets, there)
    if kept := [entry for entry in lost.values() if entry.id not in unlabelled]:
        raise leaving_refused(infra, kept)
    default = workspace.provider
    ids: dict[Target, str] = {}
    for target in targets:
        wanted = target.name if target.kind == "server" else task_id("network", target.name)
        ids[target] = wanted if wanted not in ids.values() else task_id(f"{len(ids)}", wanted)
    tasks = []
    # Only the first network needs all servers, the others need it: many of both would make a product of edges.
    needs = [id for target, id in ids.items() if target.kind == "server"]
    first = next((id for target, id in ids.items() if target.kind == "network"), None)
    for target, id in ids.items():
        params = {"infra": infra, "name": target.name} | provider_param(target.provider, default)
        params |= {"id": lost[target].id} if target in lost else {}
        key = workspace.key(infra, target.kind, target.name)
        if target.kind == "server":
            tasks.append(new_task(id, "servers/delete-one", params, key=key))
        else:
            after = needs if id == first else [first] if first else []
            tasks.append(new_task(id, "networks/delete", params, needs=after, key=key))
    return tasks


def _existing(clouds: Clouds, infra: str) -> list[Found]:
    return [*clouds.list("server", infra), *clouds.list("network", infra)]


def _unlabelled(clouds: Clouds, infra: str, targets: Sequence[Target], there: Sequence[Found]) -> dict[Target, Entry]:
    """Those of the targets that are there without our labels, with what is remembered of them."""
    labelled = {(each.provider, each.resource.key) for each in there}
    found: dict[Target, Entry] = {}
    for kind in ("server", "network"):
        missing = [each for each in clouds.inventory.all(infra, kind) if (each.provider, each.key) not in labelled]
        lost = disowned(clouds, kind, missing)
        found |= {Target(kind, each.name, each.provider): each for each in missing if each.key in lost}
    return {target: entry for target, entry in found.items() if target in targets}


def _targets(clouds: Clouds, infra: str, servers: Sequence[str] | None, there: Sequence[Found]) -> list[Target]:
    definition: Infra | None = None
    try:
        definition = load_infra(clouds.workspace, infra)
    except NotFoundError:
        if not there and not clouds.inventory.all(infra):
            raise
    targets: list[Target] = []
    if definition is not None:
        targets += [Target("server", each.name, each.provider) for each in definition.servers]
        targets += [Target("network", each.name, each.provider) for each in definition.networks]
    targets += [Target(each.resource.kind, each.resource.name, each.provider) for each in there]
    targets += [
        Target(kind, entry.name, entry.provider)
        for kind in ("server", "network")
        for entry in clouds.inventory.all(infra, kind)
    ]
    targets = sorted(dict.fromkeys(targets), key=lambda target: target.kind != "server")
    if servers is None:
        return targets
    servers = definition.members(servers) if definition is not None else servers
    known = list(dict.fromkeys(target.name for target in targets if target.kind == "server"))
    missing = [name for name in servers if name not in known]
    if missing:
        groups = definition.groups() if definition is not None else ()
        raise no_server(infra, missing, [*groups, *known])
    return [target for target in targets if target.kind == "server" and target.name in set(servers)]
