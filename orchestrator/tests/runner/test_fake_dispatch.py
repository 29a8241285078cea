"""The fake keeps the promises of the port, and its faults come from the seed alone."""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from provisioning_orchestrator.ports import (
    Alive,
    AttemptEnded,
    AttemptId,
    AttemptSpec,
    Dispatch,
    Exited,
    Fact,
    NeverStarted,
    StartRefused,
    Vanished,
)
from provisioning_orchestrator.testing.dispatch_suite import (
    LOG,
    RECORDS,
    Behaviour,
    DispatchSuite,
    Listener,
    an_id,
)
from provisioning_orchestrator.testing.fake_dispatch import FakeDispatch, FakeWorld, Faults, Play

PLAYS: dict[str, Play] = {
    "succeeds": Play(0.01),
    "fails": Play(0.01, Exited(exit_code=7)),
    "killed": Play(0.01, Exited(signal=9)),
    "reports": Play(0.05, reports=((0.01, RECORDS[0]), (0.02, RECORDS[1]))),
    "prints": Play(0.05, log=((0.01, LOG),)),
    "long": Play(60),
    "overdue": Play(60),
}


def spec_of(id: AttemptId, operation: str = "succeeds") -> AttemptSpec:
    return AttemptSpec(id, operation, b"{}", timeout_s=0.3 if operation == "overdue" else 300, grace_s=1, fence=1)


class World:
    def __init__(self) -> None:
        self.fake = FakeWorld(lambda spec: PLAYS[spec.operation])

    async def open(self) -> Dispatch:
        return FakeDispatch(self.fake)

    async def crash(self, dispatch: Dispatch) -> None:
        assert isinstance(dispatch, FakeDispatch)
        dispatch.crash()

    async def close(self, dispatch: Dispatch) -> None:
        await self.crash(dispatch)

    def spec(self, id: AttemptId, behaviour: Behaviour) -> AttemptSpec:
        return spec_of(id, behaviour)

    def starts(self, id: AttemptId) -> int:
        return sum(spec.id == id for _, spec in self.fake.starts)


class TestFakeDispatch(DispatchSuite):
    def world(self, tmp_path: Path) -> World:
        return World()


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop that jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        self.moment = 0.0
        super().__init__(JumpingSelector(self))

    def time(self) -> float:
        return self.moment


class JumpingSelector(selectors.SelectSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._loop.moment += timeout or 0.0
        return super().select(0)


def in_virtual_time(body: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(body)


def trace_of(seed: int) -> list[Fact]:
    async def body() -> list[Fact]:
        world = FakeWorld(lambda spec: Play(spec.id.task, reports=((0.5, {"type": "progress"}),)))
        faults = Faults(
            refused=0.1, stillborn=0.1, delay_max_s=3, repeated=0.3, lost=0.3, vanished=0.1, start_delay_max_s=1
        )
        dispatch = FakeDispatch(world, random.Random(seed), faults)
        listener = Listener(dispatch, patience_s=100_000)
        for task in range(1, 30):
            try:
                await dispatch.start(spec_of(an_id(task)))
            except StartRefused:
                continue
        for id in {*world.attempts, *world.poisoned}:
            await listener.end_of(id)
        listener.stop()
        return listener.facts

    facts: list[Fact] = in_virtual_time(body())
    return facts


def test_the_same_seed_gives_the_same_facts() -> None:
    assert trace_of(7) == trace_of(7)
    assert trace_of(7) != trace_of(8)


def test_faults_repeat_delay_lose_and_still_every_end_comes() -> None:
    facts = [fact for seed in range(5) for fact in trace_of(seed)]
    verdicts = {type(fact.verdict) for fact in facts if isinstance(fact, AttemptEnded)}
    assert verdicts == {Exited, NeverStarted, Vanished}
    assert any(facts[i] in facts[:i] for i in range(len(facts)))


def test_a_crashed_dispatch_says_and_does_nothing_more() -> None:
    async def body() -> None:
        world = FakeWorld(lambda spec: Play(10))
        first = FakeDispatch(world, random.Random(1), Faults(start_delay_max_s=5))
        listener = Listener(first)
        late = asyncio.get_running_loop().create_task(first.start(spec_of(an_id(1))))
        await asyncio.sleep(0)
        first.crash()
        second = FakeDispatch(world)
        assert isinstance((await second.reconcile([an_id(1)]))[an_id(1)], NeverStarted)
        await late
        assert world.starts == [] and listener.facts == []

    in_virtual_time(body())


def test_the_world_goes_on_while_no_daemon_lives() -> None:
    async def body() -> None:
        world = FakeWorld(lambda spec: Play(10 * spec.id.task))
        first = FakeDispatch(world)
        for task in (1, 2):
            await first.start(spec_of(an_id(task)))
        first.crash()
        await asyncio.sleep(15)
        second = FakeDispatch(world)
        listener = Listener(second)
        verdicts = await second.reconcile([an_id(1), an_id(2)])
        assert verdicts[an_id(1)] == Exited(exit_code=0, started_at=0, ended_at=10_000_000)
        assert verdicts[an_id(2)] == Alive()
        assert await listener.end_of(an_id(2)) == Exited(exit_code=0, started_at=0, ended_at=20_000_000)

    in_virtual_time(body())


def test_a_stubborn_attempt_takes_all_of_its_grace() -> None:
    async def body() -> None:
        world = FakeWorld(lambda spec: Play(1000, stubborn=True))
        dispatch = FakeDispatch(world)
        listener = Listener(dispatch, patience_s=100)
        await dispatch.start(replace(spec_of(an_id(1)), timeout_s=5000))
        await dispatch.cancel(an_id(1), 30)
        verdict = await listener.end_of(an_id(1))
        assert (verdict.signal, verdict.cancelled, verdict.ended_at) == (9, True, 30_000_000)

    in_virtual_time(body())
