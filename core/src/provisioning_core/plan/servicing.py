"""The expansions of taskservs/create and taskservs/delete: one task per taskserv and server.

A taskserv waits, per server, for those that it needs: those of its definition and those of its manifest; where the two
share the server for that one alone, else (the definition says so) for all of them. A removal goes the other way round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import NotFoundError, UsageError
from ..infra import Infra, load_infra
from ..infra.declared import folders_on, look_up
from ..infra.model import Taskserv
from ..inventory import Inventory
from ..operation import new_task
from ..taskservs.wish import KIND, key_of
from ..workspace import Workspace
from ..yamlfile import shown, suggestion
from .tasks import task_id

Place = tuple[str, str]
"""The name of a taskserv, and a server."""


@dataclass(frozen=True, slots=True)
class _Planned:
    taskserv: Taskserv
    server: str
    needs: tuple[Place, ...]


def create_tasks(
    workspace: Workspace, infra: Infra, taskservs: Sequence[str] | None = None, servers: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Local ids: `<name>.<server>`. taskservs, servers: None for all.

    Raises NotFoundError for what is named and not declared, UsageError with all that is wrong with what is declared.
    """
    planned = _planned(workspace, infra, taskservs, servers)
    tasks = []
    for (name, server), each in planned.items():
        params: dict[str, Any] = {
            "infra": infra.name,
            "name": name,
            "taskserv": each.taskserv.taskserv,
            "server": server,
        }
        params |= {"version": each.taskserv.version} if each.taskserv.version else {}
        params |= {"params": each.taskserv.params}
        needs = [task_id(*need) for need in each.needs if need in planned]
        key = key_of(workspace, infra.name, name, server)
        task = new_task(task_id(name, server), "taskservs/install-one", params, needs=needs, key=key)
        tasks.append(task | each.taskserv.policy.task_fields())
    return tasks


def delete_tasks(
    workspace: Workspace,
    infra: str,
    taskservs: Sequence[str] | None = None,
    servers: Sequence[str] | None = None,
    *,
    purge: bool = False,
) -> list[dict[str, Any]]:
    """What is declared or remembered, those that need others first. purge: their data goes too."""
    wishes, needs, members = _removals(workspace, infra)
    servers = None if servers is None else members(servers)
    known = list(dict.fromkeys(name for name, _ in wishes))
    _check_known(infra, "taskserv", taskservs, known)
    _check_known(infra, "server", servers, list(dict.fromkeys(server for _, server in wishes)))
    chosen = {
        place: wish
        for place, wish in wishes.items()
        if (taskservs is None or place[0] in taskservs) and (servers is None or place[1] in servers)
    }
    waits: dict[Place, list[Place]] = {place: [] for place in chosen}
    for place, needed in needs.items():
        for other in needed:
            if place in chosen and other in chosen:
                waits[other].append(place)
    tasks = []
    for (name, server), wish in chosen.items():
        params = {"infra": infra, "name": name, "server": server} | wish | ({"purge": True} if purge else {})
        after = [task_id(*place) for place in waits[name, server]]
        key = key_of(workspace, infra, name, server)
        tasks.append(new_task(task_id(name, server), "taskservs/remove-one", params, needs=after, key=key))
    return tasks


def _planned(
    workspace: Workspace, infra: Infra, taskservs: Sequence[str] | None, servers: Sequence[str] | None
) -> dict[Place, _Planned]:
    declared = [taskserv for _, taskserv in infra.all_taskservs()]
    _check_known(infra.name, "taskserv", taskservs, [each.name for each in declared])
    servers = None if servers is None else [server.name for server in infra.select(servers)]
    needs = _needs(workspace, infra, declared, strict=True)
    planned = {}
    for each in declared:
        for server in each.servers:
            if (taskservs is None or each.name in taskservs) and (servers is None or server in servers):
                place = (each.name, server)
                planned[place] = _Planned(each, server, needs[place])
    return planned


def _needs(
    workspace: Workspace, infra: Infra, declared: Sequence[Taskserv], *, strict: bool
) -> dict[Place, tuple[Place, ...]]:
    """What each place needs, by the definition and by the manifests. strict: raises UsageError for all faults."""
    known = look_up(workspace, infra.name, declared)
    faults = [*map(str, known.problems), *(f"{each.name}: {fault}" for each, fault in known.faults)]
    if strict and faults:
        raise UsageError(
            f"infrastructure {infra.name}: taskservs: {'; '.join(faults)}",
            code="bad_definition",
            hint=f"infra/{infra.name}.yaml; what a taskserv accepts: provisioning taskserv show NAME",
        )
    homes = {each.name: each for each in declared}
    on = folders_on(declared)
    needs: dict[Place, tuple[Place, ...]] = {}
    for each in declared:
        manifest = known.manifests.get(each.taskserv)
        for server in each.servers:
            wanted = list(_by_definition(each, server, homes))
            for folder in manifest.needs if manifest else ():
                wanted += [(name, server) for name in on[server].get(folder, [])]
            needs[each.name, server] = tuple(dict.fromkeys(wanted))
    return needs


def _by_definition(taskserv: Taskserv, server: str, homes: Mapping[str, Taskserv]) -> Iterable[Place]:
    for name in taskserv.needs:
        other = homes.get(name)  # a check or a cluster is waited for by whoever asked for this expansion
        if other is not None:
            yield from ((name, each) for each in ([server] if server in other.servers else other.servers))


def _removals(
    workspace: Workspace, infra: str
) -> tuple[dict[Place, dict[str, Any]], dict[Place, tuple[Place, ...]], Callable[[Sequence[str]], list[str]]]:
    """By place what its removal needs to know, and what it needs itself: of the definition, then of the inventory.

    And what finds the servers behind names of groups, as far as there is a definition.
    """
    members: Callable[[Sequence[str]], list[str]] = list
    wishes: dict[Place, dict[str, Any]] = {}
    needs: dict[Place, tuple[Place, ...]] = {}
    entries = Inventory(workspace).all(infra, KIND)
    try:
        definition = load_infra(workspace, infra)
    except NotFoundError:
        if not entries:
            raise
    else:
        declared = [taskserv for _, taskserv in definition.all_taskservs()]
        needs, members = _needs(workspace, definition, declared, strict=False), definition.members
        for each in declared:
            for server in each.servers:
                wishes[each.name, server] = _wish(each.taskserv, each.version, each.params)
    for entry in entries:
        server, attributes = str(entry.attributes.get("server", "")), entry.attributes
        name = entry.name.removesuffix(f".{server}")
        wish = _wish(str(attributes.get("taskserv", name)), attributes.get("version"), attributes.get("params") or {})
        wishes.setdefault((name, server), wish)
    return wishes, needs, members


def _wish(taskserv: str, version: str | None, params: Mapping[str, Any]) -> dict[str, Any]:
    return {"taskserv": taskserv, "params": dict(params)} | ({"version": version} if version else {})


def _check_known(infra: str, kind: str, named: Sequence[str] | None, known: Sequence[str]) -> None:
    missing = [name for name in named or () if name not in known]
    if missing:
        guesses = "; ".join(f"no {kind} {shown(name)}.{suggestion(name, known)}".removesuffix(".") for name in missing)
        raise NotFoundError(
            f"infrastructure {infra}: {guesses}",
            code=f"unknown_{kind}",
            hint=f"there are: {', '.join(dict.fromkeys(known)) or 'none'}",
        )
