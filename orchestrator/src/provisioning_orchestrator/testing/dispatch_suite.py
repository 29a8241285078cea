"""What every implementation of the port `Dispatch` promises, as tests that all of them pass.

    class TestLocalDispatch(DispatchSuite):
        def world(self, tmp_path): return …      # a DispatchWorld

A world outlives the dispatches that are opened on it, one after the other, as a host outlives daemons.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Literal, Protocol

from provisioning_orchestrator.ports import (
    Alive,
    AttemptEnded,
    AttemptId,
    AttemptReported,
    AttemptSpec,
    Dispatch,
    Exited,
    Fact,
    NeverStarted,
)

PATIENCE_S = 20.0
LOG = b"first line\nsecond line, \xff\x00 not text\n"
RECORDS = ({"type": "progress", "message": "half"}, {"type": "resource.created", "kind": "server", "id": "s-1"})

Behaviour = Literal["succeeds", "fails", "killed", "reports", "prints", "long", "overdue"]


class DispatchWorld(Protocol):
    async def open(self) -> Dispatch:
        """A dispatch on this world; the one before it has been closed or crashed."""

    async def crash(self, dispatch: Dispatch) -> None:
        """The daemon is gone without a word; what it started goes on."""

    async def close(self, dispatch: Dispatch) -> None: ...

    def spec(self, id: AttemptId, behaviour: Behaviour) -> AttemptSpec:
        """An attempt that behaves so.

        succeeds: exit 0 at once. fails: exit 7. killed: ends itself by SIGKILL. reports: appends RECORDS, then exit 0.
        prints: LOG, then exit 0. long: runs for a minute unless told to end. overdue: like long, but its timeout
        is 0.3 s.
        """

    def starts(self, id: AttemptId) -> int:
        """How often the operation of this attempt really began to run."""


class Listener:
    """Collects the facts of one dispatch. patience_s: how long an end is waited for, in the loop's time."""

    def __init__(self, dispatch: Dispatch, patience_s: float = PATIENCE_S) -> None:
        self.facts: list[Fact] = []
        self._patience_s = patience_s
        self._arrived = asyncio.Event()
        self._dispatch = dispatch
        self._task = asyncio.get_running_loop().create_task(self._listen())

    async def _listen(self) -> None:
        async for fact in self._dispatch.facts():
            self.facts.append(fact)
            self._arrived.set()

    async def end_of(self, id: AttemptId) -> Any:
        """The verdict of the first end of that attempt. Raises TimeoutError."""
        async with asyncio.timeout(self._patience_s):
            while True:
                for fact in self.facts:
                    if isinstance(fact, AttemptEnded) and fact.id == id:
                        return fact.verdict
                self._arrived.clear()
                await self._arrived.wait()

    def records(self, id: AttemptId) -> list[dict[str, Any]]:
        """What was reported, each byte of the event file once."""
        seen: dict[int, tuple[dict[str, Any], ...]] = {}
        for fact in self.facts:
            if isinstance(fact, AttemptReported) and fact.id == id:
                seen[fact.offset] = fact.records
        return [record for offset in sorted(seen) for record in seen[offset]]

    def stop(self) -> None:
        self._task.cancel()


