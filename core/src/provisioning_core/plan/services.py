"""What is to be done about taskservs: nobody can list what is installed, so the inventory tells.

An entry counts only for the server that it was installed on: on a new one of the same name it has to be done again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..clouds import Clouds
from ..infra import Infra, Taskserv
from ..inventory import Entry
from .model import Change, FieldChange

KIND = "taskserv"


def service_changes(clouds: Clouds, infra: Infra, servers: Sequence[Change]) -> list[Change]:
    """One change per taskserv and server, in the order of the file; then those that are defined no more.

    servers: the changes planned for the servers.
    """
    planned = {change.name: change for change in servers if change.kind == "server"}
    manifests = _needs_of_manifests(clouds, infra)
    entries = {entry.key: entry for entry in clouds.inventory.all(infra.name, KIND)}
    changes = []
    inside = {
        each.name: (*(part.name for part in each.taskservs), *(part.name for part in each.checks))
        for each in infra.clusters
    }
    for cluster, taskserv in infra.all_taskservs():
        # To need a cluster is to need all that is in it; what a cluster needs, all that is in it needs.
        named = (*taskserv.needs, *(cluster.needs if cluster is not None else ()))
        needs = tuple(dict.fromkeys(part for name in named for part in inside.get(name, (name,))))
        for server in taskserv.servers:
            name = f"{taskserv.name}.{server}"
            key = f"{clouds.workspace.id}/{infra.name}/{KIND}/{name}"
            there = replace(taskserv, needs=(*needs, *manifests.get(name, ())))
            changes.append(_change(there, server, name, key, planned.get(server), entries.pop(key, None)))
    for entry in entries.values():
        server = str(entry.attributes.get("server") or entry.name.rpartition(".")[2])
        on = planned.get(server)
        if on is not None and on.id == entry.id and on.action != "replace":
            wish = wish_of(str(entry.attributes.get("taskserv") or entry.name.partition(".")[0]), server, None, {})
            wish |= {"name": entry.name.removesuffix(f".{server}")}
            wish |= {name: entry.attributes[name] for name in ("version", "params") if entry.attributes.get(name)}
            changes.append(Change("delete", KIND, entry.name, entry.key, entry.id, entry.provider, wish=wish))
    return changes


def _needs_of_manifests(clouds: Clouds, infra: Infra) -> dict[str, tuple[str, ...]]:
    """By `<name>.<server>`, those of the same form that have to be there first, by the manifests' own needs."""
    if not any(True for _ in infra.all_taskservs()):
        return {}
    from ..taskservs.expansion import create_tasks

    tasks = create_tasks(clouds.workspace, infra)
    names = {task["id"]: f"{task['params']['name']}.{task['params']['server']}" for task in tasks}
    return {names[task["id"]]: tuple(names[need] for need in task.get("needs", ())) for task in tasks}


def wish_of(taskserv: str, server: str, version: str | None, params: Mapping[str, Any]) -> dict[str, Any]:
    return {"taskserv": taskserv, "server": server, "version": version, "params": dict(params)}


def _change(taskserv: Taskserv, server: str, name: str, key: str, on: Change | None, entry: Entry | None) -> Change:
    wish = wish_of(taskserv.taskserv, server, taskserv.version, taskserv.params) | {"name": taskserv.name}
    provider = on.provider if on is not None else ""
    task = taskserv.policy.task_fields()
    change = Change("create", KIND, name, key, None, provider, wish=wish, needs=taskserv.needs, task=task)
    if entry is None or on is None or on.action in ("create", "replace") or entry.id not in ("", on.id):
        return change
    fields = tuple(_differences(taskserv, entry.attributes))
    return replace(change, action="update" if fields else "exists", id=entry.id, fields=fields)


def _differences(taskserv: Taskserv, known: Mapping[str, Any]) -> list[FieldChange]:
    found = []
    if known.get("taskserv") not in (None, taskserv.taskserv):
        found.append(FieldChange("taskserv", known["taskserv"], taskserv.taskserv, "in_place"))
    if taskserv.version is not None and known.get("version") not in (None, taskserv.version):
        found.append(FieldChange("version", known["version"], taskserv.version, "in_place"))
    before = known.get("params")
    if isinstance(before, Mapping):
        # What the manifest filled in is in the inventory too: only what the definition says is compared.
        for name, value in taskserv.params.items():
            if before.get(name) != value:
                found.append(FieldChange(f"params.{name}", before.get(name), value, "in_place"))
    return found
