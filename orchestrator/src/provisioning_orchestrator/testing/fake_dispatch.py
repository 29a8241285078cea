"""A dispatch in memory: scripted attempts in a world that outlives the daemon, and faults drawn from a seed.

    world = FakeWorld(script)                          the host: its attempts go on while no daemon lives
    dispatch = FakeDispatch(world, random.Random(7), Faults(repeated=0.1, lost=0.1, delay_max_s=2.0))
    dispatch.crash()                                   the daemon is gone: nothing more comes out of this object
    dispatch = FakeDispatch(world, …)                  the next daemon: asks `reconcile` like after a real crash

Time is the running loop's (`loop.time`, `call_later`), so a loop on virtual time makes it virtual; nothing sleeps, no
thread runs. The same seed and the same calls give the same facts in the same order. A world may move to a new loop as
long as that loop's time is not behind the old one's.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from provisioning_orchestrator.ports import (
    Alive,
    AttemptEnded,
    AttemptId,
    AttemptReported,
    AttemptSpec,
    Exited,
    Fact,
    LogChunk,
    NeverStarted,
    StartRefused,
    Vanished,
    Verdict,
)

MOMENT_S = 1e-6
Ending = Exited | NeverStarted | Vanished


@dataclass(frozen=True, slots=True)
class Play:
    """What one attempt does. duration_s: until its end by itself. verdict: that end (times are filled in).

    reports: (seconds after the start, record), in order. log: (seconds after the start, bytes), in order.
    stubborn: a cancel is noticed only after its grace. A play whose duration passes the attempt's timeout times out.
    """

    duration_s: float = 1.0
    verdict: Ending = field(default_factory=lambda: Exited(exit_code=0))
    reports: tuple[tuple[float, dict[str, Any]], ...] = ()
    log: tuple[tuple[float, bytes], ...] = ()
    stubborn: bool = False


Script = Callable[[AttemptSpec], Play]


@dataclass(frozen=True, slots=True)
class Faults:
    """Probabilities, 0.0 to 1.0, drawn from the dispatch's own random source.

    refused: start raises StartRefused, nothing runs. stillborn: start returns but the attempt never starts, which comes
    as a fact. start_delay_max_s: start takes up to so long before anything runs (a crash in between: never started).
    delay_max_s: each fact comes up to so late (order among facts of one attempt is kept).
    repeated: a fact comes a second time. lost: a delivery of an end is dropped and tried again after redelivery_s, as
    long as it is not settled. vanished: the shim is shot at some moment, so that nobody sees the end.
    """

    refused: float = 0.0
    stillborn: float = 0.0
    start_delay_max_s: float = 0.0
    delay_max_s: float = 0.0
    repeated: float = 0.0
    lost: float = 0.0
    redelivery_s: float = 30.0
    vanished: float = 0.0


class FakeAttempt:
    """One attempt of the world."""

    def __init__(self, spec: AttemptSpec, play: Play, now: float) -> None:
        self.spec = spec
        self.play = play
        self.started_at = now
        self.ends_at = now + min(play.duration_s, spec.timeout_s)
        self.verdict: Ending | None = None
        self.ended_at: float | None = None
        self._ending: Ending = play.verdict
        if play.duration_s > spec.timeout_s:
            self._ending = Exited(signal=15, timed_out=True)

    def cancel(self, now: float, grace_s: float) -> None:
        at = now + grace_s if self.play.stubborn else now
        if at < self.ends_at:
            self.ends_at = at
            self._ending = Exited(signal=9 if self.play.stubborn else 15, cancelled=True)

    def shoot(self, now: float) -> None:
        self.ends_at = min(self.ends_at, now)
        self._ending = Vanished("its shim was killed")

    def finish(self, now: float) -> None:
        self.ends_at, self._ending = min(self.ends_at, now), self.play.verdict

    def end(self, now: float) -> None:
        verdict = self._ending
        if isinstance(verdict, Exited):
            verdict = replace(verdict, started_at=_us(self.started_at), ended_at=_us(now))
        self.verdict, self.ended_at = verdict, now

    def log(self, now: float) -> bytes:
        limit = now if self.ended_at is None else self.ended_at
        return b"".join(data for at, data in self.play.log if self.started_at + at <= limit)

    def reports(self, now: float) -> list[AttemptReported]:
        """All that it has reported so far: one fact a record, as the local runner gives them."""
        limit = now if self.ended_at is None else self.ended_at
        facts = []
        offset = 0
        for at, record in self.play.reports:
            if self.started_at + at > limit:
                break
            next_offset = offset + len(json.dumps(record).encode()) + 1
            facts.append(AttemptReported(self.spec.id, offset, next_offset, (record,)))
            offset = next_offset
        return facts


class FakeWorld:
    """The host: what was started on it goes on, whoever watches.

    starts: every real start, in order, as (time, spec): what an invariant is checked against.
    poisoned: ids that were declared never started; a late start of them does nothing.
    """

    def __init__(self, script: Script = lambda spec: Play()) -> None:
        self.script = script
        self.attempts: dict[AttemptId, FakeAttempt] = {}
        self.starts: list[tuple[float, AttemptSpec]] = []
        self.poisoned: set[AttemptId] = set()
        self.watcher: FakeDispatch | None = None
        self._wakeups: dict[AttemptId, tuple[asyncio.AbstractEventLoop, asyncio.TimerHandle]] = {}

    def begin(self, spec: AttemptSpec) -> None:
        """Run the attempt, once: an id that was started or poisoned before is left alone."""
        if spec.id in self.attempts or spec.id in self.poisoned:
            return
        now = asyncio.get_running_loop().time()
        self.starts.append((now, spec))
        self.attempts[spec.id] = FakeAttempt(spec, self.script(spec), now)
        self._arm(self.attempts[spec.id])

    def cancel(self, id: AttemptId, grace_s: float) -> None:
        self._change(id, lambda attempt, now: attempt.cancel(now, grace_s))

    def shoot(self, id: AttemptId) -> None:
        """Kill the attempt's shim: it ends at once as Vanished."""
        self._change(id, lambda attempt, now: attempt.shoot(now))

    def finish(self, id: AttemptId) -> None:
        """Let the attempt end now, as its play says that it ends."""
        self._change(id, lambda attempt, now: attempt.finish(now))

    def running(self) -> list[AttemptId]:
        self.catch_up()
        return [id for id, attempt in self.attempts.items() if attempt.verdict is None]

    def catch_up(self) -> None:
        """End what should have ended by now, and arm the rest on the running loop (after a change of loops)."""
        loop = asyncio.get_running_loop()
        for id, attempt in self.attempts.items():
            if attempt.verdict is not None:
                continue
            if attempt.ends_at <= loop.time():
                attempt.end(attempt.ends_at)
                self._tell(attempt)
            elif id not in self._wakeups or self._wakeups[id][0] is not loop:
                self._arm(attempt)

    def _change(self, id: AttemptId, change: Callable[[FakeAttempt, float], None]) -> None:
        attempt = self.attempts.get(id)
        if attempt is not None and attempt.verdict is None:
            change(attempt, asyncio.get_running_loop().time())
            self._arm(attempt)

    def _arm(self, attempt: FakeAttempt) -> None:
        """Wake at its next report or its end, whichever is first."""
        loop = asyncio.get_running_loop()
        id = attempt.spec.id
        if id in self._wakeups:
            self._wakeups.pop(id)[1].cancel()
        now = loop.time()
        moments = [attempt.started_at + at for at, _ in (*attempt.play.reports, *attempt.play.log)]
        at = min((m for m in moments if now < m < attempt.ends_at), default=attempt.ends_at)
        self._wakeups[id] = (loop, loop.call_later(max(0.0, at - now), self._wake, attempt))

    def _wake(self, attempt: FakeAttempt) -> None:
        self._wakeups.pop(attempt.spec.id, None)
        now = asyncio.get_running_loop().time()
        if attempt.ends_at <= now:
            attempt.end(now)
        else:
            self._arm(attempt)
        self._tell(attempt)

    def _tell(self, attempt: FakeAttempt) -> None:
        if self.watcher is not None:
            self.watcher.noticed(attempt)


