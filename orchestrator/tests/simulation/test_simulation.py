"""Thousands of lives of the engine in a world of crashes, lost answers, late facts and clocks that jump."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from provisioning_orchestrator.testing.plants import PLANTS
from provisioning_orchestrator.testing.scenario import scenario
from provisioning_orchestrator.testing.simulation import live, main

SEEDS = 1_000
SEEDS_QUICK = 40
PLANT_SEEDS_MAX = 100
KEPT: list[dict[str, Any]] = json.loads(Path(__file__).with_name("seeds.json").read_text(encoding="utf-8"))["kept"]


def lives(seeds: range) -> None:
    faults = [f"seed {ending.seed}: {ending.fault}" for ending in map(live, map(scenario, seeds)) if ending.fault]
    assert faults == []


def test_some_seeds_have_no_fault() -> None:
    lives(range(SEEDS_QUICK))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_1000_seeds_have_no_fault(part: int) -> None:
    lives(range(SEEDS * part // 4, SEEDS * (part + 1) // 4))


def test_the_same_seed_gives_the_same_trace() -> None:
    for seed in range(20):
        one, two = live(scenario(seed), keep=True), live(scenario(seed), keep=True)
        assert one.lines == two.lines
        assert one.trace == two.trace
    assert len({live(scenario(seed)).trace for seed in range(20)}) == 20


@pytest.mark.slow
def test_the_same_seed_gives_the_same_trace_in_another_process() -> None:
    command = [sys.executable, "-m", "provisioning_orchestrator.testing.simulation", "--trace", "--seeds", "10"]
    traces = {
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": hash_seed}, capture_output=True, check=True).stdout
        for hash_seed in ("1", "2")
    }
    assert len(traces) == 1


@pytest.mark.parametrize("plant", sorted(PLANTS))
def test_a_planted_fault_is_found(plant: str) -> None:
    """And without it the same seed has no fault, so that it is the plant which was found."""
    found = next((e for e in (live(scenario(seed), plant=plant) for seed in range(PLANT_SEEDS_MAX)) if e.fault), None)
    assert found is not None, f"{PLANT_SEEDS_MAX} seeds did not find it"
    assert live(scenario(found.seed)).fault is None


def test_the_seeds_together_see_what_they_are_for() -> None:
    """A simulation in which nothing goes wrong would prove nothing."""
    lines = [line.split(" ", 1)[1] for seed in range(100) for line in live(scenario(seed), keep=True).lines]
    for sign in (
        "CRASH",
        "STOP",
        "the wall clock jumps",
        "at before-engine-commit",
        "at after-engine-commit",
        "at before-start",
        "at after-start",
        "at mid-recovery",
        "at before store.append",
        "at after store.append",
        "at after store.submit",
        "it was there",
        "cancel of",
        "resolved as retry",
        "resolved as succeeded",
        "resolved as failed",
    ):
        assert any(sign in line for line in lines), f"no scenario came to {sign!r}"
    told = " ".join(lines)
    kinds = ("tasks.added", "task.retrying", "task.requeued", "task.unknown", "task.skipped", "task.cancelled")
    for kind in (*kinds, "workflow.succeeded", "workflow.failed", "workflow.cancelled", "task.progress"):
        assert kind in told, f"no scenario came to {kind}"


@pytest.mark.parametrize("kept", KEPT, ids=lambda kept: f"seed {kept['seed']}")
def test_what_was_found_once_is_not_there_any_more(kept: dict[str, Any]) -> None:
    assert kept["found"]
    assert live(kept.get("scenario") or scenario(kept["seed"])).fault is None


def test_the_command_names_the_seed_and_how_to_see_it_again(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--plant", "rerun-unknown", "--seeds", str(PLANT_SEEDS_MAX)]) == 1
    seed, again, kept, summary = capsys.readouterr().out.splitlines()
    number = seed.split(":")[0].removeprefix("seed ")
    assert f"--start {number} --trace --plant rerun-unknown" in again
    assert "1 with a fault" in summary
    file = tmp_path / "kept.json"
    file.write_text(kept.partition("scenario: ")[2])
    assert main(["--scenario", str(file), "--plant", "rerun-unknown"]) == 1
    assert f"{seed}; trace" in capsys.readouterr().out
    assert main(["--start", number, "--trace"]) == 0
    assert "acknowledged" in capsys.readouterr().out
