"""The tasks that make a plan true, and nothing else: one per change (two where it replaces), each with what it expects.

Order: servers go before the network that they are in; a network is there before its servers; taskservs come after their
server, after what they need, and after what is removed from it: two of one folder share its files. The checks of the
definition are awaited among them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..operation import new_task
from .model import Change, Plan
from .precondition import expect_absent, expect_fields, expect_folder, expect_seen
from .tasks import provider_param, task_id, with_policy


def apply_tasks(plan: Plan, default: str) -> list[dict[str, Any]]:
    """The expansion of infra/apply. plan: with all texts (`unsealed`). default: the workspace's own provider."""
    return PlannedTasks(plan, default).all()


class PlannedTasks:
    def __init__(self, plan: Plan, default: str) -> None:
        self._plan, self._default = plan, default
        self._to_do = plan.to_do
        self._networks = [each for each in self._to_do if each.kind == "network"]
        self._servers = [each for each in self._to_do if each.kind == "server"]
        self._services = [each for each in self._to_do if each.kind == "taskserv"]

    def all(self) -> list[dict[str, Any]]:
        made = [self._network_made(each) for each in self._networks if each.action in ("create", "replace", "update")]
        servers = [self._server(each) for each in self._servers if each.action != "delete"]
        return [*self.removing(self._kept()), *made, *servers, *self._installed(), *self._gates()]

    def removing(self, changing: Mapping[str, str]) -> list[dict[str, Any]]:
        """What is deleted, for good or to be made again.

        changing: of each server that is changed or started first, which a service could not be removed from meanwhile,
        the id of that task.
        """
        removed = [self._removed(each, changing) for each in self._services if each.action == "delete"]
        leaving = [task for each in self._servers for task in self._leaving(each)]
        gone = [task["id"] for task in leaving]
        moving = [
            _id(each)
            for each in self._servers
            if each.action == "update" and any(field.path == "network" for field in each.fields)
        ]
        networks: list[dict[str, Any]] = []
        # Only the first network of each sort waits for all servers, the others for it: no product of edges. One that is
        # replaced can't wait for a server that moves into it, and has no need to: all that are in it are replaced too.
        for action, freed in (("replace", gone), ("delete", gone + moving)):
            first: list[str] = []
            for each in self._networks:
                if each.action == action:
                    networks.append(self._network_delete(each, first or freed))
                    first = first or [networks[-1]["id"]]
        return [*removed, *leaving, *networks]

    def updating(self) -> list[dict[str, Any]]:
        """What is changed in place; servers need `network.<name>` of the network that they are to be in.

        A server that only has to be started is among them where something is to be removed from it.
        """
        tasks = []
        emptied = {_server_of(each) for each in self._services if each.action == "delete"}
        for change in self._to_do:
            if change.action == "update" and change.kind == "network":
                tasks.append(self._updated(change, "networks/update", [], task_id("update.network", change.name)))
            elif change.action == "update" and change.kind == "server":
                needs = [task_id("network", change.network)] if change.network else []
                tasks.append(self._updated(change, "servers/update-one", needs, task_id("update", change.name)))
            elif change.action == "start" and change.name in emptied:
                needs = [task_id("network", change.network)] if change.network else []
                tasks.append(self._made(change, "servers/create-one", needs, task_id("start", change.name)))
        return tasks

    def _leaving(self, change: Change) -> Iterator[dict[str, Any]]:
        if change.action in ("delete", "replace"):
            replaced = change.action == "replace"
            expect = expect_seen(self._plan, change, replaced=replaced)
            id = task_id("replace", change.name) if replaced else _id(change)
            params = self._params(change, change.old_provider or change.provider) | {"expect": expect}
            yield new_task(id, "servers/delete-one", params, key=change.key)

    def _network_delete(self, change: Change, needs: list[str]) -> dict[str, Any]:
        replaced = change.action == "replace"
        expect = expect_seen(self._plan, change, replaced=replaced)
        id = task_id("replace.network", change.name) if replaced else _id(change)
        params = self._params(change, change.old_provider or change.provider) | {"expect": expect}
        return new_task(id, "networks/delete", params, needs=needs, key=change.key)

    def _network_made(self, change: Change) -> dict[str, Any]:
        needs = [task_id("replace.network", change.name)] if change.action == "replace" else []
        if change.action == "update":
            return self._updated(change, "networks/update", needs)
        return self._made(change, "networks/create", needs)

    def _server(self, change: Change) -> dict[str, Any]:
        needs = [_id(each) for each in self._networks if each.action != "delete" and each.name == change.network]
        if change.action == "replace":
            needs.append(task_id("replace", change.name))
        if change.action == "update":
            return self._updated(change, "servers/update-one", needs)
        return self._made(change, "servers/create-one", needs)

    def _made(self, change: Change, operation: str, needs: list[str], id: str | None = None) -> dict[str, Any]:
        expect = expect_seen(self._plan, change) if change.action == "start" else expect_absent(self._plan)
        params = self._params(change, change.provider) | _wished(change) | {"expect": expect}
        return with_policy(new_task(id or _id(change), operation, params, needs=needs, key=change.key), change.task)

    def _updated(self, change: Change, operation: str, needs: list[str], id: str | None = None) -> dict[str, Any]:
        params = self._params(change, change.provider) | {"id": change.id} | _wished(change)
        params |= {"expect": expect_fields(self._plan, change)}
        return with_policy(new_task(id or _id(change), operation, params, needs=needs, key=change.key), change.task)

    def _installed(self) -> Iterator[dict[str, Any]]:
        servers = self._kept()
        removed: dict[str, list[str]] = {}
        for change in self._services:
            if change.action == "delete":
                removed.setdefault(_server_of(change), []).append(removal_id(change))
        for change in self._services:
            if change.action in ("create", "update"):
                wish = dict(change.wish or {})
                needs = [servers[wish["server"]]] if wish["server"] in servers else []
                needs += removed.get(wish["server"], [])
                needs = list(dict.fromkeys(needs + [id for name in change.needs for id in self._done_by(name)]))
                params = self._service_params(change)
                id = task_id("taskserv", change.name)
                task = new_task(id, "taskservs/install-one", params, needs=needs, key=change.key)
                yield with_policy(task, change.task)

    def _removed(self, change: Change, changing: Mapping[str, str]) -> dict[str, Any]:
        params = self._service_params(change)
        needs = [changing[_server_of(change)]] if _server_of(change) in changing else []
        return new_task(removal_id(change), "taskservs/remove-one", params, needs=needs, key=change.key)

    def _service_params(self, change: Change) -> dict[str, Any]:
        told = {name: value for name, value in (change.wish or {}).items() if value is not None and name != "folder"}
        expect = expect_folder(self._plan, change)
        return {"infra": self._plan.infra} | told | ({"expect": expect} if expect else {})

    def _gates(self) -> Iterator[dict[str, Any]]:
        """Only where something is made or changed: a plan that only deletes has nothing to wait for."""
        if all(change.action == "delete" for change in self._to_do):
            return
        servers = self._kept()
        for gate in self._plan.gates:
            about = [*gate.params.get("targets", ()), *gate.params.get("sources", ())]
            needs = [servers[name] for name in about if name in servers]
            needs += [id for name in gate.needs for id in self._done_by(name)]
            task = new_task(
                task_id("check", gate.name), "checks/await", dict(gate.params), needs=list(dict.fromkeys(needs))
            )
            yield with_policy(task, gate.task)

    def _done_by(self, name: str) -> list[str]:
        """The tasks after which the taskserv or check of this name is done."""
        if any(gate.name == name for gate in self._plan.gates):
            return [task_id("check", name)]
        services = (each for each in self._services if each.action != "delete")
        done = (each for each in services if name in (each.name, (each.wish or {}).get("name")))
        return [task_id("taskserv", each.name) for each in done]

    def _kept(self) -> dict[str, str]:
        """Of the servers that will be there, and about which something is done, the task after which they are."""
        return {each.name: _id(each) for each in self._servers if each.action != "delete"}

    def _params(self, change: Change, provider: str) -> dict[str, Any]:
        return {"infra": self._plan.infra, "name": change.name} | provider_param(provider, self._default)


def removal_id(change: Change) -> str:
    """Of a taskserv that is removed."""
    return task_id("remove", change.name)


def _server_of(change: Change) -> str:
    """The server that a taskserv is on."""
    return str((change.wish or {}).get("server"))


def _id(change: Change) -> str:
    return change.name if change.kind == "server" else task_id(change.kind, change.name)


def _wished(change: Change) -> dict[str, Any]:
    return {name: value for name, value in (change.wish or {}).items() if name in ("spec", "labels")}
