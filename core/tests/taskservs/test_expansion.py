"""What taskservs/create and taskservs/delete expand into: per taskserv and server, in the order of the needs."""

from __future__ import annotations

from typing import Any

import pytest

from provisioning_core.errors import NotFoundError, UsageError
from provisioning_core.infra.model import Cluster, Infra, Policy, Server, Taskserv
from provisioning_core.inventory import Entry, Inventory
from provisioning_core.plan.servicing import create_tasks, delete_tasks
from provisioning_core.workspace import Workspace

SERVERS = tuple(Server(name, plan="1cpu-1gb", group=name[:-2]) for name in ("web-1", "web-2", "db-1"))
DB = Taskserv("db", "postgresql", ("db-1",))
WEB = Taskserv("web", "nginx", ("web-1", "web-2"), {"port": 8080}, needs=("db",), policy=Policy(timeout_s=99))
FIGURES = Taskserv("figures", "node-exporter", ("web-1", "web-2", "db-1"))


def tasks_of(workspace: Workspace, *taskservs: Taskserv, **chosen: Any) -> dict[str, dict[str, Any]]:
    infra = Infra("wuji", servers=SERVERS, taskservs=taskservs)
    return {task["id"]: task for task in create_tasks(workspace, infra, **chosen)}


def test_one_task_per_taskserv_and_server(workspace: Workspace) -> None:
    tasks = tasks_of(workspace, DB, WEB)
    assert list(tasks) == ["db.db-1", "web.web-1", "web.web-2"]
    assert tasks["web.web-1"] == {
        "id": "web.web-1",
        "operation": "taskservs/install-one",
        "params": {
            "infra": "wuji",
            "name": "web",
            "taskserv": "nginx",
            "server": "web-1",
            "params": {"port": 8080},
        },
        "needs": ["db.db-1"],
        "key": "ws/wuji/taskserv/web.web-1",
        "timeout_s": 99,
    }
    assert "needs" not in tasks["db.db-1"]


def test_a_need_on_the_same_server_waits_for_that_server_alone(workspace: Workspace) -> None:
    watched = Taskserv("watched", "redis", ("web-1", "web-2"), needs=("figures",))
    tasks = tasks_of(workspace, FIGURES, watched)
    assert tasks["watched.web-1"]["needs"] == ["figures.web-1"]
    assert tasks["watched.web-2"]["needs"] == ["figures.web-2"]


def test_some_of_them_wait_only_for_what_is_among_them(workspace: Workspace) -> None:
    tasks = tasks_of(workspace, DB, WEB, taskservs=["web"], servers=["web-2"])
    assert list(tasks) == ["web.web-2"]
    assert "needs" not in tasks["web.web-2"]


def test_what_the_manifest_needs_must_be_declared_for_the_same_server(workspace: Workspace) -> None:
    folder = workspace.path / "taskservs" / "shop"
    folder.mkdir(parents=True)
    (folder / "taskserv.yaml").write_text("name: shop\nversion: '1'\nneeds: [nginx]\n")
    (folder / "install.sh").write_text("#!/bin/sh\n")
    shop = Taskserv("shop", "shop", ("web-1", "db-1"))
    with pytest.raises(UsageError, match="shop: on: needs nginx on the same server; none is declared for db-1"):
        tasks_of(workspace, DB, WEB, shop)
    tasks = tasks_of(workspace, DB, WEB, Taskserv("shop", "shop", ("web-1",)))
    assert tasks["shop.web-1"]["needs"] == ["web.web-1"]


def test_everything_that_is_wrong_is_said_at_once(workspace: Workspace) -> None:
    bad = Taskserv("bad", "nginx", ("db-1",), {"prot": 1})
    twice = Taskserv("twice", "nginx", ("db-1",), {"port": 0})
    with pytest.raises(UsageError) as caught:
        tasks_of(workspace, bad, twice)
    for part in (
        "twice: name: is nginx on db-1, which bad is there already",
        "bad: params.prot: there is no parameter",
        "twice: params.port: 0",
    ):
        assert part in caught.value.message


def test_an_unknown_folder_or_name_is_named_with_the_nearest(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match=r"no taskserv 'ngnix'; there are: .*redis\. Did you mean 'nginx'\?"):
        tasks_of(workspace, Taskserv("web", "ngnix", ("web-1",)))
    with pytest.raises(NotFoundError, match=r"no taskserv 'wbe'\. Did you mean 'web'\?"):
        tasks_of(workspace, DB, WEB, taskservs=["wbe"])
    with pytest.raises(NotFoundError, match="no server 'web-3'"):
        tasks_of(workspace, DB, WEB, servers=["web-3"])


def test_those_of_clusters_are_there_too(workspace: Workspace) -> None:
    cluster = Cluster("shop", {"db": ("db-1",)}, taskservs=(DB,))
    infra = Infra("wuji", servers=SERVERS, clusters=(cluster,), taskservs=(FIGURES,))
    assert [task["id"] for task in create_tasks(workspace, infra)][-1] == "db.db-1"
    assert [task["id"] for task in create_tasks(workspace, infra, ["db"])] == ["db.db-1"]


DEFINITION = """\
servers:
  - {name: web-1, plan: 1cpu-1gb}
  - {name: db-1, plan: 1cpu-1gb}
taskservs:
  - {name: db, taskserv: postgresql, on: [db-1]}
  - {name: web, taskserv: nginx, on: [web-1], needs: [db], params: {port: 8080}}
"""


def test_a_removal_goes_the_other_way_round(workspace: Workspace) -> None:
    (workspace.path / "infra" / "wuji.yaml").write_text(DEFINITION)
    tasks = {task["id"]: task for task in delete_tasks(workspace, "wuji", purge=True)}
    assert tasks["db.db-1"]["needs"] == ["web.web-1"]
    assert "needs" not in tasks["web.web-1"]
    assert tasks["web.web-1"]["operation"] == "taskservs/remove-one"
    assert tasks["web.web-1"]["params"] == {
        "infra": "wuji",
        "name": "web",
        "server": "web-1",
        "taskserv": "nginx",
        "params": {"port": 8080},
        "purge": True,
    }


def test_what_is_only_remembered_is_removed_as_well(workspace: Workspace) -> None:
    attributes = {"taskserv": "redis", "server": "db-1", "version": "distribution", "params": {"port": 6380}}
    key = "ws/wuji/taskserv/cache.db-1"
    Inventory(workspace).record(Entry(key, "taskserv", "wuji", "cache.db-1", "local", "srv-1", attributes=attributes))
    (task,) = delete_tasks(workspace, "wuji")
    assert (task["id"], task["key"], task["params"]["taskserv"]) == ("cache.db-1", key, "redis")
    with pytest.raises(NotFoundError, match="no taskserv 'cash'"):
        delete_tasks(workspace, "wuji", ["cash"])


def test_an_infrastructure_that_nobody_knows_is_an_error(workspace: Workspace) -> None:
    with pytest.raises(NotFoundError):
        delete_tasks(workspace, "nobody")
