"""Kill the daemon again and again while tasks run, then ask the world what really happened.

    python -m acceptance.kill.marathon --tasks 10000 --kills 1000 --daemons 4

The oracle does not believe the daemon: every task enters its starts and ends in a ledger, writes 200 numbered
lines and ends with a known exit code or signal. At the end: 0 lost, 0 started twice, true exit codes, complete logs.
With --shims, shims are shot as well: each such task must end as its true outcome or as `unknown`, never as a success.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from acceptance.daemon import Daemon

LIBRARY = Path(__file__).parent / "library"
WORKFLOW_TASKS = 100
SHIM_ROUNDS = 8  # of shooting, in each life of the daemon
FINISH_S = 600.0
CRASH_POINTS = (
    "store-before-commit",
    "store-after-commit",
    "before-engine-commit",
    "after-engine-commit",
    "before-start",
    "after-start",
    "before-state-file",
    "before-spawn",
    "after-spawn",
    "before-outcome-read",
    "mid-recovery",
    "after-poison",
)
# Passed where no marathon comes by: large submissions, checkpoints, migrations. The store's own kill tests hit them.
HIT_ELSEWHERE = ("store-between-slices", "store-mid-checkpoint", "store-mid-migration")
# Dying here leaves an attempt that the next life must poison.
LEAVES_POISON = ("after-engine-commit", "before-start", "before-state-file", "before-spawn")


@dataclass
class Report:
    """What one marathon saw. Everything in `faults` must be empty."""

    seed: int
    tasks: int = 0
    kills_random: int = 0
    kills_at_points: dict[str, int] = field(default_factory=dict)
    shims_shot: int = 0
    unknown: int = 0
    never_started: int = 0
    seconds: float = 0.0
    lost: list[str] = field(default_factory=list)
    started_twice: list[str] = field(default_factory=list)
    wrong_outcome: list[str] = field(default_factory=list)
    incomplete_log: list[str] = field(default_factory=list)
    false_unknown: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        return self.kills_random + sum(self.kills_at_points.values())

    @property
    def faults(self) -> dict[str, list[str]]:
        named = ("lost", "started_twice", "wrong_outcome", "incomplete_log", "false_unknown")
        return {name: getattr(self, name) for name in named if getattr(self, name)}


def run_marathon(root: Path, *, tasks: int, kills: int, seed: int, shims: bool = False) -> Report:
    """One daemon's marathon under `root`. Reproduce the order of faults with the same seed (timing stays real)."""
    chance = random.Random(seed)
    report = Report(seed, tasks)
    (root / "workspace").mkdir(parents=True, exist_ok=True)
    daemon = Daemon(root, root / "workspace", ("--library", str(LIBRARY)))
    begun = time.monotonic()
    waves = [range(first, min(first + WORKFLOW_TASKS, tasks)) for first in range(0, tasks, WORKFLOW_TASKS)]
    workflows: dict[int, str] = {}
    submitted = 0
    crash: str | None = None
    while report.kills < kills or submitted < len(waves):
        crash = _next_crash(chance, crash, seed + daemon.lives)
        daemon.launch(crash)
        up = daemon.ready()
        wanted = up and submitted < len(waves) and chance.random() < max(0.5, len(waves) / max(kills, 1))
        if wanted and _submit(daemon, seed, submitted, waves[submitted], workflows):
            submitted += 1
        for _ in range(SHIM_ROUNDS if up and shims else 0):
            report.shims_shot += _shoot_shims(daemon, chance)
            if daemon.ends_within(0.05):
                break
        if not daemon.ends_within(chance.uniform(0.05, 0.8)):
            daemon.kill()
            report.kills_random += 1
        elif daemon.died_by_kill() and crash:
            point = crash.rpartition(":")[0]
            report.kills_at_points[point] = report.kills_at_points.get(point, 0) + 1
        else:
            raise AssertionError(f"the daemon ended by itself: see {root / 'daemon.log'}")
    daemon.start()
    _finish(daemon, list(workflows.values()))
    _judge(daemon, workflows, waves, report, shims)
    assert daemon.stop() == 0, "the daemon did not stop cleanly"
    report.seconds = time.monotonic() - begun
    return report


def _next_crash(chance: random.Random, last: str | None, turn: int) -> str | None:
    """Where the next life is to die; None: at a random moment."""
    if last is not None and last.startswith(LEAVES_POISON) and chance.random() < 0.5:
        return "after-poison:1"
    if chance.random() < 0.4:
        return None
    point = CRASH_POINTS[turn % len(CRASH_POINTS)]
    return f"{point}:{1 if point in ('mid-recovery', 'after-poison') else chance.randint(1, 12)}"


def _submit(daemon: Daemon, seed: int, wave: int, numbers: range, workflows: dict[int, str]) -> bool:
    """Submit one wave; after a lost answer the same key is used again, so that it is never there twice."""
    tasks = [{"id": f"t{n}", "operation": "kill/write", "params": {"n": n, "pause": f"0.{n % 9 + 1}"}} for n in numbers]
    body = {"name": f"wave {wave}", "tasks": tasks}
    try:
        status, answer = daemon.request("POST", "/workflows", body, headers={"Idempotency-Key": f"{seed}-{wave}"})
    except OSError:
        return False
    if status == 503:
        return False
    assert status == 202, answer
    workflows[wave] = answer["workflow_id"]
    return True


