"""No server twice, none lost: creates at three clouds that lose answers, while the daemon is killed again and again."""

from __future__ import annotations

from pathlib import Path

import pytest

from acceptance.kill.storm import CLOUDS, run_storm


@pytest.mark.slow
def test_every_ledger_has_exactly_one_creation_per_wish(tmp_path: Path) -> None:
    report = run_storm(tmp_path, creates=200, kills=20, seed=20261124, stall_s=4.0)
    assert report.faults == {}
    assert report.kills == 20
    assert report.created == {"upcloud": 50 + 50, "aws": 50, "hetzner": 50}
    assert sum(report.created.values()) == 200
    for cloud in CLOUDS:
        assert report.befallen[cloud].get("lost"), f"nothing was lost at {cloud}: this proved little"


@pytest.mark.long
def test_the_same_for_thousands(tmp_path: Path) -> None:
    report = run_storm(tmp_path, creates=5_000, kills=500, seed=5, stall_s=60.0)
    assert report.faults == {}
    assert (report.kills, sum(report.created.values())) == (500, 5_000)
