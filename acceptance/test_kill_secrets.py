"""Whoever is shot, whenever: no secret is kept, no line of a living shim's attempt is lost, nothing stays in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from acceptance.kill.secrets import PARTS, Report, run_storm, search


def test_the_search_finds_what_is_planted(tmp_path: Path) -> None:
    """Were it blind, it would find nothing too."""
    for part in PARTS:
        report = Report(1, 1)
        (tmp_path / "deep").mkdir(exist_ok=True)
        (tmp_path / "deep" / "file").write_bytes(b"\0before" + part + b"after")
        search(tmp_path, tmp_path / "resolve", report)
        assert report.faults.keys() == {"leaks"}


@pytest.mark.slow
def test_secrets_stay_secret_while_everybody_is_shot(tmp_path: Path) -> None:
    report = run_storm(tmp_path / "storm", tasks=24, kills=60, seed=20261124)
    assert report.faults == {}
    assert "filter" in report.kills, f"chance shot nothing that matters: {report}"


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_secrets_stay_secret_in_long_storms(tmp_path: Path, seed: int) -> None:
    report = run_storm(tmp_path / "storm", tasks=200, kills=1_000, seed=seed)
    assert report.faults == {} and sum(report.kills.values()) > 100
