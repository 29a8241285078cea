"""Plans applied by real processes: killed at every point and repeated, met with a changed world."""

from __future__ import annotations

from typing import Any

import pytest

from provisioning_core.clouds import Clouds
from provisioning_core.plan.document import plan_document
from provisioning_core.plan.drift import find_drift
from provisioning_core.testing.ledger_provider import LedgerProvider

from ..conftest import LedgerWorkspace
from .directly import AFTER, BEFORE, alter, created, done, failures, loaded, planned, run, world


@pytest.fixture
def changed(workspace: Any) -> Any:
    """Made as BEFORE says, defined as AFTER says."""
    workspace.define("x", BEFORE)
    done(workspace, "infra/create", infra="x")
    workspace.define("x", AFTER)
    return workspace


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, ...]]:
    """How the world is where AFTER was made without any trouble."""
    other = LedgerWorkspace(tmp_path_factory.mktemp("other") / "workspace")
    other.define("x", AFTER)
    done(other, "infra/create", infra="x")
    return world(other)


POINTS = [
    ("update", "begin", "a"),
    ("update", "stopped", "a"),
    ("update", "changed", "a"),
    ("update", "end", "a"),
    ("update", "begin", "net"),
    ("update", "end", "net"),
    ("delete", "begin", "b"),
    ("delete", "end", "b"),
    ("create", "begin", "b"),
    ("create", "made", "b"),
    ("create", "announced", "b"),
    ("create", "end", "b"),
    ("create", "made", "new"),
    ("delete", "begin", "old"),
    ("delete", "end", "old"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("verb", "point", "name"), POINTS)
def test_a_plan_killed_at_any_point_and_applied_again_ends_as_planned(
    changed: Any, wanted: Any, verb: str, point: str, name: str
) -> None:
    document = plan_document(planned(changed))
    changed.plant({"verb": verb, "at": point, "do": "kill", "name": name})
    killed = run(changed, "infra/apply", plan=document)
    assert killed.status == "failed"
    assert "signal" in {code for code, _ in failures(killed).values()}
    done(changed, "infra/apply", plan=document)
    assert world(changed) == wanted
    assert planned(changed).nothing_to_do
    assert sorted(created(changed)) == ["a", "b", "b", "new", "old"], "made once, and the replaced one once more"
    assert not list((changed.path / ".provisioning" / "begun").glob("*")), "no mark stays"
    assert find_drift(Clouds(loaded(changed)), "x") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "point", "name"), [("update", "changed", "a"), ("delete", "end", "b"), ("create", "made", "b")]
)
def test_a_create_killed_in_the_middle_goes_on_as_what_is_left_to_do(
    changed: Any, wanted: Any, verb: str, point: str, name: str
) -> None:
    changed.plant({"verb": verb, "at": point, "do": "kill", "name": name})
    assert run(changed, "infra/create", infra="x", allow=["replace", "delete"]).status == "failed"
    done(changed, "infra/create", infra="x", allow=["replace", "delete"])
    assert world(changed) == wanted
    assert sorted(created(changed)) == ["a", "b", "b", "new", "old"]
    outcome = done(changed, "infra/create", infra="x", allow=["replace", "delete"])
    assert outcome.tasks[0].outcome.result == {"infra": "x", "changes": {}, "left": []}, (
        "running it again changes nothing"
    )


def test_a_create_changes_what_it_may_and_names_what_it_leaves(changed: Any) -> None:
    outcome = done(changed, "infra/create", infra="x")
    result = outcome.tasks[0].outcome.result
    assert result["changes"] == {"create": 1, "update": 2}
    assert [(each["action"], each["name"]) for each in result["left"]] == [("replace", "b"), ("delete", "old")]
    assert world(changed)["a"][1]["plan"] == "2cpu-4gb"
    assert world(changed)["b"][1]["image"] == "debian-12"
    assert set(world(changed)) == {"net", "a", "b", "old", "new"}
    assert [(each.action, each.name) for each in planned(changed).to_do] == [("replace", "b"), ("delete", "old")]


def remake(workspace: Any, name: str) -> None:
    """Somebody deletes it, and has it made again."""
    ledger = LedgerProvider(workspace.path)
    (found,) = (one for one in ledger.list("server", infra="x") if one.name == name)
    ledger.delete("server", found.id)
    done(workspace, "servers/create-one", infra="x", name=name, spec={"plan": "8cpu-16gb"})


@pytest.mark.parametrize(
    ("happens", "task", "words"),
    [
        (lambda w: alter(w, "a", disk_gb=99), "a", "disk_gb is 99, not 10"),
        (lambda w: alter(w, "a", plan="8cpu-16gb"), "a", "plan is '8cpu-16gb', not '2cpu-4gb'"),
        (lambda w: alter(w, "b", disk_gb=99), "replace.b", "changed since: disk_gb"),
        (lambda w: alter(w, "old", plan="2cpu-4gb"), "old", "changed since: plan"),
        (lambda w: remake(w, "a"), "a", "planned was server-"),
        (lambda w: remake(w, "old"), "old", "planned was server-"),
        (
            lambda w: done(w, "servers/create-one", infra="x", name="new", spec={"plan": "8cpu-16gb"}),
            "new",
            "plan is '8cpu-16gb', not '1cpu-1gb'",
        ),
    ],
)
def test_what_the_world_has_changed_since_is_refused_and_nothing_unplanned_is_done(
    changed: Any, happens: Any, task: str, words: str
) -> None:
    document = plan_document(planned(changed))
    happens(changed)
    before = world(changed)
    outcome = run(changed, "infra/apply", plan=document)
    (stale,) = failures(outcome).items()
    assert (stale[0], stale[1][0]) == (task, "plan_stale")
    assert words in stale[1][1]
    name = task.removeprefix("replace.")
    assert f"server {name}: " in stale[1][1]
    assert world(changed)[name] == before[name]


def test_a_server_that_is_gone_since_is_refused_for_an_update_and_good_for_a_delete(changed: Any) -> None:
    document = plan_document(planned(changed))
    ledger = LedgerProvider(changed.path)
    for server in ledger.list("server", infra="x"):
        if server.name in ("a", "old"):
            ledger.delete("server", server.id)
    outcome = run(changed, "infra/apply", plan=document)
    assert {id: code for id, (code, _) in failures(outcome).items()} == {"a": "plan_stale"}
    assert "is gone" in failures(outcome)["a"][1]


def test_a_plan_of_another_workspace_or_infra_is_refused(changed: Any) -> None:
    document = plan_document(planned(changed))
    for change, code in (({"workspace": "other"}, "other_workspace"), ({"changes": 1}, "bad_plan")):
        assert [each for each, _ in failures(run(changed, "infra/apply", plan=document | change)).values()] == [code]
    assert "bad_params" in str(failures(run(changed, "infra/apply", plan=document, infra="y")))
    assert planned(changed).count("update") == 2
