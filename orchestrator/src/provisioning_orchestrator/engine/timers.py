"""Delays of waiting tasks. Nothing of it is stored: after a restart they are set again from the rows."""

from __future__ import annotations

from collections.abc import Callable

from ..ports import Clock

DELAY_MAX_S = 86_400.0


class Timers:
    """tell(workflow, seq, at): called when a delay ended; `at` is never before the time it was due.

    The delay runs on the clock's running time, so a jump of the wall clock neither wakes nor holds anything.
    """

    def __init__(self, clock: Clock, tell: Callable[[str, int, int], None]) -> None:
        self._clock = clock
        self._tell = tell
        self._cancels: dict[str, dict[int, Callable[[], None]]] = {}

    def set(self, workflow: str, seq: int, due_at: int) -> None:
        delay_s = min(max(0.0, (due_at - self._clock.now()) / 1_000_000), DELAY_MAX_S)
        timers = self._cancels.setdefault(workflow, {})
        if seq in timers:
            timers.pop(seq)()
        timers[seq] = self._clock.call_later(delay_s, lambda: self._fire(workflow, seq, due_at))

    def forget(self, workflow: str) -> None:
        for cancel in self._cancels.pop(workflow, {}).values():
            cancel()

    def close(self) -> None:
        for workflow in list(self._cancels):
            self.forget(workflow)

    def _fire(self, workflow: str, seq: int, due_at: int) -> None:
        self._cancels.get(workflow, {}).pop(seq, None)
        self._tell(workflow, seq, max(due_at, self._clock.now()))