class FakeDispatch:
    """The port `Dispatch` over a FakeWorld. Must be made while a loop runs; a new one takes over from the old."""

    def __init__(self, world: FakeWorld, chance: random.Random | None = None, faults: Faults | None = None) -> None:
        self.world = world
        self.faults = faults or Faults()
        self.crashed = False
        self._chance = chance or random.Random(0)  # noqa: S311 - a seed is the point
        self._watched: set[AttemptId] = set()
        self._unsettled: dict[AttemptId, AttemptEnded] = {}
        self._reported: dict[AttemptId, int] = {}
        self._not_before: dict[AttemptId, float] = {}
        self._queue: deque[Fact] = deque()
        self._grown: set[asyncio.Future[None]] = set()
        self._arrived: asyncio.Event = asyncio.Event()
        self._timers: set[asyncio.TimerHandle] = set()
        if world.watcher is not None:
            world.watcher.crash()
        world.watcher = self
        world.catch_up()

    def crash(self) -> None:
        """As kill -9 of the daemon: no fact comes any more, no late call does anything; the world goes on."""
        self.crashed = True
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._queue.clear()
        self._arrived.set()
        if self.world.watcher is self:
            self.world.watcher = None

    # --- the port ----------------------------------------------------------------------------------------------------

    async def start(self, spec: AttemptSpec) -> None:
        if spec.id in self.world.attempts or spec.id in self.world.poisoned:
            return
        if self._strikes(self.faults.refused):
            raise StartRefused(f"starting {spec.id}: the host has no room for another process (injected)")
        stillborn = self._strikes(self.faults.stillborn)
        if self.faults.start_delay_max_s:
            await self._pass(self._chance.uniform(0, self.faults.start_delay_max_s))
        if self.crashed:
            return
        if stillborn:
            self.world.poisoned.add(spec.id)
            self._deliver_end(AttemptEnded(spec.id, NeverStarted("the shim could not be forked (injected)")))
            return
        self._watched.add(spec.id)
        self.world.begin(spec)
        if self._strikes(self.faults.vanished):
            attempt = self.world.attempts[spec.id]
            after_s = self._chance.uniform(0, attempt.ends_at - attempt.started_at)
            asyncio.get_running_loop().call_later(after_s, self.world.shoot, spec.id)

    async def cancel(self, id: AttemptId, grace_s: float) -> None:
        if not self.crashed:
            self.world.cancel(id, grace_s)

    async def reconcile(self, ids: Sequence[AttemptId]) -> dict[AttemptId, Verdict]:
        self.world.catch_up()
        return {id: self._classify(id) for id in ids}

    async def facts(self) -> AsyncIterator[Fact]:
        while not self.crashed:
            while self._queue:
                yield self._queue.popleft()
            self._arrived.clear()
            await self._arrived.wait()

    async def settled(self, ids: Sequence[AttemptId]) -> None:
        for id in ids:
            self._unsettled.pop(id, None)
            self._reported.pop(id, None)
            self._not_before.pop(id, None)

    async def log(self, id: AttemptId, offset: int, limit: int) -> LogChunk:
        attempt = self.world.attempts.get(id)
        if attempt is None:
            return LogChunk(offset, b"", offset, ended=True)
        log = attempt.log(asyncio.get_running_loop().time())
        data = log[offset : offset + limit]
        next_offset = offset + len(data)
        return LogChunk(offset, data, next_offset, ended=attempt.verdict is not None and next_offset >= len(log))

    async def log_grown(self, id: AttemptId, offset: int) -> None:
        while not self.crashed:
            attempt = self.world.attempts.get(id)
            if attempt is None or attempt.verdict is not None:
                return
            if len(attempt.log(asyncio.get_running_loop().time())) > offset:
                return
            grown = asyncio.get_running_loop().create_future()
            self._grown.add(grown)
            try:
                await grown
            finally:
                self._grown.discard(grown)

    # --- how facts come ----------------------------------------------------------------------------------------------

    def noticed(self, attempt: FakeAttempt) -> None:
        """The world says that something happened to an attempt."""
        for grown in self._grown:
            if not grown.done():
                grown.set_result(None)
        id = attempt.spec.id
        if self.crashed or id not in self._watched:
            return
        self._deliver_reports(attempt)
        if attempt.verdict is not None:
            self._watched.discard(id)
            self._deliver_end(AttemptEnded(id, attempt.verdict))

    def _classify(self, id: AttemptId) -> Verdict:
        attempt = self.world.attempts.get(id)
        if attempt is None:
            self.world.poisoned.add(id)
            return NeverStarted("nothing of it was found, and it can no longer start")
        self._deliver_reports(attempt)
        if attempt.verdict is not None:
            return attempt.verdict
        self._watched.add(id)
        return Alive()

    def _deliver_reports(self, attempt: FakeAttempt) -> None:
        id = attempt.spec.id
        for fact in attempt.reports(asyncio.get_running_loop().time()):
            if fact.offset >= self._reported.get(id, 0):
                self._reported[id] = fact.next_offset
                self._deliver(fact)

    def _deliver_end(self, fact: AttemptEnded) -> None:
        self._unsettled[fact.id] = fact
        if self._strikes(self.faults.lost):
            self._later(self.faults.redelivery_s, self._redeliver, fact)
        else:
            self._deliver(fact)

    def _redeliver(self, fact: AttemptEnded) -> None:
        if fact.id in self._unsettled:
            self._deliver_end(fact)

    def _deliver(self, fact: Fact) -> None:
        """Queue it, late and twice where the faults say so, but never before an earlier fact of the same attempt."""
        for _ in range(2 if self._strikes(self.faults.repeated) else 1):
            if not self.faults.delay_max_s:
                self._arrive(fact)
                continue
            now = asyncio.get_running_loop().time()
            # A loop does not promise the order of timers of one moment: facts of one attempt are a moment apart.
            earliest = self._not_before.get(fact.id, now) + MOMENT_S
            at = max(now + self._chance.uniform(0, self.faults.delay_max_s), earliest)
            self._not_before[fact.id] = at
            self._later(at - now, self._arrive, fact)

    def _arrive(self, fact: Fact) -> None:
        self._queue.append(fact)
        self._arrived.set()

    def _later(self, delay_s: float, call: Callable[[Any], None], fact: Fact) -> None:
        def fire() -> None:
            self._timers.discard(timer)
            call(fact)

        timer = asyncio.get_running_loop().call_later(delay_s, fire)
        self._timers.add(timer)

    async def _pass(self, delay_s: float) -> None:
        passed = asyncio.Event()
        asyncio.get_running_loop().call_later(delay_s, passed.set)
        await passed.wait()

    def _strikes(self, probability: float) -> bool:
        return probability > 0 and self._chance.random() < probability


def _us(seconds: float) -> int:
    return int(seconds * 1_000_000)
