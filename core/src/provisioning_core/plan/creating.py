"""The expansions that bring an infrastructure up: infra/create, clusters/create, servers/create.

The params of each server's and network's task carry the resolved definition, so that what runs is what was planned,
whatever happens to the file in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..infra import Check, Cluster, Infra, Network, Server, Taskserv
from ..operation import new_task
from ..workspace import Workspace
from .tasks import provider_param, task_id, with_policy

CHECK_MARGIN_S = 60.0  # beyond its deadline: to connect, and to say what came of it


def create_tasks(
    workspace: Workspace, infra: Infra, servers: Sequence[str] | None, *, networks: bool = True
) -> list[dict[str, Any]]:
    """The expansion of servers/create. Local ids: the server's name, and `network.<name>`.

    networks: those that the servers need are made first; False: they are there already.
    """
    chosen = infra.select(servers)
    tasks = [network_task(workspace, infra, each) for each in infra.networks_of(chosen)] if networks else []
    for server in chosen:
        needs = [task_id("network", server.network)] if server.network and networks else []
        tasks.append(server_task(workspace, infra, server, needs))
    return tasks


def network_task(workspace: Workspace, infra: Infra, network: Network) -> dict[str, Any]:
    params = {"infra": infra.name, "name": network.name, "spec": network.spec(), "labels": network.labels}
    params |= provider_param(network.provider, workspace.provider)
    key = workspace.key(infra.name, "network", network.name)
    task = new_task(task_id("network", network.name), "networks/create", params, key=key)
    return with_policy(task, network.policy.task_fields())


def server_task(workspace: Workspace, infra: Infra, server: Server, needs: list[str]) -> dict[str, Any]:
    params = {"infra": infra.name, "name": server.name, "spec": server.spec(), "labels": server.labels}
    params |= provider_param(server.provider, workspace.provider)
    key = workspace.key(infra.name, "server", server.name)
    task = new_task(server.name, "servers/create-one", params, needs=needs, key=key)
    return with_policy(task, server.policy.task_fields())


def infra_tasks(workspace: Workspace, infra: Infra, before: Mapping[str, Sequence[str]] = {}) -> list[dict[str, Any]]:
    """The expansion of infra/create, without changes of what exists: networks, servers, clusters, services.

    before: ids of tasks that `network.<name>`, `servers` or `cluster.<name>` have to wait for besides. A server of a
    cluster is made with its cluster; only where the cluster waits for something that is about one of its own servers,
    that server is made before.
    """
    infra = _ordered(workspace, infra)
    tasks = [network_task(workspace, infra, network) for network in infra.networks]
    made_first = [task["id"] for task in tasks]
    for task in tasks:
        if before.get(task["id"]):
            task["needs"] = list(before[task["id"]])
    clustered = {name for cluster in infra.clusters for name in cluster.servers} - _needed_early(infra)
    alone = [server.name for server in infra.servers if server.name not in clustered]
    if alone:
        params: dict[str, Any] = {"infra": infra.name, "servers": alone, "networks": False}
        needs = [*made_first, *before.get("servers", ())]
        tasks.append(new_task("servers", "servers/create", params, needs=needs))
        made_first = ["servers"]
    ids = _ids(infra.taskservs, infra.checks, infra.clusters)
    for cluster in infra.clusters:
        id = task_id("cluster", cluster.name)
        needs = [*made_first, *before.get(id, ()), *(ids[name] for name in cluster.needs if name in ids)]
        params = {"infra": infra.name, "cluster": cluster.name, "networks": False}
        key = _key(workspace, infra, "cluster", cluster.name)
        task = new_task(id, "clusters/create", params, needs=_unique(needs), key=key)
        tasks.append(with_policy(task, cluster.policy.task_fields()))

    def homes(servers: Iterable[str]) -> list[str]:
        """The tasks that make these servers."""
        wanted = set(servers)
        clusters = [task_id("cluster", each.name) for each in infra.clusters if wanted & clustered & {*each.servers}]
        return (["servers"] if wanted & {*alone} else []) + clusters

    return tasks + _service_tasks(workspace, infra, infra.taskservs, infra.checks, ids, homes)


def cluster_tasks(
    workspace: Workspace, infra: Infra, cluster: Cluster, *, networks: bool = True
) -> list[dict[str, Any]]:
    """The expansion of clusters/create: `servers`, `taskserv.<name>`, `check.<name>`."""
    params: dict[str, Any] = {"infra": infra.name, "servers": list(cluster.servers)}
    tasks = [new_task("servers", "servers/create", params | ({} if networks else {"networks": False}))]
    cluster = _ordered(workspace, infra).cluster(cluster.name)
    ids = _ids(cluster.taskservs, cluster.checks)
    return tasks + _service_tasks(workspace, infra, cluster.taskservs, cluster.checks, ids, lambda _: ["servers"])


def check_params(infra: str, check: Check) -> dict[str, Any]:
    """The params of checks/await."""
    params: dict[str, Any] = {"infra": infra, "name": check.name, "targets": list(check.targets)}
    params["sources"] = list(check.sources)
    asked = {"tcp": check.tcp, "http": check.http, "command": check.command}
    params |= {name: value for name, value in asked.items() if value is not None}
    return params | {"deadline_s": check.deadline_s, "interval_s": check.interval_s}


def check_policy(check: Check) -> dict[str, Any]:
    """A check has its own patience: the task's must be longer."""
    return {"timeout_s": check.deadline_s + CHECK_MARGIN_S} | check.policy.task_fields()


