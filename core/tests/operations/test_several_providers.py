"""One infrastructure at several providers."""

from __future__ import annotations

from typing import Any

import pytest

from provisioning_core.inventory import Inventory
from provisioning_core.plan.document import plan_document
from provisioning_core.testing.ledger_provider import LedgerProvider, SecondLedger

from .directly import done, loaded, planned

SECOND = "provisioning_core.testing.ledger_provider:SecondLedger"


MIXED = f"""\
servers:
  - {{name: here, plan: 1cpu-1gb}}
  - {{name: there, plan: 1cpu-1gb, provider: "{SECOND}"}}
"""


@pytest.fixture
def mixed(workspace: Any) -> Any:
    file = workspace.path / "provisioning.yaml"
    file.write_text(f"{file.read_text()}providers: {{'{SECOND}': {{}}}}\n")
    workspace.define("x", MIXED)
    done(workspace, "infra/create", infra="x")
    return workspace


def names(workspace: Any) -> tuple[list[str], list[str]]:
    first, second = LedgerProvider(workspace.path), SecondLedger(workspace.path)
    return [one.name for one in first.list("server")], [one.name for one in second.list("server")]


def test_each_server_is_made_at_its_own_provider_and_listed_with_the_others(mixed: Any) -> None:
    assert names(mixed) == (["here"], ["there"])
    assert planned(mixed).nothing_to_do
    listed = done(mixed, "servers/list").tasks[0].outcome.result
    assert [(one["name"], one.get("provider")) for one in listed] == [("here", None), ("there", SECOND)]
    create_one = {
        task.doc["params"]["name"]: task.doc["params"] for task in done(mixed, "servers/create", infra="x").tasks[1:]
    }
    assert "provider" not in create_one["here"]
    assert create_one["there"]["provider"] == SECOND


def test_all_of_it_is_deleted_at_all_providers_also_without_a_file(mixed: Any) -> None:
    (mixed.path / "infra" / "x.yaml").unlink()
    done(mixed, "infra/delete", infra="x")
    assert names(mixed) == ([], [])
    assert Inventory(loaded(mixed)).all() == []


def test_a_server_that_moves_is_never_made_twice(mixed: Any) -> None:
    mixed.define(
        "x", MIXED.replace("{name: here, plan: 1cpu-1gb}", f'{{name: here, plan: 1cpu-1gb, provider: "{SECOND}"}}')
    )
    (change,) = planned(mixed).to_do
    assert (change.action, change.fields[0].path, change.old_provider) == (
        "replace",
        "provider",
        loaded(mixed).provider,
    )
    for operation in ("servers/create", "infra/create"):
        done(mixed, operation, infra="x")
        assert names(mixed) == (["here"], ["there"]), f"{operation} leaves it where it is"
    done(mixed, "infra/apply", plan=plan_document(planned(mixed)))
    assert names(mixed) == ([], ["here", "there"])
    assert planned(mixed).nothing_to_do
