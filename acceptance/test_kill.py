"""Kill us at any instant: no attempt starts twice, no task is lost, no exit code is wrong, no log line is missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from acceptance.kill.marathon import CRASH_POINTS, HIT_ELSEWHERE, run_marathon

SOURCES = Path(__file__).parents[1] / "orchestrator" / "src"


def test_the_marathon_knows_every_named_crash_point() -> None:
    written = {
        name
        for path in SOURCES.rglob("*.py")
        for name in re.findall(r'crash_point(?:\(|, args=\()"([a-z-]+)"', path.read_text())
    }
    assert written == {*CRASH_POINTS, *HIT_ELSEWHERE}


@pytest.mark.slow
def test_kill_9_of_the_daemon_loses_nothing_and_starts_nothing_twice(tmp_path: Path) -> None:
    report = run_marathon(tmp_path, tasks=500, kills=32, seed=20261123)
    assert report.faults == {}
    assert report.kills >= 32
    assert report.unknown == 0


@pytest.mark.slow
def test_a_shot_shim_ends_as_its_true_outcome_or_unknown(tmp_path: Path) -> None:
    report = run_marathon(tmp_path, tasks=150, kills=8, seed=7, shims=True)
    assert report.faults == {}
    assert report.shims_shot > 0
    assert report.unknown > 0
