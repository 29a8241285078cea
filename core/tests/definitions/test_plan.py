"""What would be done, before it is done."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.direct import run_direct
from provisioning_core.errors import ConflictError, NotFoundError, UsageError
from provisioning_core.infra import load_infra
from provisioning_core.inventory import Inventory
from provisioning_core.library import library_root
from provisioning_core.plan import (
    Plan,
    infra_tasks,
    plan_create,
    plan_delete,
    plan_infra,
    request_create,
    request_delete,
)
from provisioning_core.plan.applying import apply_tasks
from provisioning_core.plan.document import plan_document, plan_of, read_plan, unsealed, write_plan
from provisioning_core.plan.tasks import task_id
from provisioning_core.plan.words import change_words, summary
from provisioning_core.testing.ledger_provider import LedgerProvider
from provisioning_core.workspace import load_workspace


def shape(plan: Plan) -> list[tuple[str, str, str]]:
    return [(change.action, change.kind, change.name) for change in plan.changes]


def create(workspace: Any, **params: Any) -> None:
    outcome = run_direct([library_root()], "servers/create", {"infra": "wuji", **params}, workspace=workspace.path)
    assert outcome.status == "succeeded"


def fields(plan: Plan) -> dict[str, list[tuple[str, Any, Any, str]]]:
    return {
        change.name: [(each.path, each.before, each.after, each.effect) for each in change.fields]
        for change in plan.to_do
    }


def test_a_create_plans_what_is_missing_networks_first(workspace: Any) -> None:
    loaded = load_workspace(workspace.path)
    plan = plan_create(loaded, "wuji", ["web-1"])
    assert shape(plan) == [("create", "network", "wuji-net"), ("create", "server", "web-1")]
    assert not plan.nothing_to_do
    assert plan.changes[1].key == "test-ws/wuji/server/web-1"
    assert workspace.calls() == []
    create(workspace, servers=["web-1"])
    plan = plan_create(loaded, "wuji")
    assert [change.action for change in plan.changes] == ["exists", "exists", "create", "create", "create"]
    assert (plan.changes[1].id or "").startswith("server-")
    create(workspace)
    assert plan_create(loaded, "wuji").nothing_to_do


def test_a_server_that_does_not_run_is_something_to_do(workspace: Any) -> None:
    create(workspace)
    workspace.stop("web-2")
    plan = plan_create(load_workspace(workspace.path), "wuji", ["web-1", "web-2"])
    assert shape(plan)[1:] == [("exists", "server", "web-1"), ("start", "server", "web-2")]
    assert not plan.nothing_to_do
    create(workspace)
    assert plan_create(load_workspace(workspace.path), "wuji").nothing_to_do


def test_a_delete_plans_what_exists_only(workspace: Any) -> None:
    loaded = load_workspace(workspace.path)
    assert plan_delete(loaded, "wuji").changes == ()
    create(workspace, servers=["web-1"])
    assert shape(plan_delete(loaded, "wuji")) == [("delete", "server", "web-1"), ("delete", "network", "wuji-net")]
    assert shape(plan_delete(loaded, "wuji", ["web-1", "web-2"])) == [("delete", "server", "web-1")]


def test_names_that_are_not_there_are_refused(workspace: Any) -> None:
    loaded = load_workspace(workspace.path)
    for plan in (plan_create, plan_delete):
        with pytest.raises(NotFoundError, match=r"no server 'db-l'\. Did you mean 'db-1'"):
            plan(loaded, "wuji", ["db-l"])
        with pytest.raises(NotFoundError, match="no infrastructure 'wjui'"):
            plan(loaded, "wjui")


def test_a_request_is_the_body_of_the_api() -> None:
    assert request_create("wuji") == {"infra": "wuji", "params": {}}
    assert request_delete("wuji", ["web-1"]) == {"infra": "wuji", "params": {"servers": ["web-1"]}}


# --- per field -----------------------------------------------------------------------------------------------------

ONE = "servers:\n  - {name: a, plan: 1cpu-1gb, labels: {role: web, old: x}, %s}\n"


def one(workspace: Any, more: str) -> Plan:
    """The plan for an infra of one server, defined so."""
    workspace.define("one", ONE % more)
    return plan_infra(load_workspace(workspace.path), "one")


@pytest.fixture
def made(workspace: Any) -> Any:
    workspace.define("one", ONE % "firewall: [{protocol: tcp, ports: 22}], storages: [{name: d, size_gb: 5}]")
    assert (
        run_direct([library_root()], "infra/create", {"infra": "one"}, workspace=workspace.path).status == "succeeded"
    )
    return workspace


def test_every_field_that_differs_is_told_with_what_its_change_costs(made: Any) -> None:
    made.define(
        "one",
        "servers:\n  - {name: a, plan: 2cpu-4gb, labels: {role: db, new: y}, image: debian-12,"
        " firewall: [{protocol: tcp, ports: 80}], storages: [{name: d, size_gb: 6}, {name: e, size_gb: 1}]}\n",
    )
    plan = plan_infra(load_workspace(made.path), "one")
    assert shape(plan) == [("replace", "server", "a")]
    rule: dict[str, Any] = {"protocol": "tcp", "source": None}
    tier: dict[str, Any] = {"tier": "standard"}
    assert fields(plan)["a"] == [
        ("plan", "1cpu-1gb", "2cpu-4gb", "restart"),
        ("image", "debian-13", "debian-12", "replace"),
        ("firewall", [rule | {"ports": [22, 22]}], [rule | {"ports": [80, 80]}], "in_place"),
        ("storages.d", {"size_gb": 5} | tier, {"size_gb": 6} | tier, "in_place"),
        ("storages.e", None, {"size_gb": 1} | tier, "in_place"),
        ("labels.role", "web", "db", "in_place"),
        ("labels.old", "x", None, "in_place"),
        ("labels.new", None, "y", "in_place"),
    ]
    assert change_words(plan.changes[0]).startswith(
        "server a  plan: 1cpu-1gb -> 2cpu-4gb (restart), image: debian-13 ->"
    )
    assert "firewall: tcp/22 -> tcp/80, " in change_words(plan.changes[0])
    assert summary(plan) == "1 to replace"


def test_what_means_the_same_is_no_change(made: Any) -> None:
    same = "firewall: [{protocol: tcp, ports: 22-22}], storages: [{size_gb: 5, name: d}], zone: ledger, disk_gb: 10"
    assert one(made, same).nothing_to_do


def test_user_data_is_a_digest_in_all_that_is_told(workspace: Any) -> None:
    workspace.define("one", ONE % "user_data: 'hunter2-first'")
    run_direct([library_root()], "infra/create", {"infra": "one"}, workspace=workspace.path)
    plan = one(workspace, "user_data: 'hunter2-second'")
    ((path, before, after, _),) = fields(plan)["a"]
    assert path == "user_data"
    assert before != after
    assert before.startswith("sha256:") and after.startswith("sha256:")
    assert "hunter2" not in json.dumps(plan_document(plan)) + change_words(plan.changes[0])
    for file in (workspace.path / ".provisioning").rglob("*.json"):
        assert "hunter2" not in file.read_text()


def test_what_a_provider_cannot_observe_is_compared_with_what_was_wished_last(made: Any) -> None:
    ledger = made.path / ".ledger" / "ledger.json"
    document = json.loads(ledger.read_text())
    for resource in document["resources"].values():
        resource["attributes"]["spec"] = {"plan": "1cpu-1gb"}
        del resource["attributes"]["labels"]
    ledger.write_text(json.dumps(document))
    rule = "firewall: [{protocol: tcp, ports: 22}], storages: [{name: d, size_gb: 5}]"
    assert one(made, rule).nothing_to_do
    changed = fields(one(made, "firewall: [{protocol: udp, ports: 22}], disk_gb: 20"))["a"]
    assert [path for path, *_ in changed] == ["disk_gb", "firewall", "storages.d"]
    inventory = Inventory(load_workspace(made.path))
    for entry in inventory.all():
        inventory.forget(entry.key)
    assert one(made, "disk_gb: 20").nothing_to_do, "nobody knows how it was: no change is invented"


def test_a_network_that_is_replaced_takes_its_servers_with_it(workspace: Any) -> None:
    create(workspace)
    text = (workspace.path / "infra" / "wuji.yaml").read_text()
    workspace.define("wuji", text.replace("10.77.0.0", "10.78.0.0"))
    plan = plan_infra(load_workspace(workspace.path), "wuji")
    assert {name: action for action, _, name in shape(plan)} == {
        "wuji-net": "replace", "web-1": "replace", "web-2": "replace", "db-1": "replace", "lonely": "exists",
    }  # fmt: skip
    tasks = {task["id"]: task.get("needs", []) for task in apply_tasks(plan, load_workspace(workspace.path).provider)}
    gone = {"replace.web-1", "replace.web-2", "replace.db-1"}
    assert set(tasks["replace.network.wuji-net"]) == gone
    assert tasks["network.wuji-net"] == ["replace.network.wuji-net"]
    assert set(tasks["web-1"]) == {"network.wuji-net", "replace.web-1"}


def test_what_has_our_labels_and_is_not_defined_is_deleted_servers_first(workspace: Any) -> None:
    create(workspace)
    workspace.define("wuji", "servers:\n  - {name: lonely, plan: 1cpu-1gb}\n")
    plan = plan_infra(load_workspace(workspace.path), "wuji")
    assert shape(plan) == [
        ("exists", "server", "lonely"),
        ("delete", "server", "db-1"),
        ("delete", "server", "web-1"),
        ("delete", "server", "web-2"),
        ("delete", "network", "wuji-net"),
    ]
    done, left = plan.parted(frozenset())
    assert done.nothing_to_do
    assert len(left) == 4
    assert plan.parted(frozenset({"delete"}))[1] == ()


# --- the document --------------------------------------------------------------------------------------------------


def test_a_plan_is_the_same_after_it_was_kept(made: Any, tmp_path: Path) -> None:
    plan = one(made, "firewall: [{protocol: tcp, ports: 443}]")
    write_plan(plan, tmp_path / "plan")
    kept = read_plan(tmp_path / "plan")
    assert plan_document(kept) == plan_document(plan)
    assert (kept.id, kept.infra, kept.workspace) == (plan.id, "one", "test-ws")
    assert json.loads((tmp_path / "plan").read_text())["version"] == 1


def test_a_plan_that_is_none_is_refused_with_all_that_is_wrong(tmp_path: Path, made: Any) -> None:
    good = plan_document(one(made, "disk_gb: 20"))
    bad = {**good, "changes": [{**good["changes"][0], "action": "crate", "wish": None, "colour": 1}, 7]}
    with pytest.raises(UsageError) as caught:
        plan_of(bad)
    for words in ("changes[0]: unknown field 'colour'", "action is 'crate'", "changes[1]: 7 is not an object"):
        assert words in caught.value.message
    none: tuple[Any, ...] = (None, [], {}, {**good, "version": 2}, {**good, "changes": None}, {**good, "gates": [1]})
    for document in none:
        with pytest.raises(UsageError, match="this is no plan"):
            plan_of(document)
    (tmp_path / "x").write_text("{")
    with pytest.raises(UsageError, match="is not JSON"):
        read_plan(tmp_path / "x")
    with pytest.raises(UsageError, match="cannot read the plan"):
        read_plan(tmp_path / "none")


def test_the_text_behind_a_digest_has_to_be_the_planned_one(workspace: Any) -> None:
    plan = plan_of(plan_document(one(workspace, "user_data: 'planned'")))
    loaded = load_workspace(workspace.path)
    opened = unsealed(plan, load_infra(loaded, "one"))
    assert (opened.changes[0].wish or {})["spec"]["user_data"] == "planned"
    workspace.define("one", ONE % "user_data: 'changed'")
    for definition in (load_infra(loaded, "one"), None):
        with pytest.raises(ConflictError, match="user_data has been changed") as caught:
            unsealed(plan, definition)
        assert caught.value.code == "plan_stale"


# --- the chain -----------------------------------------------------------------------------------------------------

WHOLE = """\
networks: [{name: net, cidr: 10.1.0.0/24}]
servers:
  - {name: w, count: 2, plan: 1cpu-1gb, network: net, policy: {timeout_s: 77}}
  - {name: c, count: 2, plan: 1cpu-1gb, network: net}
