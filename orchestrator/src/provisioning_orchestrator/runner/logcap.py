"""Keeps a log small without disturbing who writes it: the middle is given back to the disk, head and tail stay.

Offsets do not change, so a reader that knows "up to byte n" goes on there. The hole is recorded in the state file
before it is punched: a reader that takes the record after the bytes never takes the zeros of a hole for output.

There is no call that limits a file without killing its writer, so the size is looked at: every 10 to 100 ms while
little comes, every 2 ms while much does. A writer at 1 GB/s that begins after a quiet time has the log some 100 MB over
the cap until the next look.
"""

from __future__ import annotations

import os

from . import statefile
from .processes import punch_hole

MIB = 1024 * 1024
HEAD = 1 * MIB
TAIL_MIN = 8 * MIB
TAIL_MAX = 16 * MIB
BLOCK = 4096

_FAST = 0.002
_FIRST = 0.01
_QUIET = 0.1
_BURST = 256 * 1024


class LogCap:
    """log: a descriptor open for writing. state: the state file's. interval_s: look again after so long."""

    __slots__ = ("_able", "_log", "_seen", "_state", "hole_end", "interval_s")

    def __init__(self, log: int, state: int) -> None:
        self._log = log
        self._state = state
        self._seen = 0
        self._able = True
        self.hole_end = HEAD
        self.interval_s = _FIRST

    @property
    def cut(self) -> int:
        """Bytes taken out so far."""
        return self.hole_end - HEAD

    def look(self) -> None:
        size = os.fstat(self._log).st_size
        grown = size - self._seen
        self._seen = size
        if size - self.hole_end > TAIL_MAX and self._able:
            try:
                self._punch((size - TAIL_MIN) // BLOCK * BLOCK)
            except OSError:
                self._able = False
        if grown > _BURST:
            self.interval_s = _FAST
        else:
            self.interval_s = min(self.interval_s * 2, _QUIET)

    def _punch(self, end: int) -> None:
        statefile.write(self._state, statefile.HOLE, {"hole": f"{HEAD}:{end}"})
        if punch_hole(self._log, self.hole_end, end - self.hole_end):
            self.hole_end = end
        else:  # This file system cannot: the log grows, and the record is taken back.
            self._able = False
            statefile.write(self._state, statefile.HOLE, {"hole": f"{HEAD}:{self.hole_end}"})
