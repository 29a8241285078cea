"""`server import` of a server that is not defined yet: its lines are shown, written on request, then it is adopted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioning_core.testing.ledger_provider import LedgerProvider

SPEC = {"plan": "2cpu-4gb", "disk_gb": 20, "zone": "fi-hel1", "network": "wuji-net"}
SPEC |= {"firewall": [{"protocol": "tcp", "ports": [80, 80]}, {"protocol": "tcp", "ports": [8000, 8100]}]}


@pytest.fixture
def id_(workspace: Path) -> str:
    """Of a server that is nobody's."""
    return LedgerProvider(workspace).make_unmanaged("server", "somebody's", SPEC)


def ours(program: Any) -> list[str]:
    return str(program("server", "list", "wuji", "-o", "name").stdout).split()


def test_without_write_the_lines_are_told_and_nothing_is_adopted(program: Any, workspace: Path, id_: str) -> None:
    before = (workspace / "infra" / "wuji.yaml").read_text()
    done = program("server", "import", "wuji/old-1", "--id", id_)
    assert done.returncode == 2
    assert "old-1 is not defined in infra/wuji.yaml; nothing was adopted" in done.stderr
    (item,) = yaml.safe_load(done.stdout)
    assert item == {
        "name": "old-1",
        "plan": "2cpu-4gb",
        "disk_gb": 20,
        "image": "debian-13",
        "zone": "fi-hel1",
        "network": "wuji-net",
        "firewall": [{"protocol": "tcp", "ports": 80}, {"protocol": "tcp", "ports": "8000-8100"}],
    }
    assert (workspace / "infra" / "wuji.yaml").read_text() == before
    assert ours(program) == []
    checked = program("server", "import", "wuji/old-1", "--id", id_, "--check", "-o", "json")
    assert (checked.returncode, json.loads(checked.stdout)["server"]) == (0, item)


def test_written_it_is_adopted_and_the_plan_has_nothing_for_it(program: Any, workspace: Path, id_: str) -> None:
    file = workspace / "infra" / "wuji.yaml"
    file.write_text(file.read_text() + "\n# the end, which stays where it is\ntaskservs: []\n")
    before = file.read_text().splitlines()
    done = program("server", "import", "wuji/old-1", "--id", id_, "--write", "--yes")
    assert done.returncode == 0, done.stderr
    after = file.read_text().splitlines()
    at = next(number for number, line in enumerate(after) if "old-1" in line)
    added = len(after) - len(before)
    assert after[:at] + after[at + added :] == before
    assert after[at - 1] == before[-4]
    assert ours(program) == ["old-1"]
    planned = program("infra", "plan", "wuji", "-o", "name").stdout.split()
    assert "old-1" not in planned
    assert "Nothing to do" in program("server", "import", "wuji/old-1", "--id", id_).stderr
    assert not list((workspace / "infra").glob(".*"))


def test_an_item_that_does_not_go_with_the_rest_is_not_written(program: Any, workspace: Path, id_: str) -> None:
    before = (workspace / "infra" / "wuji.yaml").read_text()
    done = program("server", "import", "wuji/web", "--id", id_, "--write", "--yes")
    assert done.returncode == 2
    assert "'web' is already the name of a" in done.stderr or "already" in done.stderr
    assert (workspace / "infra" / "wuji.yaml").read_text() == before
    assert ours(program) == []
    assert not list((workspace / "infra").glob(".*"))


@pytest.mark.parametrize(
    "text", ["servers: [{name: a, plan: 1cpu-1gb}]\n", "servers: [\n  {name: a, plan: 1cpu-1gb}]\n"]
)
def test_where_lines_cannot_be_added_it_is_said(program: Any, workspace: Path, id_: str, text: str) -> None:
    (workspace / "infra" / "wuji.yaml").write_text(text)
    done = program("server", "import", "wuji/old-1", "--id", id_, "--write", "--yes")
    assert done.returncode == 2
    assert "the servers of infra/wuji.yaml stand in [ ]" in done.stderr
    assert (workspace / "infra" / "wuji.yaml").read_text() == text


@pytest.mark.parametrize(
    "text",
    [
        "servers: []",
        "servers: []  # none yet\nchecks: []\n",
        "servers:\n- name: a\n  plan: 1cpu-1gb\n  user_data: |\n    #!/bin/sh\n    true\n\n# after\nchecks: []\n",
        "servers:\n    - {name: a, plan: 1cpu-1gb}",
        "servers:\n  - name: a\n    plan: 1cpu-1gb\n    labels:\n      # one\n      a: b  # two\nchecks: []\n",
    ],
)
def test_lines_are_added_wherever_the_list_stands(program: Any, workspace: Path, id_: str, text: str) -> None:
    file = workspace / "infra" / "wuji.yaml"
    file.write_text(text)
    done = program("server", "import", "wuji/old-1", "--id", id_, "--write", "--yes")
    assert done.returncode == 0, done.stderr
    document = yaml.safe_load(file.read_text())
    assert [each["name"] for each in document["servers"]][-1] == "old-1"
    assert len(document["servers"]) == 1 + ("name: a" in text)
    assert document.get("checks", "none") == ([] if "checks" in text else "none")
    for line in text.splitlines():
        assert line.replace(" []", "").split("  #")[0] in file.read_text()