def _shoot_shims(daemon: Daemon, chance: random.Random) -> int:
    """Kill some of the processes that hold an attempt's lock, as the OOM killer would."""
    shot = 0
    for pid in _shim_pids(daemon.data_dir):
        # The daemon leads a session too and holds a state file while it starts an attempt; it is killed elsewhere.
        if pid != daemon.pid and chance.random() < 0.2:
            try:
                os.kill(pid, signal.SIGKILL)
                shot += 1
            except ProcessLookupError:
                continue
    return shot


def _shim_pids(data_dir: Path) -> list[int]:
    """Leaders of a session with one open state file of this data directory: shims (at times the daemon)."""
    attempts = str(data_dir / "attempts")
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            held = [str(link.readlink()) for link in (entry / "fd").iterdir()]
        except OSError:
            continue
        states = [path for path in held if path.startswith(attempts) and not path.endswith((".log", ".events"))]
        if len(states) == 1 and _is_session_leader(int(entry.name)):
            found.append(int(entry.name))
    return found


def _is_session_leader(pid: int) -> bool:
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False


def _finish(daemon: Daemon, workflows: list[str]) -> None:
    """Wait until nothing is left but what a person must decide."""
    deadline = time.monotonic() + FINISH_S
    for workflow in workflows:
        while True:
            status, view = daemon.request("GET", f"/workflows/{workflow}")
            assert status == 200, view
            open_states = {"blocked", "ready", "running", "waiting"} & set(view["tasks"])
            if not open_states:
                break
            assert time.monotonic() < deadline, f"{workflow} does not end: {view}"
            assert not daemon.ends_within(0.05), "the daemon died without being killed"


def _judge(daemon: Daemon, workflows: dict[int, str], waves: list[range], report: Report, shims: bool) -> None:
    starts: Counter[str] = Counter()
    attempts: Counter[str] = Counter()
    ledger = daemon.workspace / "ledger"
    for line in ledger.read_text().splitlines():
        what, number, attempt, _ = line.split()
        if what == "start":
            starts[number] += 1
            attempts[f"{number} attempt {attempt}"] += 1
    report.started_twice += [name for name, count in attempts.items() if count > 1]
    if not shims:
        report.started_twice += [f"task {number}: {count} starts" for number, count in starts.items() if count > 1]
    for wave, numbers in enumerate(waves):
        tasks = {task["id"]: task for task in daemon.items(f"/workflows/{workflows[wave]}/tasks")}
        for n in numbers:
            _judge_task(daemon, workflows[wave], tasks.get(f"t{n}"), n, starts[str(n)], report, shims)


def _judge_task(
    daemon: Daemon, workflow: str, task: dict[str, object] | None, n: int, starts: int, report: Report, shims: bool
) -> None:
    if task is None:
        report.lost.append(f"t{n}")
        return
    last = task["attempts"][-1] if task["attempts"] else {}  # type: ignore[index]
    report.never_started += sum(each["status"] == "never_started" for each in task["attempts"])  # type: ignore[attr-defined]
    if task["status"] == "unknown":
        report.unknown += 1
        if not shims:
            report.false_unknown.append(f"t{n}")
        return
    expected = (None, 9) if n % 50 == 49 else (n % 200, None)
    told = (last.get("exit_code"), last.get("signal"))
    status = "succeeded" if expected == (0, None) else "failed"
    if starts == 0:
        report.lost.append(f"t{n}: {task['status']} but never started")
    if told != expected or task["status"] != status:
        report.wrong_outcome.append(f"t{n}: {task['status']} {told}, expected {status} {expected}")
    code, log = daemon.request("GET", f"/workflows/{workflow}/tasks/t{n}/log")
    assert code == 200, log
    if log != b"".join(b"task %d line %d\n" % (n, line) for line in range(200)):
        report.incomplete_log.append(f"t{n}: {len(log)} bytes")


def _one(arguments: tuple[str, int, int, int, bool]) -> Report:
    root, tasks, kills, seed, shims = arguments
    Path(root).mkdir(parents=True, exist_ok=True)
    return run_marathon(Path(root), tasks=tasks, kills=kills, seed=seed, shims=shims)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=10_000, help="in all (10,000)")
    parser.add_argument("--kills", type=int, default=1_000, help="in all (1,000)")
    parser.add_argument("--daemons", type=int, default=4, help="side by side (4)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shims", action="store_true", help="shoot shims too")
    parser.add_argument("--keep", type=Path, help="work here and leave everything")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kill-") as scratch:
        root = options.keep or Path(scratch)
        each = [
            (
                str(root / f"daemon-{index}"),
                options.tasks // options.daemons,
                options.kills // options.daemons,
                options.seed + index,
                options.shims,
            )
            for index in range(options.daemons)
        ]
        with ProcessPoolExecutor(options.daemons) as pool:
            reports = list(pool.map(_one, each))
    for report in reports:
        shown = {**asdict(report), "kills": report.kills}
        sys.stdout.write(json.dumps(shown) + "\n")
    faults = [report.faults for report in reports if report.faults]
    total = sum(report.kills for report in reports)
    sys.stdout.write(f"{sum(r.tasks for r in reports)} tasks, {total} kills, faults: {faults or 'none'}\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
