"""Taskservs in plans: what is compared, and in what order it is done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from provisioning_core.clouds import Clouds
from provisioning_core.direct import run_direct
from provisioning_core.infra import load_infra
from provisioning_core.inventory import Inventory
from provisioning_core.library import library_root
from provisioning_core.plan import cluster_tasks, infra_tasks, plan_infra
from provisioning_core.plan.applying import apply_tasks
from provisioning_core.plan.bringing import bring_up
from provisioning_core.taskservs.folders import find_taskserv
from provisioning_core.workspace import Workspace, load_workspace

SERVICES = """\
servers: [{name: s, plan: %s}]
taskservs: [{name: %s, taskserv: site, on: [s], params: {%s}}]
"""
SMALL, BIG = "1cpu-1gb", "2cpu-2gb"


@pytest.fixture
def installed(workspace: Any) -> Any:
    """The server s, with the taskserv `site` on it as the inventory says: port 80."""
    workspace.taskservs("site")
    workspace.define("one", SERVICES % (SMALL, "site", "port: 80"))
    run_direct([library_root()], "servers/create", {"infra": "one"}, workspace=workspace.path)
    loaded = load_workspace(workspace.path)
    (server,) = Inventory(loaded).all(kind="server")
    digest = find_taskserv(loaded, "one", "site").digest
    known = {"taskserv": "site", "server": "s", "version": "1", "params": {"port": 80}, "folder": f"sha256:{digest}"}
    key = f"{loaded.id}/one/taskserv/site.s"
    Inventory(loaded).record(replace(server, key=key, kind="taskserv", name="site.s", attributes=known))
    assert plan_infra(loaded, "one").nothing_to_do
    return workspace


def changed(workspace: Workspace) -> dict[str, list[str]]:
    return {change.name: [field.path for field in change.fields] for change in plan_infra(workspace, "one").to_do}


def needs_of(tasks: list[dict[str, Any]]) -> dict[str, list[str]]:
    return {task["id"]: task.get("needs", []) for task in tasks}


def test_a_parameter_that_is_taken_out_goes_back_to_its_default(installed: Any) -> None:
    installed.define("one", SERVICES % (SMALL, "site", ""))
    (change,) = plan_infra(load_workspace(installed.path), "one").to_do
    assert [(each.path, each.before, each.after) for each in change.fields] == [("params.port", 80, None)]


def test_the_manifests_version_is_compared_where_the_definition_says_none(installed: Any) -> None:
    manifest = installed.path / "taskservs" / "site" / "taskserv.yaml"
    manifest.write_text(manifest.read_text().replace("version: '1'", "version: '2'"))
    assert changed(load_workspace(installed.path)) == {"site.s": ["version", "files"]}


def test_another_file_in_the_folder_is_a_change(installed: Any) -> None:
    (installed.path / "taskservs" / "site" / "install.sh").write_text("#!/bin/sh\n:\n")
    assert changed(load_workspace(installed.path)) == {"site.s": ["files"]}


def test_what_an_older_inventory_does_not_know_is_not_compared(installed: Any) -> None:
    inventory = Inventory(load_workspace(installed.path))
    (entry,) = inventory.all(kind="taskserv")
    older = {name: value for name, value in entry.attributes.items() if name != "folder"}
    inventory.record(replace(entry, attributes=older))
    (installed.path / "taskservs" / "site" / "install.sh").write_text("#!/bin/sh\n:\n")
    assert changed(load_workspace(installed.path)) == {}


def test_what_is_removed_from_a_server_goes_before_what_is_installed(installed: Any) -> None:
    installed.define("one", SERVICES % (SMALL, "other", "port: 80"))
    loaded = load_workspace(installed.path)
    planned = needs_of(apply_tasks(plan_infra(loaded, "one"), loaded.provider))
    assert planned == {"remove.site.s": [], "taskserv.other.s": ["remove.site.s"]}
    brought = needs_of(bring_up(Clouds(loaded), "one", ["delete"]).tasks)
    assert (brought["remove.site.s"], brought["servers"]) == ([], ["remove.site.s"])
    assert brought["taskserv.other"] == ["servers"]


def test_it_is_removed_after_its_server_has_been_changed(installed: Any) -> None:
    installed.define("one", f"servers: [{{name: s, plan: {BIG}}}]")
    loaded = load_workspace(installed.path)
    assert needs_of(apply_tasks(plan_infra(loaded, "one"), loaded.provider))["remove.site.s"] == ["s"]
    brought = needs_of(bring_up(Clouds(loaded), "one", ["delete"]).tasks)
    assert brought["remove.site.s"] == ["update.s"]
    assert set(brought["servers"]) == {"update.s", "remove.site.s"}


def test_a_server_that_does_not_run_is_started_before_anything_is_removed_from_it(installed: Any) -> None:
    installed.define("one", f"servers: [{{name: s, plan: {SMALL}}}]")
    installed.stop("s")
    loaded = load_workspace(installed.path)
    assert needs_of(apply_tasks(plan_infra(loaded, "one"), loaded.provider)) == {"s": [], "remove.site.s": ["s"]}
    tasks = bring_up(Clouds(loaded), "one", ["delete"]).tasks
    assert needs_of(tasks)["remove.site.s"] == ["start.s"]
    (start,) = [task for task in tasks if task["id"] == "start.s"]
    assert start["operation"] == "servers/create-one"
    assert "start.s" not in needs_of(bring_up(Clouds(loaded), "one").tasks), "nothing is to be removed"


def test_what_a_manifest_needs_comes_first_also_where_an_infrastructure_is_brought_up(workspace: Any) -> None:
    workspace.taskservs("site", "base")
    manifest = workspace.path / "taskservs" / "site" / "taskserv.yaml"
    manifest.write_text(manifest.read_text() + "needs: [base]\n")
    services = "[{name: s, taskserv: site, on: [%s]}, {name: b, taskserv: base, on: [%s]}]"
    servers = f"servers: [{{name: x, count: 2, plan: {SMALL}}}]"
    cluster = f"clusters: [{{name: k, roles: [{{name: r, servers: [x]}}], taskservs: {services % ('r', 'r')}}}]"
    for text, path in ((f"taskservs: {services % ('x', 'x')}", ""), (cluster, "cluster.k/")):
        workspace.define("one", f"{servers}\n{text}\n")
        loaded = load_workspace(workspace.path)
        definition = load_infra(loaded, "one")
        tasks = cluster_tasks(loaded, definition, definition.clusters[0]) if path else infra_tasks(loaded, definition)
        assert needs_of(tasks)["taskserv.s"] == ["servers", "taskserv.b"], path
    workspace.define("one", f"{servers}\ntaskservs: {services % ('x-1', 'x-2')}\n")
    loaded = load_workspace(workspace.path)
    assert needs_of(infra_tasks(loaded, load_infra(loaded, "one")))["taskserv.s"] == ["servers"], "another server"


ACROSS = """\
servers: [{name: x, plan: 1cpu-1gb}, {name: y, plan: 1cpu-1gb}]
taskservs: [{name: top, taskserv: %s, on: [x]}]
clusters: [{name: k, roles: [{name: r, servers: [x, y]}], taskservs: [{name: in, taskserv: %s, on: [x]}]}]
"""


@pytest.fixture
def needing(workspace: Any) -> Any:
    """With the folders site, which needs base."""
    workspace.taskservs("site", "base")
    manifest = workspace.path / "taskservs" / "site" / "taskserv.yaml"
    manifest.write_text(manifest.read_text() + "needs: [base]\n")
    return workspace


def test_a_cluster_waits_for_what_its_taskservs_need_from_outside_of_it(needing: Any) -> None:
    needing.define("one", ACROSS % ("base", "site"))
    loaded = load_workspace(needing.path)
    tasks = infra_tasks(loaded, load_infra(loaded, "one", manifests=True))
    needs = needs_of(tasks)
    assert needs == {"servers": [], "taskserv.top": ["servers"], "cluster.k": ["servers", "taskserv.top"]}
    (servers,) = [task for task in tasks if task["id"] == "servers"]
    assert servers["params"]["servers"] == ["x"], "y is made with its cluster"


def test_what_is_outside_waits_for_the_cluster_that_has_what_it_needs(needing: Any) -> None:
    needing.define("one", ACROSS % ("site", "base"))
    loaded = load_workspace(needing.path)
    needs = needs_of(infra_tasks(loaded, load_infra(loaded, "one", manifests=True)))
    assert needs == {"cluster.k": [], "taskserv.top": ["cluster.k"]}


def test_the_plan_says_the_same_order(needing: Any) -> None:
    needing.define("one", ACROSS % ("base", "site"))
    loaded = load_workspace(needing.path)
    needs = needs_of(apply_tasks(plan_infra(loaded, "one"), loaded.provider))
    assert needs["taskserv.in.x"] == ["x", "taskserv.top.x"]
