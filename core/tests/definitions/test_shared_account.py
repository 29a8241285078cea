"""Two workspaces in one account, with an infrastructure of the same name in both."""

from __future__ import annotations

from typing import Any

from provisioning_core.clouds import Clouds
from provisioning_core.plan import plan_infra
from provisioning_core.resources import create_resource
from provisioning_core.workspace import load_workspace

from ..conftest import LEDGER


def test_what_another_workspace_made_is_neither_listed_nor_planned_away(workspace: Any) -> None:
    theirs = load_workspace(workspace.path)
    for name in ("web-1", "old-1"):
        spec = {"plan": "1cpu-1gb", "cpus": 1, "memory_gb": 1}
        create_resource(theirs, "server", {"infra": "wuji", "name": name, "spec": spec}, intent="")
    (workspace.path / "provisioning.yaml").write_text(f"name: another\nprovider: {LEDGER}\n")
    ours = load_workspace(workspace.path)
    assert Clouds(ours).list("server", "wuji") == []
    assert {change.action for change in plan_infra(ours, "wuji").changes} == {"create"}
    (workspace.path / "provisioning.yaml").write_text(f"name: test-ws\nprovider: {LEDGER}\n")
    planned = {change.name: change.action for change in plan_infra(theirs, "wuji").changes}
    assert planned["old-1"] == "delete" and planned["web-1"] != "create", "they are found again under their own id"