def _service_tasks(
    workspace: Workspace,
    infra: Infra,
    taskservs: Sequence[Taskserv],
    checks: Sequence[Check],
    ids: Mapping[str, str],
    homes: Any,
) -> list[dict[str, Any]]:
    tasks = []
    for taskserv in taskservs:
        needs = homes(taskserv.servers) + [ids[name] for name in taskserv.needs if name in ids]
        params: dict[str, Any] = {"infra": infra.name, "taskservs": [taskserv.name]}
        tasks.append(new_task(ids[taskserv.name], "taskservs/create", params, needs=_unique(needs)))
    for check in checks:
        needs = homes((*check.targets, *check.sources)) + [ids[name] for name in check.needs if name in ids]
        params, key = check_params(infra.name, check), _key(workspace, infra, "check", check.name)
        task = new_task(ids[check.name], "checks/await", params, needs=_unique(needs), key=key)
        tasks.append(with_policy(task, check_policy(check)))
    return tasks


def _ordered(workspace: Workspace, infra: Infra) -> Infra:
    """With what the manifests need among the `needs`: of a taskserv what is beside it, of a cluster what its taskservs
    have to find on their servers from outside of it.

    A folder that is not there or not good says nothing: the task that installs it does.
    """
    declared = [taskserv for _, taskserv in infra.all_taskservs()]
    if len(declared) < 2:
        return infra
    from ..infra.declared import look_up, orders  # only where taskservs are declared

    more: dict[str, list[str]] = {}
    for order in orders(infra, look_up(workspace, infra.name, declared).manifests):
        more.setdefault(order.own, []).append(order.other)

    def needs(each: Taskserv | Cluster) -> tuple[str, ...]:
        return tuple(_unique((*each.needs, *more.get(each.name, ()))))

    def told(taskservs: Iterable[Taskserv]) -> tuple[Taskserv, ...]:
        return tuple(replace(each, needs=needs(each)) for each in taskservs)

    clusters = [replace(each, needs=needs(each), taskservs=told(each.taskservs)) for each in infra.clusters]
    return replace(infra, taskservs=told(infra.taskservs), clusters=tuple(clusters))


def _ids(taskservs: Sequence[Taskserv], checks: Sequence[Check], clusters: Sequence[Cluster] = ()) -> dict[str, str]:
    """Names of taskservs, checks and clusters, which are unique among each other, to the ids of their tasks."""
    named = {"taskserv": [each.name for each in taskservs], "check": [each.name for each in checks]}
    named["cluster"] = [each.name for each in clusters]
    return {name: task_id(prefix, name) for prefix, names in named.items() for name in names}


def _needed_early(infra: Infra) -> set[str]:
    """Servers of a cluster that something is about which this very cluster waits for: they can't be made with it."""
    about = {each.name: {*each.servers} for each in infra.taskservs}
    about |= {each.name: {*each.targets, *each.sources} for each in infra.checks}
    needs = {each.name: each.needs for each in infra.taskservs} | {each.name: each.needs for each in infra.checks}
    needs |= {each.name: each.needs for each in infra.clusters}
    early: set[str] = set()
    for cluster in infra.clusters:
        waited, open_ = set[str](), list(cluster.needs)
        while open_:
            name = open_.pop()
            if name not in waited:
                waited.add(name)
                open_ += needs.get(name, ())
        early |= {*cluster.servers} & set().union(*(about.get(name, set()) for name in waited))
    return early


def _key(workspace: Workspace, infra: Infra, kind: str, name: str) -> str:
    """What people see it by; nothing is found again by it."""
    return f"{workspace.id}/{infra.name}/{kind}/{name}"


def _unique(ids: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(ids))
