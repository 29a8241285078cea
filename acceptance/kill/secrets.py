"""Kill everybody while secrets are written, then search everything that was kept for them.

    python -m acceptance.kill.secrets --tasks 200 --kills 2000 --seeds 5

Shot at random: the daemon, its helper, shims, and the filters that stand between operations and their logs. Every task
writes sixty lines and events with a secret, in halves. At the end: no file holds the secret or a half of it, nothing is
left in memory, no attempt whose shim lived has lost a line, and every task succeeded in the end.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from acceptance.daemon import Daemon

LIBRARY = Path(__file__).parent / "library"
VALUE = "correct-horse/battery 'staple'"
PARTS = (
    VALUE.encode(),
    b"correct-horse",
    b"staple",
    VALUE.encode().hex(":").encode()[:40],
    VALUE.encode().hex().encode(),
)
LINES = [f"line {number} [secret db] [secret db]" for number in range(60)]
EVENTS = [f"{number} [secret db]" for number in range(60)]
FINISH_S = 300.0


@dataclass
class Report:
    """What one storm saw. Everything in `faults` must be empty.

    repeated: lines that are in a log twice, because a filter was shot after it had written them: known, and no fault.
    """

    seed: int
    tasks: int
    kills: dict[str, int] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    repeated: int = 0
    leaks: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def faults(self) -> dict[str, list[str]]:
        named = ("leaks", "incomplete", "strange", "left")
        return {name: getattr(self, name) for name in named if getattr(self, name)}


def run_storm(root: Path, *, tasks: int, kills: int, seed: int) -> Report:
    """One daemon's storm under `root`. The same seed makes the same choices (timing stays real)."""
    chance = random.Random(seed)
    began = time.monotonic()
    (root / "workspace").mkdir(parents=True)
    resolver = root / "resolve"
    answer = json.dumps({"secrets": {"db": VALUE}}).replace("'", "'\\''")
    resolver.write_text(f"#!/bin/sh\ncat > /dev/null\nsleep 0.0{chance.randrange(9)}\nprintf '%s' '{answer}'\n")
    resolver.chmod(0o755)
    options = ("--library", str(LIBRARY), "--secrets-command", str(resolver), "--slots", "8")
    daemon = Daemon(root, root / "workspace", options).start()
    try:
        report = _storm(daemon, chance, Report(seed, tasks), kills)
        search(root, resolver, report)  # its journal is as it was written
        daemon.start()
        assert daemon.stop() == 0, "the daemon did not stop cleanly"
    finally:
        if daemon.alive():
            daemon.kill()
    search(root, resolver, report)
    memory = _memory(daemon)
    report.left = [str(path) for path in memory.rglob("*")] if memory.exists() else []
    report.seconds = round(time.monotonic() - began, 1)
    return report


def _storm(daemon: Daemon, chance: random.Random, report: Report, kills: int) -> Report:
    """Ends with a shot daemon."""
    each = [
        {"id": f"t{n}", "operation": "kill/tell-secrets", "params": {"p": "secret://db"}} for n in range(report.tasks)
    ]
    status, answered = daemon.request("POST", "/workflows", {"name": "secrets", "tasks": each})
    assert status == 202, answered
    workflow = answered["workflow_id"]
    report.kills = dict(_shoot(daemon, chance, kills, workflow))
    _judge(daemon, workflow, daemon.ended(workflow, FINISH_S), report)
    daemon.kill()
    return report


def _shoot(daemon: Daemon, chance: random.Random, kills: int, workflow: str) -> Counter[str]:
    """At random until so many are dead, or everything has ended."""
    shot: Counter[str] = Counter()
    next_life = time.monotonic() + chance.uniform(0.3, 1.2)
    while sum(shot.values()) < kills and not _over(daemon, workflow):
        time.sleep(chance.uniform(0.01, 0.05))  # of what happens meanwhile, any instant is as good as any other
        draw = chance.random()
        shims, filters = _attempts(daemon)
        if time.monotonic() > next_life:
            daemon.kill()
            shot["daemon"] += 1
            _kill(shims[: chance.randrange(2)], "shim", shot)  # nobody lives who could see it
            daemon.start()
            next_life = time.monotonic() + chance.uniform(0.3, 1.2)
        elif draw < 0.55:
            _kill(filters, "filter", shot)
        elif draw < 0.70:
            _kill([chance.choice(shims)] if shims else [], "shim", shot)
        elif draw < 0.78:
            _kill(_children(daemon.pid), "helper", shot)
    return shot


