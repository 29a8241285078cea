"""What would be done, before it is done."""

from __future__ import annotations

from typing import Any

import pytest

from provisioning_core.direct import run_direct
from provisioning_core.errors import NotFoundError
from provisioning_core.library import library_root
from provisioning_core.plan import Plan, plan_create, plan_delete, request_create, request_delete
from provisioning_core.workspace import load_workspace


def shape(plan: Plan) -> list[tuple[str, str, str]]:
    return [(change.action, change.kind, change.name) for change in plan.changes]


def create(workspace: Any, **params: Any) -> None:
    outcome = run_direct([library_root()], "servers/create", {"infra": "wuji", **params}, workspace=workspace.path)
    assert outcome.status == "succeeded"


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
