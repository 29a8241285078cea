"""Plans through a real daemon: what is killed in the middle goes on by itself, and exactly the plan comes true."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from acceptance.conftest import Cli
from acceptance.daemon import Daemon

LEDGER = "provisioning_core.testing.ledger_provider:LedgerProvider"
BEFORE = """\
networks: [{name: net, cidr: 10.1.0.0/24}]
servers:
  - {name: a, plan: 1cpu-1gb, network: net}
  - {name: b, plan: 1cpu-1gb, network: net, image: debian-12}
  - {name: old, plan: 1cpu-1gb}
"""
AFTER = """\
networks: [{name: net, cidr: 10.1.0.0/24}]
servers:
  - {name: a, plan: 2cpu-4gb, network: net, labels: {v: two}}
  - {name: b, plan: 1cpu-1gb, network: net, image: debian-13}
  - {name: new, plan: 1cpu-1gb, network: net}
clusters: [{name: front, roles: [{name: all, servers: [a, new]}]}]
"""


@pytest.mark.slow
def test_a_plan_whose_tasks_are_killed_comes_true_all_the_same(
    workspace: Path, new_daemon: Callable[..., Daemon], tmp_path: Path
) -> None:
    (workspace / "provisioning.yaml").write_text(f"name: plans\nprovider: {LEDGER}\n")
    definition, ledger = workspace / "infra" / "x.yaml", workspace / ".ledger"
    definition.write_text(BEFORE)
    (tmp_path / "home").mkdir()
    cli = Cli(new_daemon().start(), tmp_path / "home")
    done = cli("infra", "create", "x", "--orchestrated")
    assert done.returncode == 0, done.stderr
    definition.write_text(AFTER)
    kept = str(tmp_path / "plan.json")
    assert cli("infra", "plan", "x", "--out", kept, "--exit-code").returncode == 10
    kills = (
        ("update", "changed", "a"),
        ("delete", "end", "b"),
        ("create", "made", "b"),
        ("create", "announced", "new"),
    )
    faults = [{"verb": verb, "at": at, "name": name, "do": "kill"} for verb, at, name in kills]
    (ledger / "faults.json").write_text(json.dumps(faults))
    done = cli("infra", "apply", kept, "--orchestrated", "--confirm=x", timeout_s=180)
    assert done.returncode == 0, done.stderr
    assert json.loads((ledger / "faults.json").read_text()) == [], "each of them has killed"
    document = json.loads((ledger / "ledger.json").read_text())
    servers = {
        one["name"]: one["attributes"]["spec"] for one in document["resources"].values() if one["kind"] == "server"
    }
    assert {name: (spec["plan"], spec["image"]) for name, spec in servers.items()} == {
        "a": ("2cpu-4gb", "debian-13"), "b": ("1cpu-1gb", "debian-13"), "new": ("1cpu-1gb", "debian-13"),
    }  # fmt: skip
    made = [one["key"].rpartition("/")[2] for one in document["history"] if one["event"] == "created"]
    assert sorted(made) == ["a", "b", "b", "net", "new", "old"], "no server was made twice"
    assert cli("infra", "plan", "x", "--exit-code").returncode == 0
    assert cli("infra", "drift", "x", "--exit-code").returncode == 0
    again = cli("infra", "create", "x", "--orchestrated")
    assert (again.returncode, "Nothing to do: 3 servers, 1 network of x there already." in again.stderr) == (0, True)
    done = cli("infra", "delete", "x", "--orchestrated", "--confirm=x")
    assert done.returncode == 0, done.stderr
    assert json.loads((ledger / "ledger.json").read_text())["resources"] == {}
    assert cli("infra", "inventory", "-o", "name").stdout == ""
