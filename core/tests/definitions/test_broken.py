"""Servers that are there and can't be used: in error at their provider, or never seen to be made to their end."""

from __future__ import annotations

from typing import Any

import pytest

from provisioning_core.clouds import Clouds
from provisioning_core.direct import run_direct
from provisioning_core.errors import ConflictError
from provisioning_core.infra import load_infra
from provisioning_core.inventory import Inventory
from provisioning_core.library import library_root
from provisioning_core.plan import plan_create, plan_infra
from provisioning_core.plan.applying import apply_tasks
from provisioning_core.plan.bringing import bring_up
from provisioning_core.plan.document import plan_document, plan_of, unsealed
from provisioning_core.plan.drift import find_drift
from provisioning_core.plan.words import change_words, summary
from provisioning_core.resources import delete_resource
from provisioning_core.workspace import load_workspace


def run(workspace: Any, operation: str = "infra/create", **params: Any) -> Any:
    return run_direct([library_root()], operation, {"infra": "wuji", **params}, workspace=workspace.path)


def said(workspace: Any, **params: Any) -> list[str]:
    """What a create of one server tells people."""
    told: list[str] = []

    def note(event: Any) -> None:
        if event.type == "task.reported" and event.data["type"] == "progress":
            told.append(event.data["message"])

    run_direct([library_root()], "servers/create", {"infra": "wuji", **params}, workspace=workspace.path, on_event=note)
    return told


@pytest.fixture
def made(workspace: Any) -> Any:
    assert run(workspace).status == "succeeded"
    return workspace


def test_a_server_in_error_is_made_again_with_permission_only(made: Any) -> None:
    made.stop("web-1", state="error")
    loaded = load_workspace(made.path)
    plan = plan_infra(loaded, "wuji")
    (change,) = plan.to_do
    assert (change.action, change.effect, change.broken) == ("replace", "replace", True)
    assert change_words(change) == "server web-1  broken (error at the provider): to be made again (replace)"
    assert summary(plan) == "1 to replace, 4 there already"
    assert bring_up(Clouds(loaded), "wuji").left == (change,)
    assert plan_create(loaded, "wuji", ["web-1"]).parted(frozenset())[1]
    allowed = bring_up(Clouds(loaded), "wuji", ["replace", "delete"])
    assert (allowed.left, allowed.tasks[0]["operation"]) == ((), "servers/delete-one")
    assert run(made, allow=["replace"]).status == "succeeded"
    assert plan_infra(loaded, "wuji").nothing_to_do
    assert made.made("test-ws/wuji/server/web-1") == 2


def test_drift_names_what_is_broken_and_never_suggests_to_start_it(made: Any) -> None:
    made.stop("web-1", state="error")
    made.stop("web-2")
    found = {each.name: each for each in find_drift(Clouds(load_workspace(made.path)), "wuji")}
    assert (found["web-1"].sort, found["web-1"].fields[0].after) == ("broken", "error")
    assert found["web-1"].heals == "provisioning infra create wuji --confirm=wuji"
    assert (found["web-2"].sort, found["web-2"].heals) == ("stopped", "provisioning server start wuji/web-2")


def test_what_has_come_back_by_itself_is_not_replaced_by_an_older_plan(made: Any) -> None:
    made.stop("web-1", state="error")
    loaded = load_workspace(made.path)
    plan = plan_infra(loaded, "wuji")
    plan = unsealed(plan_of(plan_document(plan)), load_infra(loaded, "wuji"))
    (leaving, _) = apply_tasks(plan, loaded.provider)
    made.stop("web-1", state="started")
    with pytest.raises(ConflictError, match="it has been changed since: state"):
        delete_resource(loaded, "server", leaving["params"])
    assert "web-1" in made.servers()


def test_what_has_got_into_error_meanwhile_is_deleted_as_planned(made: Any) -> None:
    made.define("wuji", "servers:\n  - {name: web-2, plan: 1cpu-1gb}\n")
    loaded = load_workspace(made.path)
    plan = plan_infra(loaded, "wuji")
    made.stop("lonely", state="error")
    (task,) = [each for each in apply_tasks(plan, loaded.provider) if each["id"] == "lonely"]
    assert delete_resource(loaded, "server", task["params"])["deleted"]


@pytest.mark.parametrize("point", ["announced", "end"])
def test_what_was_never_seen_to_end_is_not_believed_whatever_its_provider_says(workspace: Any, point: str) -> None:
    """As of a plugin with five verbs, which shows what it has made as started at once."""
    workspace.plant({"verb": "create", "at": point, "do": "kill", "name": "web-1"})
    assert run(workspace).status == "failed"
    workspace.stop("web-1", state="started")
    loaded = load_workspace(workspace.path)
    plan = plan_create(loaded, "wuji", ["web-1"])
    assert [change_words(each) for each in plan.to_do] == ["server web-1  unfinished: to be completed"]
    assert summary(plan) == "1 there already, 1 to complete"
    (drift,) = [each for each in find_drift(Clouds(loaded), "wuji") if each.name == "web-1"]
    assert (drift.sort, drift.heals) == ("unfinished", "provisioning infra create wuji")
    workspace.plant({"verb": "create", "at": "end", "do": "refuse", "name": "web-1"})
    assert run(workspace, "servers/create", servers=["web-1"]).status == "failed"
    assert not plan_create(loaded, "wuji", ["web-1"]).nothing_to_do
    words = said(workspace, servers=["web-1"])
    assert "server web-1 was made by an earlier request, which was not seen to end: complete now" in words
    assert plan_create(loaded, "wuji", ["web-1"]).nothing_to_do
    assert workspace.made("test-ws/wuji/server/web-1") == 1
    entry = Inventory(loaded).get("test-ws/wuji/server/web-1")
    assert entry is not None
    assert "unfinished" not in entry.attributes
    assert "server web-1 is there: nothing to do" in said(workspace, servers=["web-1"])


def test_an_update_goes_on_with_what_was_never_seen_to_end(workspace: Any) -> None:
    workspace.plant({"verb": "create", "at": "announced", "do": "kill", "name": "lonely"})
    run(workspace)
    workspace.stop("lonely", state="started")
    text = (workspace.path / "infra" / "wuji.yaml").read_text()
    workspace.define("wuji", text.replace("name: lonely", "name: lonely, labels: {role: new}"))
    loaded = load_workspace(workspace.path)
    plan = plan_create(loaded, "wuji", ["lonely"])
    assert [each.path for each in plan.to_do[0].fields] == ["labels.role", "state"]
    before = len(workspace.calls())
    plan_json = plan_document(plan)
    assert run(workspace, "infra/apply", plan=plan_json).status == "succeeded"
    assert len(workspace.calls()) == before + 1
    assert plan_create(loaded, "wuji", ["lonely"]).nothing_to_do
