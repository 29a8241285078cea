"""Operations done in direct mode over the ledger, and what has come of them."""

from __future__ import annotations

import json
from typing import Any

from provisioning_core.direct import DirectOutcome, run_direct
from provisioning_core.library import library_root
from provisioning_core.plan import Plan, plan_infra
from provisioning_core.testing.ledger_provider import LedgerProvider
from provisioning_core.workspace import Workspace, load_workspace

BEFORE = """\
networks: [{name: net, cidr: 10.1.0.0/24}]
servers:
  - {name: a, plan: 1cpu-1gb, network: net, labels: {v: one}, storages: [{name: d, size_gb: 1}]}
  - {name: b, plan: 1cpu-1gb, network: net, image: debian-12}
  - {name: old, plan: 1cpu-1gb}
"""


AFTER = """\
networks: [{name: net, cidr: 10.1.0.0/24, labels: {team: x}}]
servers:
  - {name: a, plan: 2cpu-4gb, network: net, labels: {v: two}, storages: [{name: d, size_gb: 2}, {name: e, size_gb: 1}]}
  - {name: b, plan: 1cpu-1gb, network: net, image: debian-13}
  - {name: new, plan: 1cpu-1gb, network: net}
"""


def run(workspace: Any, operation: str, **params: Any) -> DirectOutcome:
    return run_direct([library_root()], operation, params, workspace=workspace.path)


def done(workspace: Any, operation: str, **params: Any) -> DirectOutcome:
    outcome = run(workspace, operation, **params)
    assert outcome.status == "succeeded", failures(outcome)
    return outcome


def failures(outcome: DirectOutcome) -> dict[str, tuple[str, str]]:
    """By task, the code and the message."""
    return {
        task.id.partition(".")[2] or task.id: (task.outcome.failure.code, task.outcome.failure.message)
        for task in outcome.tasks
        if task.outcome.failure is not None
    }


def loaded(workspace: Any) -> Workspace:
    return load_workspace(workspace.path)


def planned(workspace: Any) -> Plan:
    return plan_infra(loaded(workspace), "x")


def world(workspace: Any) -> dict[str, tuple[Any, ...]]:
    """What exists, told by what matters of it."""
    ledger = LedgerProvider(workspace.path)
    return {
        one.name: (one.state, one.attributes["spec"], one.attributes["labels"])
        for kind in ("network", "server")
        for one in ledger.list(kind, infra="x")
    }


def created(workspace: Any) -> list[str]:
    """The names of all servers that were ever made, in order."""
    history = json.loads((workspace.path / ".ledger" / "ledger.json").read_text())["history"]
    return [one["key"].rpartition("/")[2] for one in history if (one["event"], one["kind"]) == ("created", "server")]


def alter(workspace: Any, name: str, **spec: Any) -> None:
    """Somebody does something by hand."""
    file = workspace.path / ".ledger" / "ledger.json"
    document = json.loads(file.read_text())
    for one in document["resources"].values():
        if one["name"] == name:
            one["attributes"]["spec"] |= spec
    file.write_text(json.dumps(document))