def _over(daemon: Daemon, workflow: str) -> bool:
    status, view = daemon.request("GET", f"/workflows/{workflow}")
    return status == 200 and view["status"] in ("succeeded", "failed")


def _kill(pids: list[int], what: str, shot: Counter[str]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
            shot[what] += 1
        except ProcessLookupError:
            continue


def _children(pid: int) -> list[int]:
    """Those that fork shims."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [int(child) for child in children if b"forker" in _command(child)]


def _command(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _attempts(daemon: Daemon) -> tuple[list[int], list[int]]:
    """Shims: leaders of a session with a state file open. Filters: those with a log open, and no state file."""
    attempts = str(daemon.data_dir / "attempts")
    shims: list[int] = []
    filters: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == daemon.pid or b"forker" not in _command(entry.name):
            continue
        try:
            held = [str(link.readlink()) for link in (entry / "fd").iterdir()]
            leads = os.getsid(int(entry.name)) == int(entry.name)
        except OSError:
            continue
        mine = [path for path in held if path.startswith(attempts)]
        states = [path for path in mine if not path.endswith((".log", ".events", ".result"))]
        if leads and mine:
            (shims if states else filters).append(int(entry.name))
    return sorted(shims), sorted(filters)


def _judge(daemon: Daemon, workflow: str, ended: dict[str, Any], report: Report) -> None:
    if ended["status"] != "succeeded":
        report.strange.append(f"the workflow ended as {ended['status']}")
    seen: Counter[str] = Counter()
    for task in daemon.items(f"/workflows/{workflow}/tasks"):
        sequence = int(task["id"].removeprefix("t")) + 1  # in the order in which they were submitted
        for attempt in task["attempts"]:
            seen[attempt["status"]] += 1
            state = daemon.data_dir / "attempts" / workflow / f"{sequence}.{attempt['number']}"
            _judge_attempt(f"{task['id']} attempt {attempt['number']}", attempt["status"], state, report)
        if task["result"] != "[secret db]":
            report.strange.append(f"{task['id']}: {task['status']} with result {task['result']!r}")
    report.attempts = dict(seen)


def _judge_attempt(name: str, status: str, state: Path, report: Report) -> None:
    log = _lines(state.with_name(state.name + ".log"))
    told = [json.loads(line)["message"] for line in _lines(state.with_name(state.name + ".events"))]
    lines = list(dict.fromkeys(log))
    report.repeated += len(log) - len(lines)
    if status == "succeeded" and (lines != LINES or told != EVENTS):
        missing = [line for line in LINES if line not in lines][:3]
        report.incomplete.append(
            f"{name}: {len(lines)} lines, {len(told)} events, without {missing}, with {lines[-1:]}"
        )
    odd = [line for line in lines[:-1] if line not in LINES]  # the last one of a shot operation may be cut
    if odd:
        report.strange.append(f"{name} ({status}): {odd[:3]}")


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def _memory(daemon: Daemon) -> Path:
    digest = hashlib.sha256(os.fsencode(daemon.data_dir)).hexdigest()[:16]
    return Path(f"/dev/shm/provisioning-{os.geteuid()}") / digest


def search(root: Path, resolver: Path, report: Report) -> None:
    """Enter the files that hold a part of the secret; the resolver may."""
    for file in root.rglob("*"):
        if file.is_file() and file != resolver:
            content = file.read_bytes()
            report.leaks += [f"{part!r} in {file}" for part in PARTS if part in content]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=200, help="of each storm (200)")
    parser.add_argument("--kills", type=int, default=2_000, help="at most, of each storm (2,000)")
    parser.add_argument("--seeds", type=int, default=5, help="storms, one after the other (5)")
    parser.add_argument("--seed", type=int, default=1, help="of the first (1)")
    parser.add_argument("--keep", type=Path, help="work here and leave everything")
    options = parser.parse_args()
    faulty = 0
    with tempfile.TemporaryDirectory(prefix="kill-secrets-") as scratch:
        for seed in range(options.seed, options.seed + options.seeds):
            root = (options.keep or Path(scratch)) / f"seed-{seed}"
            report = run_storm(root, tasks=options.tasks, kills=options.kills, seed=seed)
            sys.stdout.write(json.dumps(asdict(report)) + "\n")
            sys.stdout.flush()
            faulty += bool(report.faults)
    sys.stdout.write(f"{options.seeds} storms, with faults: {faulty or 'none'}\n")
    return 1 if faulty else 0


if __name__ == "__main__":
    sys.exit(main())
