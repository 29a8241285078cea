"""After a shim was shot: end what is left of its attempt, so that the next attempt never overlaps with it.

The shim's death has killed the operation itself. What that had started is found by the mark in its environment, by the
shim's session, and by descent. What gave up all three (an empty environment, a session of its own, and a parent that
ended) is not found: only a control group could.
"""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass

from . import processes

PATIENCE_S = 10.0
_PAUSE_S = 0.01


@dataclass(frozen=True, slots=True)
class Remains:
    """mark: the beginning of PROVISIONING_ATTEMPT's value. shim: its pid, 0 where it is not known; start: its start
    time. leave: the file that names what was handed over."""

    mark: str
    shim: int
    start: int
    leave: str


def sweep(remains: list[Remains]) -> bool:
    """Kill until none is found. Blocks. False: after PATIENCE_S some are still alive (in an uninterruptible call)."""
    marks = tuple(each.mark.encode() for each in remains)
    sessions = {each.shim: each.start for each in remains if each.shim}
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = processes.marked(marks, sessions)
        if found:
            known = processes.table()
            for each in remains:
                for pid in processes.handed_over(known, each.leave):
                    found.pop(pid, None)
        if not found:
            return True
        if time.monotonic() > deadline:
            return False
        for one in found.values():
            processes.send(one.pid, one.start, signal.SIGKILL)
        time.sleep(_PAUSE_S)
