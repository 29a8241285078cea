"""Which process is meant: a pid together with its start time, so that a reused pid is never taken for the old one.

On Linux the start time is field 22 of /proc/PID/stat (clock ticks since boot), the one that `PROVISIONING_LEAVE` wants.
Elsewhere it is what `ps` says, as seconds; good enough to notice a reused pid.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

LINUX = sys.platform == "linux"


@dataclass(frozen=True, slots=True)
class Identity:
    pid: int
    started: int

    def __str__(self) -> str:
        return f"{self.pid} {self.started}"


def identify(pid: int) -> Identity | None:
    """The living process of this pid now; None where there is none (a zombie has ended already)."""
    started = _started_linux(pid) if LINUX else _started_ps(pid)
    return None if started is None else Identity(pid, started)


def alive(identity: Identity | None) -> bool:
    return identity is not None and identify(identity.pid) == identity


def end(identity: Identity | None, signals: tuple[signal.Signals, ...], *, grace_s: float) -> bool:
    """Send one signal after the other until the process is gone, grace_s after each. True where it is gone."""
    for number in signals:
        if not _send(identity, number) or wait_gone(identity, timeout_s=grace_s):
            return True
    return not alive(identity)


def wait_gone(identity: Identity | None, *, timeout_s: float) -> bool:
    """Wait for a process that need not be our child. True where it is gone in time."""
    deadline = time.monotonic() + timeout_s
    while alive(identity):
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        _watch(identity, min(left, 1.0))
    return True


def hand_over(starter: Identity) -> None:
    """Name ourselves to whoever clears the starter's attempt away. ProcessLookupError where it may be too late."""
    path = os.environ.pop("PROVISIONING_LEAVE", None)
    if path:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{identify(os.getpid())}\n")
    if not alive(starter):
        raise ProcessLookupError("the process that wanted this one has gone")


def descendants(pid: int) -> list[Identity]:
    """Every living process below pid, deepest last; one snapshot, so repeat until it is empty."""
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    below: list[int] = []
    queue = [pid]
    while queue:
        found = children.get(queue.pop(), [])
        below += found
        queue += found
    return [identity for identity in map(identify, below) if identity]


def _send(identity: Identity | None, number: signal.Signals) -> bool:
    """False where the process is gone already. By pidfd: a number alone could hit a stranger."""
    if identity is None:
        return False
    if not LINUX:
        if not alive(identity):
            return False
        os.kill(identity.pid, number)
        return True
    try:
        descriptor = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return False
    try:
        if not alive(identity):  # only now: the descriptor holds on to whoever has the pid at this moment
            return False
        signal.pidfd_send_signal(descriptor, number)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)


def _watch(identity: Identity | None, timeout_s: float) -> None:
    if not LINUX or identity is None:
        time.sleep(0.02)
        return
    try:
        descriptor = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return
    try:
        select.select([descriptor], [], [], timeout_s)
    finally:
        os.close(descriptor)


def _started_linux(pid: int) -> int | None:
    try:
        after_name = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if after_name[0] in b"ZX" else int(after_name[19])


def _started_ps(pid: int) -> int | None:
    done = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, text = done.stdout.strip().partition(" ")
    if not text or state.startswith("Z"):
        return None
    return int(time.mktime(time.strptime(text.strip(), "%a %b %d %H:%M:%S %Y")))


def _parents() -> list[tuple[int, int]]:
    if not LINUX:
        done = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=False)
        return [(int(line.split()[0]), int(line.split()[1])) for line in done.stdout.splitlines()]
    pairs = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                after_name = (entry / "stat").read_bytes().rpartition(b")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if after_name[0] not in b"ZX":
                pairs.append((int(entry.name), int(after_name[1])))
    return pairs
