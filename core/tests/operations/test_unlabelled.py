"""What has lost its labels at the provider: never made twice, never left running."""

from __future__ import annotations

import re
from typing import Any

import pytest

from provisioning_core.clouds import Clouds
from provisioning_core.errors import ConflictError
from provisioning_core.inventory import Inventory
from provisioning_core.plan import plan_create, plan_infra
from provisioning_core.plan.drift import find_drift
from provisioning_core.testing.ledger_provider import LedgerProvider

from .directly import BEFORE, done, failures, loaded, planned, run


def test_what_has_lost_its_labels_is_not_made_a_second_time(workspace: Any) -> None:
    workspace.define("x", BEFORE)
    done(workspace, "infra/create", infra="x")
    here = loaded(workspace)
    (entry,) = [each for each in Clouds(here).inventory.all("x", "server") if each.name == "a"]
    with LedgerProvider(workspace.path)._file.resources() as resources:
        resources[entry.id] |= {"key": "", "intent": "", "infra": ""}
    (found,) = find_drift(Clouds(here), "x")
    assert (found.sort, found.name, found.id) == ("unlabelled", "a", entry.id)
    assert found.heals == f"provisioning server import x/a --id {entry.id}"
    with pytest.raises(ConflictError, match=re.escape(f"server a ({entry.id})")) as caught:
        plan_infra(here, "x")
    assert caught.value.code == "disowned"
    with pytest.raises(ConflictError):
        plan_create(here, "x", ["a"])
    assert run(workspace, "infra/create", infra="x").status == "failed"
    assert sorted(one.name for one in LedgerProvider(workspace.path)._all("server")) == ["a", "b", "old"]
    done(workspace, "servers/adopt", infra="x", name="a", id=entry.id, spec={"plan": "1cpu-1gb"})
    assert "create" not in {change.action for change in plan_infra(here, "x").to_do}


@pytest.fixture
def unlabelled(workspace: Any) -> Any:
    """The infrastructure x, whose server a and network net have lost their labels."""
    workspace.define("x", BEFORE)
    done(workspace, "infra/create", infra="x")
    with LedgerProvider(workspace.path)._file.resources() as resources:
        for one in resources.values():
            if one["name"] in ("a", "net"):
                one |= {"key": "", "intent": "", "infra": ""}
    return workspace


def left(workspace: Any) -> list[str]:
    """All that exists, whoever's it is."""
    ledger = LedgerProvider(workspace.path)
    return sorted(one.name for kind in ("network", "server") for one in ledger._all(kind))


@pytest.mark.parametrize("operation", ["servers/create", "servers/create-one"])
def test_no_operation_makes_a_second_one_of_what_has_lost_its_labels(unlabelled: Any, operation: str) -> None:
    """Also asked for over HTTP, where no plan was made."""
    one = {"name": "a", "spec": {"plan": "1cpu-1gb"}}
    more = {"servers": ["a"], "networks": False} if operation == "servers/create" else one
    found = failures(run(unlabelled, operation, infra="x", **more))
    ((code, message),) = found.values()
    assert (code, message.startswith("without our labels, but there: server a (")) == ("disowned", True)
    assert left(unlabelled) == ["a", "b", "net", "old"]


def test_a_delete_names_what_has_lost_its_labels_and_leaves_nothing_unnamed(unlabelled: Any) -> None:
    ids = {one.name: one.id for kind in ("network", "server") for one in LedgerProvider(unlabelled.path)._all(kind)}
    for operation, more in (
        ("servers/delete", {}),
        ("servers/delete", {"unlabelled": [ids["a"]]}),
        ("servers/delete-one", {"name": "a"}),
        ("servers/delete-one", {"name": "a", "id": ids["b"]}),
    ):
        outcome = run(unlabelled, operation, infra="x", **more)
        ((code, message),) = failures(outcome).values()
        assert (code, "a delete by labels would leave it running" in message) == ("disowned", True)
        assert left(unlabelled) == ["a", "b", "net", "old"]
        assert len(Inventory(loaded(unlabelled)).all("x")) == 4, "nothing was forgotten"
    done(unlabelled, "servers/delete", infra="x", unlabelled=[ids["a"], ids["net"]])
    assert (left(unlabelled), Inventory(loaded(unlabelled)).all("x")) == ([], [])


@pytest.mark.parametrize(
    ("verb", "point"), [("adopt", "begin"), ("adopt", "end"), ("delete", "begin"), ("delete", "end")]
)
def test_a_delete_of_what_has_lost_its_labels_goes_on_after_a_kill(unlabelled: Any, verb: str, point: str) -> None:
    (id,) = [one.id for one in LedgerProvider(unlabelled.path)._all("server") if one.name == "a"]
    unlabelled.plant({"verb": verb, "at": point, "do": "kill", "name": "a"})
    assert run(unlabelled, "servers/delete-one", infra="x", name="a", id=id).status == "failed"
    done(unlabelled, "servers/delete-one", infra="x", name="a", id=id)
    assert left(unlabelled) == ["b", "net", "old"]
    assert "a" not in {each.name for each in Inventory(loaded(unlabelled)).all("x")}


def test_a_create_does_not_forget_what_is_defined_no_more_and_has_lost_its_labels(unlabelled: Any) -> None:
    unlabelled.define("x", "servers: [{name: old, plan: 1cpu-1gb}]")
    done(unlabelled, "infra/create", infra="x", allow=["replace", "delete"])
    found = {each.name: each.sort for each in find_drift(Clouds(loaded(unlabelled)), "x")}
    assert found == {"a": "unlabelled", "net": "unlabelled"}


def test_what_has_lost_its_labels_is_made_anew_where_it_has_been_forgotten(workspace: Any) -> None:
    workspace.define("x", BEFORE)
    done(workspace, "infra/create", infra="x")
    inventory = Inventory(loaded(workspace))
    (entry,) = [each for each in inventory.all("x", "server") if each.name == "a"]
    with LedgerProvider(workspace.path)._file.resources() as resources:
        resources[entry.id] |= {"key": "", "intent": "", "infra": ""}
    inventory.forget(entry.key)
    assert [change.name for change in planned(workspace).to_do] == ["a"]
