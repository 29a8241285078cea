"""What is to be done: the tasks of a create or a delete, and the same for people to look at first (`--check`, prompts).

A create becomes one task per network and one per server that needs its network; a delete one per server, and where the
whole infrastructure goes, its networks after them. The params of each task carry the resolved definition, so that what
runs is what was planned, whatever happens to the file in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .errors import NotFoundError
from .infra import Infra, load_infra, no_server
from .operation import new_task
from .provider import Kind, Provider, Resource
from .workspace import Workspace

Action = Literal["create", "start", "exists", "delete"]


@dataclass(frozen=True, slots=True)
class Change:
    """id: the provider's, None for what is not there yet. start: a server that is there, but does not run."""

    action: Action
    kind: Kind
    name: str
    key: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """changes: in the order in which they would be made."""

    infra: str
    changes: tuple[Change, ...]

    @property
    def nothing_to_do(self) -> bool:
        return all(change.action == "exists" for change in self.changes)


def plan_create(
    workspace: Workspace, infra: str, servers: Sequence[str] | None = None, *, provider: Provider | None = None
) -> Plan:
    """Raises what load_infra, Infra.select and the provider raise; nothing is changed."""
    definition = load_infra(workspace, infra)
    chosen = definition.select(servers)
    there = _existing(provider or workspace.load_provider(), infra)
    wanted: list[tuple[Kind, str]] = [("network", network.name) for network in definition.networks_of(chosen)]
    wanted += [("server", server.name) for server in chosen]
    changes = []
    for kind, name in wanted:
        key = workspace.key(infra, kind, name)
        found = there.get(key)
        changes.append(Change(_action(found), kind, name, key, found.id if found else None))
    return Plan(infra, tuple(changes))


def _action(found: Resource | None) -> Action:
    """What a create does about it."""
    if found is None:
        return "create"
    return "exists" if found.kind != "server" or found.state == "started" else "start"


def plan_delete(
    workspace: Workspace, infra: str, servers: Sequence[str] | None = None, *, provider: Provider | None = None
) -> Plan:
    """Only what exists is in it. Raises as `delete_tasks` does."""
    there = _existing(provider or workspace.load_provider(), infra)
    names = _delete_names(workspace, infra, servers, list(there.values()))
    changes = []
    for kind, kind_names in names.items():
        for name in kind_names:
            key = workspace.key(infra, kind, name)
            if key in there:
                changes.append(Change("delete", kind, name, key, there[key].id))
    return Plan(infra, tuple(changes))


def create_tasks(workspace: Workspace, infra: Infra, servers: Sequence[str] | None) -> list[dict[str, Any]]:
    """The expansion of servers/create. Local ids: the server's name, and `network.<name>`."""
    chosen = infra.select(servers)
    tasks = []
    for network in infra.networks_of(chosen):
        params = {"infra": infra.name, "name": network.name, "spec": network.spec(), "labels": network.labels}
        key = workspace.key(infra.name, "network", network.name)
        tasks.append(new_task(f"network.{network.name}", "networks/create", params, key=key))
    for server in chosen:
        params = {"infra": infra.name, "name": server.name, "spec": server.spec(), "labels": server.labels}
        needs = [f"network.{server.network}"] if server.network else []
        key = workspace.key(infra.name, "server", server.name)
        tasks.append(new_task(server.name, "servers/create-one", params, needs=needs, key=key))
    return tasks


def delete_tasks(
    workspace: Workspace, infra: str, servers: Sequence[str] | None, provider: Provider
) -> list[dict[str, Any]]:
    """The expansion of servers/delete: all that is defined or exists; without `servers` the networks go as well.

    Defined ones are in it whether they exist or not: one may be on its way this very moment. An infrastructure that has
    lost its file can be deleted all the same. Raises NotFoundError where neither a file nor a resource is there.
    """
    names = delete_names(workspace, infra, servers, provider)
    tasks = []
    for name in names["server"]:
        key = workspace.key(infra, "server", name)
        tasks.append(new_task(name, "servers/delete-one", {"infra": infra, "name": name}, key=key))
    # Only the first network needs all servers, the others need it: many of both would make a product of edges.
    needs = list(names["server"])
    for name in names["network"]:
        key, params = workspace.key(infra, "network", name), {"infra": infra, "name": name}
        tasks.append(new_task(f"network.{name}", "networks/delete", params, needs=needs, key=key))
        needs = [f"network.{names['network'][0]}"]
    return tasks


def delete_names(
    workspace: Workspace, infra: str, servers: Sequence[str] | None, provider: Provider
) -> dict[Kind, list[str]]:
    """The names behind `delete_tasks`, by kind."""
    return _delete_names(workspace, infra, servers, list(_existing(provider, infra).values()))


def request_create(infra: str, servers: Sequence[str] | None = None) -> dict[str, Any]:
    """The body of POST /workflows/servers/create."""
    return {"infra": infra, "params": {"servers": list(servers)} if servers else {}}


def request_delete(infra: str, servers: Sequence[str] | None = None) -> dict[str, Any]:
    """The body of POST /workflows/servers/delete."""
    return request_create(infra, servers)


def _existing(provider: Provider, infra: str) -> dict[str, Resource]:
    kinds: tuple[Kind, ...] = ("network", "server")
    return {resource.key: resource for kind in kinds for resource in provider.list(kind, infra=infra)}


def _delete_names(
    workspace: Workspace, infra: str, servers: Sequence[str] | None, there: Sequence[Resource]
) -> dict[Kind, list[str]]:
    names: dict[Kind, list[str]] = {"server": [], "network": []}
    try:
        definition = load_infra(workspace, infra)
        names["server"] = [server.name for server in definition.servers]
        names["network"] = [network.name for network in definition.networks]
    except NotFoundError:
        if not there:
            raise
    for resource in there:
        if resource.name not in names[resource.kind]:
            names[resource.kind].append(resource.name)
    if servers is not None:
        missing = [name for name in servers if name not in names["server"]]
        if missing:
            raise no_server(infra, missing, names["server"])
        names = {"server": [name for name in names["server"] if name in servers], "network": []}
    return names
