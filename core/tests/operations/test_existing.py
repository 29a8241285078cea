"""Servers that exist: their power, a page of many, an inventory that cannot be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from provisioning_core.infra import load_infra
from provisioning_core.inventory import Inventory
from provisioning_core.testing.ledger_provider import LedgerProvider

from .directly import done, failures, loaded, run


def test_power_changes_what_is_otherwise_and_says_so(workspace: Any) -> None:
    done(workspace, "servers/create", infra="wuji", servers=["lonely"])
    told = {"infra": "wuji", "name": "lonely"}
    seen = []
    for action in ("stop", "stop", "start", "start", "reboot"):
        result = done(workspace, "servers/power", action=action, **told).tasks[0].outcome.result
        seen.append((result["state"], result["changed"]))
    assert seen == [("stopped", True), ("stopped", False), ("started", True), ("started", False), ("started", True)]
    assert (
        failures(run(workspace, "servers/power", infra="wuji", name="web-1", action="stop"))["root"][0]
        == "unknown_server"
    )
    assert failures(run(workspace, "servers/power", action="crash", **told))["root"][0] == "bad_params"


def test_a_page_of_servers_fits_into_a_result(workspace: Any) -> None:
    labels = ", ".join(f"l{n}: {'x' * 60}" for n in range(30))
    workspace.define("many", f"servers:\n  - {{name: s, count: 400, plan: 1cpu-1gb, labels: {{{labels}}}}}\n")
    ledger, workspace_ = LedgerProvider(workspace.path), loaded(workspace)
    with ledger._file.resources() as resources:  # one after the other would write the file 400 times
        for server in load_infra(workspace_, "many").servers:
            key = workspace_.key("many", "server", server.name)
            attributes = {"labels": server.labels, "spec": server.spec()}
            one = {"kind": "server", "id": server.name, "key": key, "intent": "", "infra": "many", "name": server.name}
            resources[server.name] = one | {"state": "started", "attributes": attributes}
    first = done(workspace, "servers/list", infra="many").tasks[0].outcome
    assert first.partial
    assert 100 < len(first.result) < 400
    rest = done(workspace, "servers/list", infra="many", after=first.result[-1]["key"]).tasks[0].outcome
    assert not rest.partial
    assert len({one["name"] for one in first.result + rest.result}) == 400


def test_bad_files_of_the_inventory_stop_nobody(workspace: Any) -> None:
    done(workspace, "infra/create", infra="wuji")
    for file in Path(workspace.path, ".provisioning", "inventory").rglob("*.json"):
        file.write_text("{")
    done(workspace, "infra/create", infra="wuji")
    assert len(Inventory(loaded(workspace)).all()) == 5
