"""Drift: what was done behind our back, and what of it we have brought about ourselves."""

from __future__ import annotations

from typing import Any

from provisioning_core.clouds import Clouds
from provisioning_core.plan.drift import find_drift
from provisioning_core.testing.ledger_provider import LedgerProvider

from .directly import BEFORE, alter, done, loaded, planned, run


def test_drift_tells_what_was_done_behind_our_back_and_what_heals_it(workspace: Any) -> None:
    workspace.define("x", BEFORE)
    done(workspace, "infra/create", infra="x")
    clouds = Clouds(loaded(workspace))
    assert find_drift(clouds, "x") == []
    ledger = LedgerProvider(workspace.path)
    by_name = {one.name: one for one in ledger.list("server", infra="x")}
    ledger.delete("server", by_name["b"].id)
    ledger.power(by_name["old"].id, "stop")
    alter(workspace, "a", plan="8cpu-16gb")
    done(workspace, "servers/create-one", infra="x", name="stray", spec={"plan": "1cpu-1gb"})
    clouds.inventory.forget("test-ws/x/server/stray")
    clouds.inventory.forget("test-ws/x/network/net")
    found = {each.name: each for each in find_drift(clouds, "x")}
    assert {name: each.sort for name, each in found.items()} == {
        "net": "unrecorded", "a": "changed", "b": "gone", "old": "stopped", "stray": "unmanaged",
    }  # fmt: skip
    ((path, before, after),) = [(each.path, each.before, each.after) for each in found["a"].fields]
    assert (path, before, after) == ("plan", "1cpu-1gb", "8cpu-16gb")
    assert found["b"].heals == "provisioning infra create x"
    assert found["old"].heals == "provisioning server start x/old"
    done(workspace, "infra/create", infra="x", allow=["delete"])
    left = find_drift(Clouds(loaded(workspace)), "x")
    assert left == [], "what heals it was done, and all is well"


def test_what_is_as_it_is_defined_is_no_drift_also_where_an_update_was_killed_before_it_was_written_down(
    workspace: Any,
) -> None:
    workspace.define("x", BEFORE)
    done(workspace, "infra/create", infra="x")
    workspace.define("x", BEFORE.replace("{name: a, plan: 1cpu-1gb", "{name: a, plan: 2cpu-4gb"))
    workspace.plant({"verb": "update", "at": "end", "do": "kill", "name": "a"})
    assert run(workspace, "infra/create", infra="x").status == "failed"
    done(workspace, "infra/create", infra="x")
    assert planned(workspace).nothing_to_do
    assert find_drift(Clouds(loaded(workspace)), "x") == [], "there is nothing that could heal it"
    alter(workspace, "a", plan="8cpu-16gb")
    (found,) = find_drift(Clouds(loaded(workspace)), "x")
    assert (found.sort, found.name, [each.path for each in found.fields]) == ("changed", "a", ["plan"])
