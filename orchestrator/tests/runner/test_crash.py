"""Crash points: they kill exactly when asked, and a typing error is not taken for "never"."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from provisioning_orchestrator.crash import CrashPlan

PASSES_THREE_TIMES = """
from provisioning_orchestrator.crash import crash_point
for turn in range(3):
    crash_point("here")
    print(turn, flush=True)
"""


def run(plan: str | None) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "PROVISIONING_CRASH"}
    if plan is not None:
        environment["PROVISIONING_CRASH"] = plan
    return subprocess.run(
        [sys.executable, "-c", PASSES_THREE_TIMES], env=environment, capture_output=True, text=True, check=False
    )


def test_the_nth_passage_is_the_last() -> None:
    ended = run("here:2")
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, "0\n")


def test_nothing_dies_where_nothing_is_asked() -> None:
    assert run(None).stdout == "0\n1\n2\n"
    assert run("elsewhere:1").stdout == "0\n1\n2\n"


@pytest.mark.parametrize("plan", ["here", "here:", ":1", "here:0", "here:-1", "here:often", "here:1.5"])
def test_a_plan_that_cannot_be_read_is_refused_by_name(plan: str) -> None:
    with pytest.raises(ValueError, match="PROVISIONING_CRASH"):
        CrashPlan(plan)
    ended = run(plan)
    assert ended.returncode == 1 and plan in ended.stderr


def test_a_probability_strikes_any_point_in_the_long_run() -> None:
    plan = CrashPlan("*:0.5")
    strikes = sum(plan.strikes("anything") for _ in range(1000))
    assert 350 < strikes < 650
