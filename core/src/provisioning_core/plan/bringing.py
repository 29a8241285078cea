"""Bringing an infrastructure up: the chain of infra/create, preceded by the changes of what exists already.

Additions and updates are always made. What would be replaced or deleted is, unless that was allowed, left as it is and
named.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any, NamedTuple

from ..clouds import Clouds
from ..infra import Infra, load_infra
from .applying import PlannedTasks, removal_id
from .creating import infra_tasks
from .disowned import disowned
from .model import Change, Plan
from .planning import KINDS_PLANNED, plan_infra
from .tasks import task_id

ALLOWED = ("replace", "delete")


class Bringing(NamedTuple):
    """plan: what the tasks will do about what can be compared. left: what they will not, for want of permission."""

    plan: Plan
    tasks: list[dict[str, Any]]
    left: tuple[Change, ...]


def bring_up(clouds: Clouds, infra: str, allow: Iterable[str] = ()) -> Bringing:
    """Raises what `plan_infra` raises."""
    workspace = clouds.workspace
    definition = load_infra(workspace, infra)
    whole = plan_infra(workspace, infra, clouds=clouds)
    _forget_gone(clouds, whole)
    plan, left = whole.parted(frozenset(allow))
    planned = PlannedTasks(plan, workspace.provider)
    updating = planned.updating()
    ids = {task["id"] for task in updating}
    removing = planned.removing({name: id for name, found in _changing(plan, ids).items() for id in found})
    tasks = infra_tasks(workspace, definition, _before(definition, plan, [*removing, *updating]))
    return Bringing(plan, [*removing, *updating, *tasks], left)


def _forget_gone(clouds: Clouds, plan: Plan) -> None:
    """What is neither defined nor there: only the inventory knows of it; every provider that it names was asked.

    Not what is there without our labels: nobody else would know of it any more.
    """
    known = {change.key for change in plan.changes}
    servers = {change.name for change in plan.changes if change.kind == "server"}
    gone = []
    for entry in clouds.inventory.all(plan.infra):
        on = entry.name.rpartition(".")[2] if entry.kind == "taskserv" else None
        if entry.key not in known and (on is None or on not in servers):
            gone.append(entry)
    lost = {key for kind in KINDS_PLANNED for key in disowned(clouds, kind, gone)}
    for entry in gone:
        if entry.key not in lost:
            clouds.inventory.forget(entry.key)


def _before(infra: Infra, plan: Plan, changing: list[dict[str, Any]]) -> dict[str, list[str]]:
    """What has to be changed before the servers are made or found, and what a network has to be rid of."""
    ids = {task["id"] for task in changing}
    about = _changing(plan, ids)
    for change in plan.to_do:
        if change.kind == "taskserv" and change.action == "delete":
            about.setdefault(str((change.wish or {}).get("server")), []).append(removal_id(change))
    before: dict[str, list[str]] = {"servers": [id for found in about.values() for id in found]}
    for cluster in infra.clusters:
        before[task_id("cluster", cluster.name)] = [id for name in cluster.servers for id in about.get(name, ())]
    for network in infra.networks:
        if (id := task_id("replace.network", network.name)) in ids:
            before[task_id("network", network.name)] = [id]
    return before


def _changing(plan: Plan, ids: Container[str]) -> dict[str, list[str]]:
    """By the name of a server, those of these tasks that change, start or replace it."""
    return {
        change.name: [id for word in ("replace", "update", "start") if (id := task_id(word, change.name)) in ids]
        for change in plan.to_do
        if change.kind == "server"
    }
