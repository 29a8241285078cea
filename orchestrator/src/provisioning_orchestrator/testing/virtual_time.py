"""An asyncio loop whose time jumps to the next moment at which something happens, and a wall clock that can be wrong.

Nothing outside of the loop can wake it: no file, no signal, no thread. So the order of everything that happens on it
follows from its callbacks alone, and a run can be repeated to the last step.

asyncio swallows what a callback raises, all but SystemExit and KeyboardInterrupt: what is to stop a whole simulation
from anywhere in it (a `SimulatedCrash`, a violation) derives from SystemExit.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

START_S = 1_000.0
TURNS_MAX = 200_000  # of the loop without time going on: somebody turns in circles
EPOCH_US = 1_700_000_000_000_000


class Stuck(SystemExit):
    """Nothing can ever happen again: everybody waits and no timer is set, or somebody turns in circles."""


class VirtualLoop(asyncio.BaseEventLoop):
    def __init__(self) -> None:
        super().__init__()
        self._now = START_S
        # A timer is due when less than this is left. It must not vanish beside the seconds of some years.
        self._clock_resolution = 1e-6
        self._selector = _Jump(self)

    def time(self) -> float:
        return self._now

    def jump(self, seconds: float) -> None:
        self._now += seconds

    # What BaseEventLoop asks of its kind: there are no files, and nobody else who could wake it.

    def _process_events(self, events: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    def _asyncgen_finalizer_hook(self, generator: AsyncGenerator[Any, Any]) -> None:
        """Not closed in a task: when the collector comes by is not ours to say."""


class _Jump:
    """Stands for the selector: instead of waiting, it moves the time on."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._turns = 0

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Stuck("everybody waits and no timer is set")
        self._turns += 1
        if timeout > 0:
            self._turns = 0
            self._loop.jump(timeout)
        elif self._turns > TURNS_MAX:
            raise Stuck(f"{TURNS_MAX} turns of the loop, and no time has passed")
        return []

    def close(self) -> None:
        pass


def run_virtually(work: Coroutine[Any, Any, T]) -> T:
    """Run it to its end on a loop of its own. Raises Stuck."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


class VirtualClock:
    """The port `Clock` on the running loop. offset_us: how wrong the wall clock is; running time is never wrong."""

    def __init__(self) -> None:
        self.offset_us = 0

    def now(self) -> int:
        return EPOCH_US + self.offset_us + round(asyncio.get_running_loop().time() * 1_000_000)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Callable[[], None]:
        return asyncio.get_running_loop().call_later(delay_s, callback).cancel
