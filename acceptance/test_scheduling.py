"""What the engine does with real processes: overlap, depth, size."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from acceptance.daemon import Daemon

OPERATIONS = str(Path(__file__).parent / "operations")


@pytest.mark.slow
def test_ten_attempts_overlap_and_the_eleventh_waits(new_daemon: Callable[..., Daemon]) -> None:
    daemon = new_daemon("--library", OPERATIONS).start()
    tasks = [{"id": f"t{n}", "operation": "test/span"} for n in range(11)]
    status, answer = daemon.request("POST", "/workflows", {"name": "overlap", "tasks": tasks})
    assert status == 202, answer
    assert daemon.ended(answer["workflow_id"])["status"] == "succeeded"

    lines = (daemon.workspace / "ledger").read_text().split()
    spans = sorted((float(begin), float(end)) for begin, end in zip(lines[1::3], lines[2::3], strict=True))
    at_once = max(sum(begin <= moment < end for begin, end in spans) for moment, _ in spans)

    assert len(spans) == 11
    assert at_once == 10
    assert spans[10][0] >= min(end for _, end in spans[:10])


@pytest.mark.slow
def test_a_thousand_levels_of_expansion_cost_no_memory_per_level(new_daemon: Callable[..., Daemon]) -> None:
    _dive(new_daemon("--library", OPERATIONS).start(), 1_000)


@pytest.mark.long
def test_ten_thousand_levels_of_expansion_cost_no_memory_per_level(new_daemon: Callable[..., Daemon]) -> None:
    _dive(new_daemon("--library", OPERATIONS).start(), 10_000)


def _dive(daemon: Daemon, levels: int) -> None:
    _run_dive(daemon, 100)  # what the first use loads is not the levels' cost
    before = _resident_kb(daemon)
    _run_dive(daemon, levels)
    per_level = (_resident_kb(daemon) - before) / levels

    assert per_level < 4.0, f"{per_level:.1f} KiB of memory a level"


def _run_dive(daemon: Daemon, levels: int) -> None:
    tasks = [
        {"id": "root", "operation": "test/dive", "params": {"levels": levels}},
        {"id": "after", "operation": "test/true", "needs": ["root"]},
    ]
    status, answer = daemon.request("POST", "/workflows", {"name": "dive", "tasks": tasks})
    assert status == 202, answer
    found = daemon.ended(answer["workflow_id"], deadline_s=600)
    assert (found["status"], found["tasks"]) == ("succeeded", {"succeeded": levels + 2})
    status, after = daemon.request("GET", f"/workflows/{answer['workflow_id']}/tasks/after")
    status, last = daemon.request("GET", f"/workflows/{answer['workflow_id']}/tasks/{_last_id(levels)}")
    assert after["attempts"][0]["started_at"] > last["attempts"][0]["ended_at"]


def _last_id(levels: int) -> str:
    # Sequences: root 1, after 2, then one task a level: the parent of the last one is the one before.
    return f"{levels + 1}.d" if levels > 1 else "1.d"


def _resident_kb(daemon: Daemon) -> int:
    assert daemon.process is not None
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")))


def _huge(edges: bool) -> list[dict[str, Any]]:
    if not edges:
        return [{"id": f"t{n}", "operation": "test/true", "needs": [f"t{n - 1}"] if n else []} for n in range(100_000)]
    tasks = []
    for n in range(100_000):
        needs = sorted({f"t{need}" for need in (n - 1, n - 7, n - 49) if need >= 0})
        tasks.append({"id": f"t{n}", "operation": "test/true", "needs": needs})
    return tasks


@pytest.mark.slow
@pytest.mark.parametrize("edges", [False, True], ids=["a chain", "300,000 edges"])
def test_a_workflow_of_100_000_tasks_is_taken_cancelled_and_does_not_stall_a_small_one(
    new_daemon: Callable[..., Daemon], edges: bool
) -> None:
    daemon = new_daemon("--library", OPERATIONS).start()
    answers: list[tuple[int, Any]] = []
    body = {"name": "huge", "tasks": _huge(edges)}
    # 60 s is a bound against hanging, not a measurement: that is benchmarks/submit.py.
    submitter = threading.Thread(
        target=lambda: answers.append(daemon.request("POST", "/workflows", body, timeout_s=60))
    )
    submitter.start()
    answered = 0
    while submitter.is_alive():
        assert daemon.request("GET", "/workflows?limit=1")[0] == 200
        answered += 1
    status, answer = answers[0]
    assert status == 202, answer
    small = [{"id": "one", "operation": "test/true"}]
    status, quick = daemon.request("POST", "/workflows", {"name": "small", "tasks": small})
    assert daemon.ended(quick["workflow_id"], deadline_s=10)["status"] == "succeeded"

    status, told = daemon.request("POST", f"/workflows/{answer['workflow_id']}/cancel", {})
    assert status == 202, told
    found = daemon.ended(answer["workflow_id"], deadline_s=120)

    assert found["status"] == "cancelled"
    assert sum(found["tasks"].values()) == 100_000
    assert answered > 20, f"only {answered} small questions were answered behind a huge submission"
