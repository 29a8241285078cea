"""How fast durable tasks go through, beside a yardstick that keeps nothing, in the same run.

    python -m benchmarks.throughput [--runs 3] [--workload wide|layers|sequence]

- wide: 1,000 independent `/bin/true` tasks, 10 at a time; yardstick: `xargs -P10` over 1,000 `/bin/true`.
- layers: the same as 10 layers of 100, two parents each; yardstick: ninja on the same graph, xargs where there is none.
- sequence: 40 shell tasks, each needing the one before; yardstick: 40 times `sh -c :` one after the other.

Each task's start and end is committed and synced. The time is from the submission to the workflow's end.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from acceptance.daemon import Daemon

LIBRARY = Path(__file__).parent / "library"


def wide() -> list[dict[str, Any]]:
    return [{"id": f"t{n}", "operation": "bench/true"} for n in range(1_000)]


def layers() -> list[dict[str, Any]]:
    tasks = []
    for layer in range(10):
        for n in range(100):
            needs = [f"t{layer - 1}-{n}", f"t{layer - 1}-{(n + 1) % 100}"] if layer else []
            tasks.append({"id": f"t{layer}-{n}", "operation": "bench/true", "needs": needs})
    return tasks


def sequence() -> list[dict[str, Any]]:
    return [{"id": f"t{n}", "operation": "bench/shell", "needs": [f"t{n - 1}"] if n else []} for n in range(40)]


def time_xargs() -> float:
    numbers = "\n".join(map(str, range(1_000)))
    return _timed(lambda: subprocess.run(["xargs", "-P10", "-n1", "/bin/true"], input=numbers, text=True, check=True))


def time_shells() -> float:
    return _timed(lambda: [subprocess.run(["/bin/sh", "-c", ":"], check=True) for _ in range(40)])


def time_ninja() -> float:
    if shutil.which("ninja") is None:
        return time_xargs()
    with tempfile.TemporaryDirectory() as scratch:
        lines = ["rule t", " command = true && touch $out"]
        for task in layers():
            lines.append(f"build {task['id']}: t {' '.join(task['needs'])}")
        (Path(scratch) / "build.ninja").write_text("\n".join(lines) + "\n")
        return _timed(lambda: subprocess.run(["ninja", "-C", scratch, "-j10", "--quiet"], check=True))


WORKLOADS: dict[str, tuple[Callable[[], list[dict[str, Any]]], Callable[[], float]]] = {
    "wide": (wide, time_xargs),
    "layers": (layers, time_ninja),
    "sequence": (sequence, time_shells),
}


def time_workflow(daemon: Daemon, tasks: list[dict[str, Any]]) -> float:
    begun = time.perf_counter()
    status, answer = daemon.request("POST", "/workflows", {"name": "benchmark", "tasks": tasks})
    assert status == 202, answer
    workflow = answer["workflow_id"]
    # The event stream tells the end without asking again and again, which would cost the daemon time.
    daemon.request("GET", f"/workflows/{workflow}/events", headers={"Accept": "text/event-stream"})
    took = time.perf_counter() - begun
    status, view = daemon.request("GET", f"/workflows/{workflow}")
    assert view["tasks"] == {"succeeded": len(tasks)}, view
    return took


def measure(names: list[str], runs: int) -> list[tuple[str, float, float]]:
    """(workload, median seconds, median seconds of the yardstick), the two in turn."""
    results = []
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        daemon = Daemon(Path(scratch), Path(scratch), ("--library", str(LIBRARY)))
        daemon.start()
        try:
            for name in names:
                tasks, yardstick = WORKLOADS[name]
                ours, theirs = [], []
                for _ in range(runs):
                    theirs.append(yardstick())
                    ours.append(time_workflow(daemon, tasks()))
                results.append((name, statistics.median(ours), statistics.median(theirs)))
        finally:
            daemon.stop()
    return results


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--workload", choices=sorted(WORKLOADS), action="append")
    options = parser.parse_args()
    for name, ours, theirs in measure(options.workload or list(WORKLOADS), options.runs):
        sys.stdout.write(f"{name:10} {ours:7.3f} s   yardstick {theirs:7.3f} s   ratio {theirs / ours:5.2f}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
