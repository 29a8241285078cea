"""Servers of somebody else's made ours."""

from __future__ import annotations

from typing import Any

import pytest

from provisioning_core.clouds import Clouds
from provisioning_core.plan import plan_infra
from provisioning_core.plan.drift import find_drift
from provisioning_core.testing.ledger_provider import LedgerProvider

from .directly import alter, done, failures, loaded, planned, run


def test_what_was_adopted_is_no_drift_for_being_defined_otherwise(workspace: Any) -> None:
    workspace.define("x", "servers: [{name: a, plan: 1cpu-1gb, labels: {v: one}}]")
    seen = {"plan": "2cpu-4gb", "firewall": [{"protocol": "tcp", "ports": [80, 80]}]}
    id = LedgerProvider(workspace.path).make_unmanaged("server", "somebody's", seen)
    spec = {"plan": "1cpu-1gb"}
    done(workspace, "servers/adopt", infra="x", name="a", id=id, spec=spec, labels={"v": "one"})
    (change,) = planned(workspace).to_do
    assert "plan" in [each.path for each in change.fields], "how it is defined is for the plan"
    assert find_drift(Clouds(loaded(workspace)), "x") == []
    alter(workspace, "a", plan="8cpu-16gb")
    (found,) = find_drift(Clouds(loaded(workspace)), "x")
    assert [(each.path, each.before, each.after) for each in found.fields] == [("plan", "2cpu-4gb", "8cpu-16gb")]
    done(workspace, "infra/create", infra="x")
    assert find_drift(Clouds(loaded(workspace)), "x") == []


@pytest.mark.parametrize("point", ["begin", "end"])
def test_an_adoption_killed_and_repeated_makes_it_ours_once(workspace: Any, point: str) -> None:
    id = LedgerProvider(workspace.path).make_unmanaged("server", "somebody's", {"plan": "2cpu-4gb"})
    params = {"infra": "wuji", "name": "lonely", "id": id, "spec": {"plan": "1cpu-1gb"}, "labels": {"a": "b"}}
    workspace.plant({"verb": "adopt", "at": point, "do": "kill"})
    assert run(workspace, "servers/adopt", **params).status == "failed"
    done(workspace, "servers/adopt", **params)
    found = LedgerProvider(workspace.path).find("server", key="test-ws/wuji/server/lonely")
    assert found is not None and found.id == id
    plan = plan_infra(loaded(workspace), "wuji")
    (change,) = (each for each in plan.changes if each.name == "lonely")
    assert ("plan", "2cpu-4gb", "1cpu-1gb") in [(each.path, each.before, each.after) for each in change.fields]
    other = LedgerProvider(workspace.path).make_unmanaged("server", "another", {"plan": "1cpu-1gb"})
    assert failures(run(workspace, "servers/adopt", **params | {"id": other}))["root"][0] == "adopted_elsewhere"
