"""The real clock and the real chance: what the engine is given outside of simulations."""

from __future__ import annotations

import asyncio
import math
import random
import secrets
import threading
import time
import uuid
from collections.abc import Callable

# Crockford's base 32 in lower case: no letters that look like digits, and it sorts as it counts.
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
RANDOM_BITS = 80
TIME_BITS = 48


LOOP_TICK_S = 0.001  # event loops count whole milliseconds, and may round both the delay and their own time down


class SystemClock:
    """`ports.Clock` of this machine; call_later waits on the running event loop, and never less than was asked for."""

    def now(self) -> int:
        return time.time_ns() // 1000

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Callable[[], None]:
        return asyncio.get_running_loop().call_later(_waited_s(delay_s), callback).cancel


def _waited_s(delay_s: float) -> float:
    return math.ceil(delay_s / LOOP_TICK_S) * LOOP_TICK_S + LOOP_TICK_S if delay_s > 0 else 0.0


class SystemChance:
    """`ports.Chance` of this machine.

    Workflow ids are `wf_` and 26 characters: 48 bits of milliseconds, 80 random bits. Within one process they only
    grow, also when two are made in one millisecond or the clock is set back.
    """

    def __init__(self, milliseconds: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._milliseconds = milliseconds
        self._last = 0
        self._lock = threading.Lock()

    def fraction(self) -> float:
        return random.random()  # noqa: S311 - spreads retries, guards nothing

    def workflow_id(self) -> str:
        with self._lock:
            moment = self._milliseconds() & ((1 << TIME_BITS) - 1)
            if moment > self._last >> RANDOM_BITS:
                self._last = moment << RANDOM_BITS | secrets.randbits(RANDOM_BITS)
            else:
                # A step of 64 random bits: ids of one millisecond can't be guessed from each other either.
                self._last += 1 + secrets.randbits(64)
            number = self._last
        return "wf_" + "".join(ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))

    def intent(self) -> str:
        return str(uuid.uuid4())
