"""kill -9 at every crash point: what was acknowledged is there, and nothing is half there."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from provisioning_orchestrator.store import SqliteStore

from .consistency import assert_whole

VICTIM = Path(__file__).parent / "victim.py"


def _kill_one(directory: Path, round_: int, when: str) -> tuple[dict[str, int], bool]:
    """Run a victim; what it was told (workflow → highest acknowledged sequence), and whether it was killed."""
    ran = subprocess.run(
        [sys.executable, str(VICTIM), str(directory), str(round_)],
        env={**os.environ, "PROVISIONING_CRASH": when},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode in (0, -9), ran.stderr
    acknowledged: dict[str, int] = {}
    for line in ran.stdout.splitlines():
        workflow, sequence = line.split()
        acknowledged[workflow] = int(sequence)
    opened = acknowledged.pop("opened", None)
    assert opened == 0 or (ran.returncode == -9 and not acknowledged), "nothing is promised before it is open"
    return acknowledged, ran.returncode == -9


async def _assert_kept(directory: Path, acknowledged: dict[str, int]) -> None:
    def fail(error: Exception) -> None:
        raise AssertionError(error)

    store = await SqliteStore.open(directory, fail)
    await store.check()
    found = await assert_whole(store)
    for workflow, sequence in acknowledged.items():
        assert found.get(workflow, 0) >= sequence, f"{workflow}: {sequence} was acknowledged"
    await store.close()


def _kill_often(directory: Path, when: str, rounds: int) -> None:
    acknowledged: dict[str, int] = {}
    kills = 0
    for round_ in range(rounds):
        told, killed = _kill_one(directory, round_, when)
        acknowledged.update(told)
        kills += killed
        asyncio.run(_assert_kept(directory, acknowledged))
    assert acknowledged
    assert kills > 0, f"{when} killed nobody"


@pytest.mark.parametrize(
    "when", ["store-before-commit:20", "store-after-commit:20", "store-between-slices:2", "store-mid-checkpoint:3"]
)
def test_an_acknowledged_commit_survives_a_kill(tmp_path: Path, when: str) -> None:
    _kill_often(tmp_path, when, 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "when",
    [
        "store-before-commit:0.03",
        "store-after-commit:0.03",
        "store-between-slices:0.3",
        "store-mid-checkpoint:0.1",
        "*:0.02",
    ],
)
def test_acknowledged_commits_survive_kill_after_kill(tmp_path: Path, when: str) -> None:
    _kill_often(tmp_path, when, 10)


def test_a_kill_during_the_first_migration_leaves_a_file_that_opens(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, str(VICTIM), str(tmp_path), "0"],
        env={**os.environ, "PROVISIONING_CRASH": "store-mid-migration:1"},
        capture_output=True,
        timeout=60,
    )
    assert ran.returncode == -9
    asyncio.run(_assert_kept(tmp_path, {}))
