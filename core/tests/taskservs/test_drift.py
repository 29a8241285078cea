"""What was removed from a server by hand is found by asking the server, and made good by the same create."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from provisioning_core.clouds import Clouds
from provisioning_core.plan.installed import find_installed_drift

from .conftest import Box

pytestmark = pytest.mark.slow
MANIFEST = """\
version: "1"
supports: [root]
parameters: {text: {type: text, default: hello}}
health: {command: "test -s /etc/greeting"}
"""
SCRIPT = """\
#!/bin/sh
[ "$1" = install ] && printf %s "$PARAM_TEXT" >/etc/greeting || rm -f /etc/greeting
"""
DEFINITION = """\
servers: [{name: trial-1, plan: 1cpu-1gb}]
taskservs: [{name: greeter, on: [trial-1]}]
"""
MARK = "/var/lib/provisioning/taskservs/greeter.json"


def program(box: Box, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "provisioning_core", *arguments]
    return subprocess.run(
        command, cwd=box.workspace.path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )


def drifts(box: Box) -> list[tuple[str, str, Any]]:
    found = find_installed_drift(Clouds(box.workspace), "trial").drifts
    return [(each.sort, each.name, [field.after for field in each.fields]) for each in found]


def test_what_was_removed_by_hand_is_drift_and_the_same_create_makes_it_good(namespace_box: Box) -> None:
    box = namespace_box
    box.add("greeter", MANIFEST, install__sh=SCRIPT)
    (box.workspace.path / "infra" / "trial.yaml").write_text(DEFINITION)
    assert drifts(box) == [], "what was never installed is a plan, no drift"
    assert program(box, "infra", "inventory", "rebuild", "trial").returncode == 0
    box.install("greeter")
    assert drifts(box) == []
    assert "Nothing to do" in program(box, "infra", "create", "trial").stderr

    box.says(f"rm {MARK} /etc/greeting")
    assert drifts(box) == [("gone", "greeter.trial-1", [])]
    told = program(box, "infra", "drift", "trial", "--deep", "--exit-code", "-o", "json")
    assert told.returncode == 10, told.stderr
    (one,) = [each for each in json.loads(told.stdout)["items"] if each["kind"] == "taskserv"]
    assert one["heals"] == "provisioning taskserv create trial greeter --server trial-1"
    healed = program(box, "infra", "create", "trial")
    assert healed.returncode == 0, healed.stderr
    assert "taskserv greeter.trial-1  not there any more: applied again" in healed.stderr
    assert (box.says("cat /etc/greeting"), drifts(box)) == ("hello", [])

    box.says("rm /etc/greeting")
    ((sort, name, (why,)),) = drifts(box)
    assert (sort, name) == ("changed", "greeter.trial-1")
    assert why.startswith("not healthy: ")
    assert program(box, "infra", "create", "trial").returncode == 0
    assert (box.says("cat /etc/greeting"), drifts(box)) == ("hello", [])

    (box.workspace.path / "infra" / "trial.yaml").write_text(DEFINITION.replace("]}]", "], params: {text: bye}}]"))
    check = program(box, "taskserv", "create", "trial", "--check")
    assert "greeter on trial-1  text: hello -> bye" in check.stderr + check.stdout
