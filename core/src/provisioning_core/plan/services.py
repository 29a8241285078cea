"""What is to be done about taskservs: nobody can list what is installed, so the inventory tells.

An entry counts only for the server that it was installed on: on a new one of the same name it has to be done again.
What the manifest fills in and the files of the folder are compared too, as the servers themselves do by their marks.
The wish has the digest of those files: a plan is applied with the very files that it was made of, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..clouds import Clouds
from ..errors import NotFoundError, UsageError
from ..infra import Infra, Taskserv
from ..inventory import Entry
from .model import Change, FieldChange

if TYPE_CHECKING:
    from ..taskservs.folders import Taskserv as Folder

KIND = "taskserv"


def service_changes(clouds: Clouds, infra: Infra, servers: Sequence[Change]) -> list[Change]:
    """One change per taskserv and server, in the order of the file; then those that are defined no more.

    servers: the changes planned for the servers.
    """
    planned = {change.name: change for change in servers if change.kind == "server"}
    manifests = _needs_of_manifests(clouds, infra)
    folders = _folders(clouds, infra)
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
            folder = folders[taskserv.taskserv]
            changes.append(_change(there, folder, server, name, key, planned.get(server), entries.pop(key, None)))
    for entry in entries.values():
        server = str(entry.attributes.get("server") or entry.name.rpartition(".")[2])
        on = planned.get(server)
        if on is not None and on.id == entry.id and on.action != "replace":
            wish = wish_of(str(entry.attributes.get("taskserv") or entry.name.partition(".")[0]), server, None, {})
            wish |= {"name": entry.name.removesuffix(f".{server}")}
            wish |= {name: entry.attributes[name] for name in ("version", "params") if entry.attributes.get(name)}
            wish |= _folder_of(clouds, infra, wish["taskserv"])
            changes.append(Change("delete", KIND, entry.name, entry.key, entry.id, entry.provider, wish=wish))
    return changes


def _needs_of_manifests(clouds: Clouds, infra: Infra) -> dict[str, tuple[str, ...]]:
    """By `<name>.<server>`, those of the same form that have to be there first, by the manifests' own needs."""
    if not any(True for _ in infra.all_taskservs()):
        return {}
    from .servicing import create_tasks

    tasks = create_tasks(clouds.workspace, infra)
    names = {task["id"]: f"{task['params']['name']}.{task['params']['server']}" for task in tasks}
    return {names[task["id"]]: tuple(names[need] for need in task.get("needs", ())) for task in tasks}


def wish_of(taskserv: str, server: str, version: str | None, params: Mapping[str, Any]) -> dict[str, Any]:
    return {"taskserv": taskserv, "server": server, "version": version, "params": dict(params)}


def _folder_of(clouds: Clouds, infra: Infra, taskserv: str) -> dict[str, str]:
    """{"folder": digest} of what would remove it now; empty where there is none, which the removal says."""
    from ..taskservs.folders import find_taskserv

    try:
        return {"folder": find_taskserv(clouds.workspace, infra.name, taskserv).signature}
    except (NotFoundError, UsageError):
        return {}


def _folders(clouds: Clouds, infra: Infra) -> dict[str, Folder]:
    """Of all that are declared, by name. Raises NotFoundError."""
    names = {taskserv.taskserv for _, taskserv in infra.all_taskservs()}
    if not names:
        return {}
    from ..taskservs.folders import find_taskserv

    return {name: find_taskserv(clouds.workspace, infra.name, name) for name in names}


def _change(
    taskserv: Taskserv, folder: Folder, server: str, name: str, key: str, on: Change | None, entry: Entry | None
) -> Change:
    wish = wish_of(taskserv.taskserv, server, taskserv.version, taskserv.params)
    wish |= {"name": taskserv.name, "folder": folder.signature}
    provider = on.provider if on is not None else ""
    task = taskserv.policy.task_fields()
    change = Change("create", KIND, name, key, None, provider, wish=wish, needs=taskserv.needs, task=task)
    if entry is None or on is None or on.action in ("create", "replace") or entry.id not in ("", on.id):
        return change
    fields = tuple(_differences(taskserv, folder, entry.attributes))
    return replace(change, action="update" if fields else "exists", id=entry.id, fields=fields)


def _differences(taskserv: Taskserv, folder: Folder, known: Mapping[str, Any]) -> Iterator[FieldChange]:
    """What the inventory does not know, entries of an older form, is not compared."""

    def differs(path: str, before: Any, after: Any) -> Iterator[FieldChange]:
        if before != after:
            yield FieldChange(path, before, after, "in_place")

    yield from differs("taskserv", known.get("taskserv") or taskserv.taskserv, taskserv.taskserv)
    version = taskserv.version or folder.manifest.version
    yield from differs("version", known.get("version") or version, version)
    before = known.get("params")
    if isinstance(before, Mapping):
        after = folder.manifest.completed(taskserv.params)
        for name in dict.fromkeys((*after, *before)):
            yield from differs(f"params.{name}", before.get(name), after.get(name))
    if known.get("folder"):
        yield from differs("files", known["folder"], folder.signature)