async def until(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Wait for a condition that nothing signals. Raises TimeoutError."""
    async with asyncio.timeout(patience_s):
        while not condition():  # noqa: ASYNC110 - what other processes do sets no event of ours
            await asyncio.sleep(0.005)


class DispatchSuite:
    """Subclass it, implement `world`, and let pytest collect the subclass."""

    def world(self, tmp_path: Path) -> DispatchWorld:
        raise NotImplementedError

    def test_exit_codes_are_told_as_they_were(self, tmp_path: Path) -> None:
        async def body(world: DispatchWorld, dispatch: Dispatch, listener: Listener) -> None:
            behaviours: tuple[Behaviour, ...] = ("succeeds", "fails", "killed")
            for number, behaviour in enumerate(behaviours, start=1):
                await dispatch.start(world.spec(an_id(number), behaviour))
            one, two, three = [await listener.end_of(an_id(n)) for n in (1, 2, 3)]
            assert (one.exit_code, one.signal) == (0, None)
            assert (two.exit_code, two.signal) == (7, None)
            assert (three.exit_code, three.signal) == (None, 9)
            assert 0 < one.started_at <= one.ended_at

        self._run(tmp_path, body)

    def test_a_second_start_of_one_id_does_nothing(self, tmp_path: Path) -> None:
        async def body(world: DispatchWorld, dispatch: Dispatch, listener: Listener) -> None:
            spec = world.spec(an_id(1), "succeeds")
            await asyncio.gather(*(dispatch.start(spec) for _ in range(5)))
            await listener.end_of(spec.id)
            await dispatch.start(spec)
            await dispatch.start(world.spec(an_id(2), "succeeds"))
            await listener.end_of(an_id(2))
            assert world.starts(spec.id) == 1

        self._run(tmp_path, body)

    def test_reports_come_in_order_and_before_the_end(self, tmp_path: Path) -> None:
        async def body(world: DispatchWorld, dispatch: Dispatch, listener: Listener) -> None:
            spec = world.spec(an_id(1), "reports")
            await dispatch.start(spec)
            await listener.end_of(spec.id)
            assert listener.records(spec.id) == list(RECORDS)
            assert isinstance(listener.facts[-1], AttemptEnded)

        self._run(tmp_path, body)

    def test_cancel_ends_a_running_attempt_and_says_so(self, tmp_path: Path) -> None:
        async def body(world: DispatchWorld, dispatch: Dispatch, listener: Listener) -> None:
            spec = world.spec(an_id(1), "long")
            await dispatch.start(spec)
            await until(lambda: world.starts(spec.id) == 1)
            await dispatch.cancel(spec.id, 5.0)
            verdict = await listener.end_of(spec.id)
            assert isinstance(verdict, Exited) and verdict.cancelled and not verdict.timed_out
            assert verdict.signal == 15

        self._run(tmp_path, body)

    def test_cancel_of_an_unknown_or_ended_attempt_is_ignored(self, tmp_path: Path) -> None:
        async def body(world: DispatchWorld, dispatch: Dispatch, listener: Listener) -> None:
            await dispatch.cancel(an_id(9), 1.0)
            spec = world.spec(an_id(1), "succeeds")
            await dispatch.start(spec)
            await listener.end_of(spec.id)
            await dispatch.cancel(spec.id, 1.0)
            await dispatch.settled([spec.id])
            await dispatch.cancel(spec.id, 1.0)
            assert (await dispatch.reconcile([spec.id]))[spec.id] == await listener.end_of(spec.id)

        self._run(tmp_path, body)

    def test_an_attempt_that_takes_too_long_is_killed_and_timed_out(self, tmp_path: Path) -> None:
        async def body(world: DispatchWorld, dispatch: Dispatch, listener: Listener) -> None:
            spec = world.spec(an_id(1), "overdue")
            await dispatch.start(spec)
            verdict = await listener.end_of(spec.id)
            assert isinstance(verdict, Exited) and verdict.timed_out and not verdict.cancelled

        self._run(tmp_path, body)

    def test_the_log_is_kept_byte_for_byte_and_ends(self, tmp_path: Path) -> None:
        async def body(world: DispatchWorld, dispatch: Dispatch, listener: Listener) -> None:
            spec = world.spec(an_id(1), "prints")
            await dispatch.start(spec)
            await listener.end_of(spec.id)
            whole = await dispatch.log(spec.id, 0, 1 << 20)
            assert (whole.data, whole.next_offset, whole.hole, whole.ended) == (LOG, len(LOG), 0, True)
            first = await dispatch.log(spec.id, 0, 5)
            assert (first.data, first.next_offset, first.ended) == (LOG[:5], 5, False)
            rest = await dispatch.log(spec.id, 5, 1 << 20)
            assert first.data + rest.data == LOG and rest.ended
            async with asyncio.timeout(PATIENCE_S):
                await dispatch.log_grown(spec.id, len(LOG))

        self._run(tmp_path, body)

    def test_an_attempt_without_a_log_gives_an_empty_ended_chunk(self, tmp_path: Path) -> None:
        async def body(world: DispatchWorld, dispatch: Dispatch, listener: Listener) -> None:
            chunk = await dispatch.log(an_id(5), 0, 100)
            assert (chunk.data, chunk.ended) == (b"", True)

        self._run(tmp_path, body)

    def test_waiting_for_a_log_wakes_when_it_grows(self, tmp_path: Path) -> None:
        async def body(world: DispatchWorld, dispatch: Dispatch, listener: Listener) -> None:
            spec = world.spec(an_id(1), "prints")
            await dispatch.start(spec)
            async with asyncio.timeout(PATIENCE_S):
                await dispatch.log_grown(spec.id, 0)
            await until_async(lambda: dispatch.log(spec.id, 0, 100), lambda chunk: bool(chunk.data))

        self._run(tmp_path, body)

    def test_what_was_never_started_is_told_so_and_can_no_longer_start(self, tmp_path: Path) -> None:
        async def body(world: DispatchWorld, dispatch: Dispatch, listener: Listener) -> None:
            spec = world.spec(an_id(1), "succeeds")
            for _ in range(2):
                assert isinstance((await dispatch.reconcile([spec.id]))[spec.id], NeverStarted)
            await dispatch.start(spec)
            other = world.spec(an_id(2), "succeeds")
            await dispatch.start(other)
            await listener.end_of(other.id)
            assert world.starts(spec.id) == 0

        self._run(tmp_path, body)

    def test_an_attempt_outlives_its_daemon_and_the_next_one_sees_its_end(self, tmp_path: Path) -> None:
        async def body(world: DispatchWorld, dispatch: Dispatch, listener: Listener) -> None:
            spec = world.spec(an_id(1), "long")
            await dispatch.start(spec)
            await until(lambda: world.starts(spec.id) == 1)
            await world.crash(dispatch)
            second = await world.open()
            heard = Listener(second)
            assert (await second.reconcile([spec.id]))[spec.id] == Alive()
            await second.start(spec)
            await second.cancel(spec.id, 5.0)
            verdict = await heard.end_of(spec.id)
            assert verdict.cancelled and world.starts(spec.id) == 1
            heard.stop()
            await world.close(second)

        self._run(tmp_path, body)

    def test_an_end_that_no_daemon_saw_is_found_with_all_its_reports(self, tmp_path: Path) -> None:
        async def body(world: DispatchWorld, dispatch: Dispatch, listener: Listener) -> None:
            spec = world.spec(an_id(1), "reports")
            await dispatch.start(spec)
            await listener.end_of(spec.id)
            await world.crash(dispatch)
            second = await world.open()
            heard = Listener(second)
            verdicts = await second.reconcile([spec.id, an_id(2)])
            assert verdicts[spec.id] == await listener.end_of(spec.id)
            assert isinstance(verdicts[an_id(2)], NeverStarted)
            await until(lambda: heard.records(spec.id) == list(RECORDS))
            heard.stop()
            await world.close(second)

        self._run(tmp_path, body)

    def _run(
        self, tmp_path: Path, body: Callable[[DispatchWorld, Dispatch, Listener], Coroutine[Any, Any, None]]
    ) -> None:
        async def whole() -> None:
            world = self.world(tmp_path)
            dispatch = await world.open()
            listener = Listener(dispatch)
            try:
                await body(world, dispatch, listener)
            finally:
                listener.stop()
                await world.close(dispatch)

        asyncio.run(whole())


async def until_async(ask: Callable[[], Awaitable[Any]], enough: Callable[[Any], bool]) -> Any:
    """Ask until the answer is enough. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE_S):
        while not enough(answer := await ask()):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    return answer


def an_id(number: int, workflow: str = "wf_suite") -> AttemptId:
    """The first attempt of task `number`."""
    return AttemptId(workflow, number, 1)