taskservs:
  - {name: base, taskserv: base, on: [w, c-1]}
  - {name: late, taskserv: late, on: [c-2], needs: [k]}
checks:
  - {name: up, on: [w-1], tcp: 80, deadline_s: 9, needs: [base]}
clusters:
  - name: k
    roles: [{name: all, servers: [c]}]
    taskservs: [{name: agent, taskserv: agent, on: [all]}]
    checks: [{name: ready, on: [c-1], command: "true", needs: [agent]}]
    needs: [up]
"""


def test_everything_comes_up_in_the_order_of_its_needs(workspace: Any) -> None:
    workspace.define("whole", WHOLE)
    loaded = load_workspace(workspace.path)
    tasks = {task["id"]: task for task in infra_tasks(loaded, load_infra(loaded, "whole"))}
    assert {id: task["operation"] for id, task in tasks.items()} == {
        "network.net": "networks/create",
        "servers": "servers/create",
        "cluster.k": "clusters/create",
        "taskserv.base": "taskservs/create",
        "taskserv.late": "taskservs/create",
        "check.up": "checks/await",
    }
    # c-1 is made before its cluster: the cluster waits for a check that waits for a taskserv on it.
    assert tasks["servers"]["params"] == {"infra": "whole", "servers": ["w-1", "w-2", "c-1"], "networks": False}
    assert {id: set(task.get("needs", ())) for id, task in tasks.items()} == {
        "network.net": set(),
        "servers": {"network.net"},
        "taskserv.base": {"servers"},
        "check.up": {"servers", "taskserv.base"},
        "cluster.k": {"servers", "check.up"},
        "taskserv.late": {"cluster.k"},
    }
    assert tasks["check.up"]["timeout_s"] > 9
    create_one = run_direct([library_root()], "servers/create", {"infra": "whole"}, workspace=workspace.path).tasks[2]
    assert create_one.doc["timeout_s"] == 77


def test_ids_that_would_be_too_long_stay_different() -> None:
    ids = {task_id("network", "n" * 60 + ending) for ending in ("a", "b")}
    assert len(ids) == 2
    assert {len(id) for id in ids} == {64}
    assert task_id("network", "net") == "network.net"


def test_taskservs_are_planned_from_what_is_remembered(workspace: Any) -> None:
    workspace.define("whole", WHOLE)
    workspace.taskservs("base", "late", "agent")
    loaded = load_workspace(workspace.path)
    assert run_direct([library_root()], "servers/create", {"infra": "whole"}, workspace=workspace.path).tasks
    plan = plan_infra(loaded, "whole")
    services = {change.name: change for change in plan.changes if change.kind == "taskserv"}
    assert {change.action for change in services.values()} == {"create"}
    assert list(services) == ["base.w-1", "base.w-2", "base.c-1", "late.c-2", "agent.c-1", "agent.c-2"]
    assert services["late.c-2"].needs == ("agent", "ready")
    assert services["agent.c-1"].needs == ("up",)
    inventory = Inventory(loaded)
    servers = {entry.name: entry for entry in inventory.all(kind="server")}
    for name, change in services.items():
        server = servers[name.partition(".")[2]]
        wish = {"taskserv": name.partition(".")[0], "server": server.name, "version": "1", "params": {"port": None}}
        entry = replace(server, key=change.key, kind="taskserv", name=name, attributes=wish)
        inventory.record(entry if name != "base.c-1" else replace(entry, id="another"))
    actions = {change.name: change.action for change in plan_infra(loaded, "whole").to_do}
    assert actions == {"base.c-1": "create"}, "it was installed on a server of that name that is no more"
    workspace.define(
        "whole",
        WHOLE.replace("taskserv: base,", "taskserv: base, params: {port: 2},").replace("on: [w, c-1]", "on: [w-1]"),
    )
    found = {change.name: change for change in plan_infra(loaded, "whole").to_do}
    assert {name: change.action for name, change in found.items()} == {"base.w-1": "update", "base.w-2": "delete"}
    assert [each.path for each in found["base.w-1"].fields] == ["params.port"]
    tasks = {task["id"]: task for task in apply_tasks(plan_infra(loaded, "whole"), loaded.provider)}
    assert tasks["taskserv.base.w-1"]["operation"] == "taskservs/install-one"
    assert tasks["remove.base.w-2"]["operation"] == "taskservs/remove-one"
    assert tasks["check.up"]["needs"] == ["taskserv.base.w-1"]


def test_a_plan_asks_each_provider_once_for_each_kind(workspace: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    listed = LedgerProvider.list

    def count(self: Any, kind: Any, *, infra: str | None = None) -> Any:
        asked.append(kind)
        return listed(self, kind, infra=infra)

    monkeypatch.setattr(LedgerProvider, "list", count)
    plan_infra(load_workspace(workspace.path), "wuji")
    assert sorted(asked) == ["network", "server"]
