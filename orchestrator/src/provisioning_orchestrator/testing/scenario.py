"""What is simulated: workflows, faults and moments, drawn from a seed and written down as plain JSON.

A scenario names all that is decided in advance, so one that was kept can be lived through again even if other
scenarios are drawn from its seed by then. Chances in between (how long this commit takes) come from its seed as well.
"""

from __future__ import annotations

import random
from typing import Any

from .fake_dispatch import Faults

YEAR_S = 365 * 86_400
HORIZON_S = 400.0

Scenario = dict[str, Any]
"""seed. slots. slice: rows and tasks that are worked off at once. batch: facts of one commit. commit_s: the longest
commit. early_calls: clients are let in while a daemon is still recovering. full: probability that a commit finds the
disk full. crash_point: probability of a crash at each named point and at both ends of each call of the store. crashes,
stops, jumps: moments of kills, orderly stops and [moment, seconds] by which the wall clock jumps. down_s: the longest
time without a daemon. dispatch: probabilities and delays (`Faults`). workflows: name, at, tasks, cancel_at (or null),
resubmits: how often it is sent again with the same key. After HORIZON_S no more faults are made, so that all can end.
"""


def scenario(seed: int) -> Scenario:
    chance = random.Random(f"scenario {seed}")  # noqa: S311 - a seed is the point
    calm = chance.random() < 0.1
    return {
        "seed": seed,
        "slots": chance.randint(1, 4),
        "slice": chance.choice([2, 5, 1_000]),
        "batch": chance.choice([1, 4, 256]),
        "early_calls": chance.random() < 0.3,
        "commit_s": chance.choice([0.001, 0.02, 1.0]),
        "full": 0.0 if calm else chance.choice([0.0, 0.0, 0.1]),
        "crash_point": 0.0 if calm else chance.choice([0.0, 0.01, 0.04]),
        "crashes": [] if calm else _moments(chance, chance.choice([0, 1, 3, 6])),
        "stops": _moments(chance, chance.choice([0, 0, 1])),
        "jumps": [
            [at, chance.choice([-YEAR_S, -60, 60, YEAR_S])] for at in _moments(chance, chance.choice([0, 0, 0, 1, 2]))
        ],
        "down_s": chance.choice([0.0, 5.0, 60.0]),
        "dispatch": {} if calm else _faults(chance),
        "workflows": [_workflow(chance, f"w{number}") for number in range(chance.choice([1, 2, 2, 3]))],
    }


def faults_of(scenario: Scenario) -> Faults:
    return Faults(**scenario["dispatch"])


def _faults(chance: random.Random) -> dict[str, float]:
    return {
        "refused": chance.choice([0.0, 0.0, 0.2]),
        "stillborn": chance.choice([0.0, 0.1]),
        "start_delay_max_s": chance.choice([0.0, 0.1, 3.0]),
        "delay_max_s": chance.choice([0.0, 0.5, 10.0, 30.0]),
        "repeated": chance.choice([0.0, 0.3, 0.6]),
        "lost": chance.choice([0.0, 0.2]),
        "redelivery_s": 30.0,
        "vanished": chance.choice([0.0, 0.15]),
    }


def _workflow(chance: random.Random, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "at": _moment(chance, 60.0),
        "tasks": _tasks(chance, chance.randint(1, 8), 0),
        "cancel_at": _moment(chance, HORIZON_S / 2) if chance.random() < 0.25 else None,
        "resubmits": chance.choice([0, 0, 1, 2]),
    }


def _tasks(chance: random.Random, count: int, depth: int) -> list[dict[str, Any]]:
    density = chance.choice([0.0, 0.3, 0.7])
    tasks = []
    for number in range(count):
        plays = [_play(chance, depth) for _ in range(chance.choice([1, 1, 2, 3]))]
        attempts_max = chance.choice([1, 2, 3])
        task = {
            "id": f"t{number}",
            "operation": "play",
            "needs": [f"t{need}" for need in range(number) if chance.random() < density],
            "repeatable": chance.random() < 0.5,
            "timeout_s": 50.0,
            "retry": {
                "attempts_max": attempts_max,
                "backoff": chance.choice(["constant", "linear", "exponential"]),
                "delay_s": chance.choice([0, 0, 2, 20]),
            },
            "params": {"plays": plays},
        }
        tasks.append(task)
    return tasks


def _play(chance: random.Random, depth: int) -> dict[str, Any]:
    """What one attempt does; the last play is repeated. seconds: how long. reports: how many lines it writes."""
    kind = chance.choices(
        ["ok", "partial", "expand", "bad_expansion", "fail", "busy", "permanent", "signal", "hang"],
        [45, 4, 15 if depth < 2 else 0, 2, 12, 4, 3, 4, 4],
    )[0]
    play = {"do": kind, "seconds": round(chance.choice([0.0, 1.0, 10.0]) * chance.random(), 3)}
    if chance.random() < 0.3:
        play["reports"] = chance.randint(1, 3)
    if chance.random() < 0.1:
        play["stubborn"] = True
    if kind == "expand":
        play["tasks"] = _tasks(chance, chance.randint(1, 4), depth + 1)
    return play


def _moments(chance: random.Random, count: int) -> list[float]:
    return sorted(_moment(chance, HORIZON_S / 2) for _ in range(count))


def _moment(chance: random.Random, end_s: float) -> float:
    """Most of them early: that is where most happens."""
    return round(end_s * chance.random() ** 2, 3)
