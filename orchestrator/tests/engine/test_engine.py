"""The engine over a store in memory and a scripted host: what it does when all is well, and when not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid5

import pytest

from provisioning_orchestrator.engine import embedded
from provisioning_orchestrator.engine.input import input_line, task_intent
from provisioning_orchestrator.ports import (
    AttemptId,
    AttemptSpec,
    Exited,
    NotFound,
    NotPossibleNow,
    StoreFailed,
    StoreFull,
    TaskInput,
    UnknownOperation,
    UnreadableRecord,
    Vanished,
)
from provisioning_orchestrator.testing.engine_bench import Bench, on_bench, refused
from provisioning_orchestrator.testing.fake_dispatch import Faults, Play
from provisioning_orchestrator.testing.memory_store import MemoryStore
from provisioning_orchestrator.testing.playbook import task
from provisioning_orchestrator.workflow.machine import Machine
from provisioning_orchestrator.workflow.records import AttemptStatus, Changes, Parent, Snapshot
from provisioning_orchestrator.workflow.spec import RetryPolicy

HOUR = Play(duration_s=3_600.0)
LONG = {"timeout_s": 10_000.0}


def result(value: Any) -> bytes:
    return json.dumps({"result": value}).encode()


class Between:
    """Stands between the engine and its store; subclasses change one call."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


# --- when all is well ------------------------------------------------------------------------------------------------


def test_a_workflow_runs_to_its_end_and_tells_its_observers_everything() -> None:
    async def body(bench: Bench) -> None:
        id = await bench.submit(task("a"), task("b", "a"))
        assert bench.disk.find(id).row.tasks_total == 2
        assert await bench.ended(id) == "succeeded"
        assert [event for _, event in bench.events] == bench.disk.find(id).events
        assert bench.engine.admission.running == 0

    on_bench(body)


def test_ten_overlap_and_the_eleventh_waits() -> None:
    async def body(bench: Bench) -> None:
        id = await bench.submit(*(task(f"t{n}") for n in range(11)))
        await bench.until(lambda: len(bench.world.starts) >= 10, poll_s=0.01)
        assert await bench.ended(id) == "succeeded"
        attempts = list(bench.world.attempts.values())
        ends = sorted(attempt.ended_at or 0.0 for attempt in attempts)
        assert len(attempts) == 11
        assert attempts[9].started_at < ends[0] <= attempts[10].started_at

    on_bench(body)


def test_nothing_starts_before_its_start_is_committed() -> None:
    seen = []

    async def body(bench: Bench) -> None:
        def script(spec: AttemptSpec) -> Play:
            seen.append(bench.disk.find(spec.id.workflow).attempts[spec.id.task][spec.id.number].status)
            return Play()

        bench.world.script = script
        await bench.ended(await bench.submit(task("a"), task("b", "a"), task("c", "b")))

    on_bench(body, commit_s=5.0)
    assert seen == [AttemptStatus.RUNNING] * 3


def test_a_chain_costs_one_commit_per_task() -> None:
    async def body(bench: Bench) -> None:
        commits = []

        class Counting(Between):
            async def append(self, workflow: str, expected: int, changes: Changes) -> None:
                commits.append(changes)
                await self._store.append(workflow, expected, changes)

        await bench.engine.stop()
        bench.open(Counting)
        await bench.engine.start()
        await bench.ended(await bench.submit(task("t0"), *(task(f"t{n}", f"t{n - 1}") for n in range(1, 20))))
        assert len(commits) == 21

    on_bench(body)


def test_a_submission_sent_again_with_its_key_is_the_same_workflow() -> None:
    async def body(bench: Bench) -> None:
        first = await bench.submit(task("a"), key="k")
        assert await bench.submit(task("a"), key="k") == first
        await bench.restart()
        assert await bench.submit(task("a"), key="k") == first
        await bench.ended(first)
        assert len(bench.world.starts) == 1

    on_bench(body)


def test_an_attempt_is_told_the_results_of_what_it_needs_and_one_intent_in_all_attempts() -> None:
    lines = []

    def script(spec: AttemptSpec) -> Play:
        lines.append(json.loads(spec.input))
        failing = lines[-1]["task_id"] == "b" and spec.id.number == 1
        return Play(verdict=Exited(exit_code=1) if failing else Exited(exit_code=0, result=result({"n": 1})))

    async def body(bench: Bench) -> None:
        retry = RetryPolicy(2, "constant", 1, 1, 0)
        await bench.ended(await bench.submit(task("a"), task("b", "a", retry=retry, params=b'{"p": "\\u0000"}')))

    on_bench(body, script=script)
    a, b, again = lines
    assert (b["results"], b["params"], b["attempt"], again["attempt"]) == ({"a": {"n": 1}}, {"p": "\0"}, 1, 2)
    assert b["intent"] == again["intent"] != a["intent"]


def test_a_jump_of_the_wall_clock_neither_wakes_nor_holds_a_waiting_task() -> None:
    def script(spec: AttemptSpec) -> Play:
        return Play(0.0, Exited(exit_code=1) if spec.id.number == 1 else Exited(exit_code=0))

    for jump_s in (-31_536_000, 31_536_000):

        async def body(bench: Bench, jump_s: int = jump_s) -> None:
            id = await bench.submit(task("a", retry=RetryPolicy(2, "constant", 100, 100, 0)))
            await bench.until(lambda: bench.statuses(id)["a"] == "waiting")
            bench.clock.offset_us += jump_s * 1_000_000
            await bench.ended(id)
            (first, _), (second, _) = bench.world.starts
            assert 99 < second - first < 102

        on_bench(body, script=script)


def test_a_huge_cancel_does_not_hold_up_a_small_workflow() -> None:
    async def body(bench: Bench) -> None:
        huge = await bench.submit(task("top", **LONG), *(task(f"t{n}", "top") for n in range(10_000)))
        await bench.until(lambda: bench.statuses(huge)["top"] == "running")
        cancel = asyncio.ensure_future(bench.engine.cancel(huge))
        small = await bench.submit(task("a"))
        await bench.ended(small)
        await cancel
        await bench.ended(huge)
        order = [workflow for workflow, event in bench.events if event.type in ("task.cancelled", "task.started")]
        assert order.index(small) < len(order) - 5_000, "the small one had to wait for the huge one's cancel"

    on_bench(body, script=lambda spec: HOUR if b"top" in spec.input else Play(0.0), commit_s=0.01)


# --- what callers are told -------------------------------------------------------------------------------------------


def test_cancel_stops_what_runs_and_is_refused_after_the_end() -> None:
    async def body(bench: Bench) -> None:
        id = await bench.submit(task("a", **LONG), task("b", "a"))
        await bench.until(lambda: bench.statuses(id)["a"] == "running")
        await bench.engine.cancel(id)
        assert bench.disk.find(id).row.cancel_requested
        await bench.engine.cancel(id)
        assert await bench.ended(id) == "cancelled"
        error = await refused(bench.engine.cancel(id))
        assert isinstance(error, NotPossibleNow) and "ended already: cancelled" in str(error)
        assert isinstance(await refused(bench.engine.cancel("wf_0")), NotFound)

    on_bench(body, script=lambda spec: HOUR)


def test_resolve_is_refused_with_the_reason() -> None:
    async def body(bench: Bench) -> None:
        id = await bench.submit(task("a", **LONG), task("b", "a"))
        await bench.until(lambda: bench.statuses(id)["a"] == "running")
        assert isinstance(await refused(bench.engine.resolve(id, "nope", "failed")), NotFound)
        error = await refused(bench.engine.resolve(id, "a", "failed"))
        assert isinstance(error, NotPossibleNow) and "'a' is running" in str(error)
        bench.world.shoot(AttemptId(id, 1, 1))
        await bench.until(lambda: bench.statuses(id)["a"] == "unknown")
        await bench.engine.resolve(id, "a", "failed")
        assert bench.statuses(id) == {"a": "failed", "b": "skipped"}
        error = await refused(bench.engine.resolve(id, "a", "failed"))
        assert isinstance(error, NotPossibleNow) and "has ended" in str(error)

    on_bench(body, script=lambda spec: HOUR)


def test_what_is_found_out_after_a_cancel_is_kept_but_starts_nothing() -> None:
    async def body(bench: Bench) -> None:
        id = await bench.submit(task("a", **LONG), task("b", "a"))
        await bench.until(lambda: bench.statuses(id)["a"] == "running")
        bench.world.shoot(AttemptId(id, 1, 1))
        await bench.until(lambda: bench.statuses(id)["a"] == "unknown")
        await bench.engine.cancel(id)
        assert await bench.ended(id) == "cancelled"
        assert isinstance(await refused(bench.engine.resolve(id, "a", "retry")), NotPossibleNow)
        both = [bench.engine.resolve(id, "a", "succeeded"), bench.engine.resolve(id, "a", "failed")]
        answers = await asyncio.gather(*both, return_exceptions=True)
        assert answers[0] is None and isinstance(answers[1], NotPossibleNow)
        assert bench.statuses(id) == {"a": "succeeded", "b": "cancelled"}
        assert bench.events[-1][1].type == "task.resolved"

    on_bench(body, script=lambda spec: HOUR)


def test_a_workflow_that_is_set_aside_says_so_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def script(spec: AttemptSpec) -> Play:
        return Play(5.0)

    async def body(bench: Bench) -> None:
        right = Machine._attempt_ended

        def ended(machine: Machine, event: Any) -> None:
            assert machine.state.row.id != "wf_1", "planted"
            right(machine, event)

        monkeypatch.setattr(Machine, "_attempt_ended", ended)
        bad = await bench.submit(task("a"), task("b"))
        good = await bench.submit(task("a"))
        assert await bench.ended(good) == "succeeded"
        assert "planted" in (bench.disk.find(bad).quarantined or "")
        assert bench.engine.admission.running == 0 and bench.failures == []
        error = await refused(bench.engine.cancel(bad))
        assert isinstance(error, NotPossibleNow) and "quarantined" in str(error)
        error = await refused(bench.engine.resolve(bad, "a", "failed"))
        assert isinstance(error, NotPossibleNow) and "quarantined" in str(error)
        await bench.restart()
        assert await bench.ended(await bench.submit(task("a"))) == "succeeded"

    on_bench(body, script=script)


def test_who_asks_a_workflow_that_is_being_set_aside_gets_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(machine: Machine, event: Any) -> None:
        raise AssertionError("planted")

    async def body(bench: Bench) -> None:
        id = await bench.submit(task("a"))
        monkeypatch.setattr(Machine, "_cancel_requested", broken)
        answers = await asyncio.gather(bench.engine.cancel(id), bench.engine.cancel(id), return_exceptions=True)
        assert all(isinstance(answer, NotPossibleNow) and "planted" in str(answer) for answer in answers)

    on_bench(body)


# --- when the store fails --------------------------------------------------------------------------------------------


def test_a_full_disk_delays_the_commit_and_loses_nothing() -> None:
    full = [True] * 5

    class Full(Between):
        async def append(self, workflow: str, expected: int, changes: Changes) -> None:
            if full:
                full.pop()
                raise StoreFull("no room")
            await self._store.append(workflow, expected, changes)

    async def body(bench: Bench) -> None:
        bench.open(Full)
        await bench.engine.start()
        id = await bench.submit(task("a"))
        assert await bench.ended(id) == "succeeded"
        assert not full and bench.failures == []

    on_bench(body, start=False)


def test_after_the_store_failed_nothing_starts_and_who_asked_is_told() -> None:
    async def body(bench: Bench) -> None:
        id = await bench.submit(task("a", **LONG), task("b", **LONG))
        other = await bench.submit(task("a", **LONG))
        await bench.until(lambda: len(bench.world.starts) == 3)
        cancel = asyncio.ensure_future(bench.engine.cancel(id))
        second = asyncio.ensure_future(bench.engine.cancel(other))
        await asyncio.sleep(0)
        bench.store.crash()
        assert isinstance(await refused(cancel), StoreFailed)
        assert isinstance(await refused(second), StoreFailed)
        await bench.until(lambda: bool(bench.failures))
        assert len(bench.failures) == 1, "told once"
        assert isinstance(await refused(bench.submit(task("x"))), StoreFailed)
        await asyncio.sleep(100.0)
        assert len(bench.world.starts) == 3

    on_bench(body, script=lambda spec: HOUR, commit_s=1.0)


# --- recovery --------------------------------------------------------------------------------------------------------


def test_living_attempts_are_found_again_and_not_started_twice() -> None:
    async def body(bench: Bench) -> None:
        id = await bench.submit(task("a", **LONG), task("b", "a"))
        await bench.until(lambda: bool(bench.world.starts))
        for _ in range(3):
            await bench.restart()
            await asyncio.sleep(50.0)
        assert await bench.ended(id) == "succeeded"
        assert [spec.id for _, spec in bench.world.starts] == [(id, 1, 1), (id, 2, 1)]
        assert [spec.fence for _, spec in bench.world.starts] == [1, 4]

    on_bench(body, script=lambda spec: HOUR if spec.id.task == 1 else Play())


def test_slots_of_living_attempts_are_held_before_anything_is_granted() -> None:
    async def body(bench: Bench) -> None:
        first = await bench.submit(*(task(f"t{n}", **LONG) for n in range(4)))
        await bench.until(lambda: len(bench.world.starts) == 2)
        await bench.crash()
        bench.open()
        starting = asyncio.ensure_future(bench.engine.start())
        early = asyncio.ensure_future(bench.submit(task("early")))
        await starting
        await early
        await asyncio.sleep(100.0)
        assert len(bench.world.starts) == 2 and bench.engine.admission.running == 2
        await bench.ended(first)

    on_bench(body, script=lambda spec: HOUR, slots=2, commit_s=1.0)


def test_what_an_attempt_reported_while_nobody_listened_is_in_the_feed_before_its_end() -> None:
    records: tuple[tuple[float, dict[str, Any]], ...] = tuple((1.0 + n, {"type": "progress", "n": n}) for n in range(5))

    async def body(bench: Bench) -> None:
        id = await bench.submit(task("a"))
        await bench.until(lambda: bench.feed(id)[-1] == "task.progress a", poll_s=0.1)
        await bench.crash()
        await asyncio.sleep(100.0)
        bench.open()
        await bench.engine.start()
        assert await bench.ended(id) == "failed"
        progress = [event.data["n"] for event in bench.disk.find(id).events if event.type == "task.progress"]
        assert progress == [0, 1, 2, 3, 4]
        assert bench.feed(id)[-2:] == ["task.failed a", "workflow.failed"]

    on_bench(body, script=lambda spec: Play(30.0, Exited(exit_code=1), records))


def test_an_unseen_end_is_unknown_and_its_resources_are_known() -> None:
    created: tuple[tuple[float, dict[str, Any]], ...] = (
        (1.0, {"type": "resource.created", "kind": "server", "id": "s"}),
    )

    async def body(bench: Bench) -> None:
        id = await bench.submit(task("a"))
        await bench.until(lambda: bool(bench.world.starts))
        await bench.crash()
        await asyncio.sleep(100.0)
        bench.open()
        await bench.engine.start()
        await bench.until(lambda: bench.statuses(id)["a"] == "unknown")
        assert bench.feed(id)[-2:] == ["resource.created a", "task.unknown a"]

    on_bench(body, script=lambda spec: Play(30.0, Vanished("shot"), created))


def test_a_workflow_that_cannot_be_read_does_not_keep_the_daemon_from_starting() -> None:
    class Unreadable(Between):
        async def load(self, workflow: str) -> Snapshot:
            if workflow == "wf_1":
                raise UnreadableRecord("row 3 makes no sense")
            if workflow == "wf_2":
                raise IndexError("planted")
            return await self._store.load(workflow)

    async def body(bench: Bench) -> None:
        for _ in range(3):
            await bench.submit(task("a", **LONG))
        await bench.until(lambda: len(bench.world.starts) == 3)
        await bench.crash()
        bench.open(Unreadable)
        await bench.engine.start()
        assert await bench.ended("wf_3") == "succeeded"
        assert "row 3 makes no sense" in (bench.disk.find("wf_1").quarantined or "")
        assert "planted" in (bench.disk.find("wf_2").quarantined or "")

    on_bench(body, script=lambda spec: HOUR)


def test_an_orderly_stop_commits_what_is_in_flight_and_leaves_attempts_alone() -> None:
    async def body(bench: Bench) -> None:
        id = await bench.submit(task("a", **LONG), task("b"), task("c", "b"))
        await bench.until(lambda: len(bench.world.starts) == 2, poll_s=0.01)
        await asyncio.sleep(10.2)
        assert bench.statuses(id)["b"] == "running", "its end is being committed"
        before = asyncio.get_running_loop().time()
        await bench.engine.stop()
        assert asyncio.get_running_loop().time() - before < embedded.STOP_S
        assert bench.statuses(id) == {"a": "running", "b": "succeeded", "c": "running"}
        await asyncio.sleep(100.0)
        assert AttemptId(id, 1, 1) in bench.world.running()
        await bench.store.close()
        bench.open()
        await bench.engine.start()
        assert await bench.ended(id) == "succeeded"
        assert sorted(spec.id.task for _, spec in bench.world.starts) == [1, 2, 3]

    on_bench(body, script=lambda spec: HOUR if spec.id.task == 1 else Play(10.0), commit_s=1.0)


def test_a_submission_that_is_being_committed_at_a_stop_is_taken_up_by_the_next_daemon() -> None:
    async def body(bench: Bench) -> None:
        submitting = asyncio.ensure_future(bench.submit(task("a")))
        await asyncio.sleep(0.5)
        await bench.engine.stop()
        await bench.store.close()
        id = await submitting
        await asyncio.sleep(100.0)
        assert bench.failures == [] and bench.world.starts == []
        bench.open()
        await bench.engine.start()
        assert await bench.ended(id) == "succeeded"

    on_bench(body, commit_s=1.0)


# --- starting --------------------------------------------------------------------------------------------------------


def test_a_refused_start_is_tried_again_and_does_not_count() -> None:
    async def body(bench: Bench) -> None:
        id = await bench.submit(task("a"))
        await bench.until(lambda: bench.disk.find(id).states[1].attempt >= 5)
        bench.dispatch.faults = Faults()
        assert await bench.ended(id) == "succeeded"
        workflow = bench.disk.find(id)
        assert workflow.states[1].counted == 1 and len(bench.world.starts) == 1
        kept = [attempt.status.value for attempt in workflow.attempts[1].values()]
        assert kept == ["never_started"] * (len(kept) - 1) + ["succeeded"]

    on_bench(body, faults=Faults(refused=1.0))


@pytest.mark.parametrize("raised", [UnknownOperation("play"), OSError("planted")])
def test_a_start_that_goes_wrong_ends_the_attempt_whatever_was_raised(raised: Exception) -> None:
    async def body(bench: Bench) -> None:
        right = bench.dispatch.start
        failing = [True]

        async def start(spec: AttemptSpec) -> None:
            if failing:
                failing.pop()
                raise raised
            await right(spec)

        bench.dispatch.start = start  # type: ignore[method-assign]
        id = await bench.submit(task("a"))
        if isinstance(raised, UnknownOperation):
            assert await bench.ended(id) == "failed"
            error = bench.disk.find(id).states[1].error
            assert error is not None and (error.code, error.retryable) == ("not_runnable", False)
        else:
            assert await bench.ended(id) == "succeeded"
            assert [a.status.value for a in bench.disk.find(id).attempts[1].values()] == ["never_started", "succeeded"]

    on_bench(body)


def test_a_start_that_raised_but_did_happen_is_not_repeated() -> None:
    async def body(bench: Bench) -> None:
        right = bench.dispatch.start

        async def start(spec: AttemptSpec) -> None:
            await right(spec)
            raise OSError("planted: the answer was lost")

        bench.dispatch.start = start  # type: ignore[method-assign]
        id = await bench.submit(task("a"))
        assert await bench.ended(id) == "succeeded"
        assert len(bench.world.starts) == 1 and bench.disk.find(id).states[1].attempt == 1

    on_bench(body)


def test_ends_that_are_committed_are_settled() -> None:
    settled: list[AttemptId] = []

    async def body(bench: Bench) -> None:
        right = bench.dispatch.settled

        async def settle(ids: Sequence[AttemptId]) -> None:
            assert all(bench.disk.find(id.workflow).attempts[id.task][id.number].ended_at is not None for id in ids)
            settled.extend(ids)
            await right(ids)

        bench.dispatch.settled = settle  # type: ignore[method-assign]
        ids = [await bench.submit(task("a")) for _ in range(20)]
        for id in ids:
            await bench.ended(id)
        await asyncio.sleep(100.0)
        assert set(settled) == {AttemptId(id, 1, 1) for id in ids}
        assert len(settled) > len(ids), "facts that came again after the end were settled as well"

    on_bench(body, faults=Faults(repeated=1.0, delay_max_s=10.0), commit_s=1.0)


# --- the input of an attempt -----------------------------------------------------------------------------------------


def test_params_and_results_are_passed_on_byte_for_byte() -> None:
    params = '{"name": "$(id); \'\\"\\n--help 🦀", "big": 123456789012345678901234567890.10}'.encode()
    given = TaskInput("7.web", "servers/create", "ws/i/server/web", params, {'a"b': b'{"x" :1.00}', "1.é": b"null"})
    line = input_line("wf_1", "i-1", 3, given)
    assert params in line and b'{"x" :1.00}' in line and b"\n" not in line
    assert json.loads(line) == {
        "workflow_id": "wf_1",
        "task_id": "7.web",
        "attempt": 3,
        "key": "ws/i/server/web",
        "intent": "i-1",
        "operation": "servers/create",
        "params": json.loads(params),
        "results": {'a"b': {"x": 1.0}, "1.é": None},
    }


def test_intents_differ_by_task_and_workflow_and_never_change() -> None:
    one, two = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
    assert task_intent(one, "a") == str(uuid5(UUID(one), "a")), "clouds know it: it can't be made another way later"
    assert len({task_intent(one, "a"), task_intent(one, "b"), task_intent(two, "a")}) == 3


# --- children --------------------------------------------------------------------------------------------------------


def test_a_later_attempt_lends_its_slot_to_the_child_of_an_earlier_one() -> None:
    def script(spec: AttemptSpec) -> Play:
        if spec.id.workflow == "wf_1":
            return Play(1.0, Exited(exit_code=1)) if spec.id.number == 1 else HOUR
        return Play(10.0)

    async def body(bench: Bench) -> None:
        again = RetryPolicy(attempts_max=2, delay_s=1.0, delay_max_s=1.0, jitter=0.0)
        parent = await bench.submit(task("p", retry=again, **LONG))
        await bench.until(lambda: len(bench.world.starts) == 1)
        tasks = [task("a"), task("b", "a")]
        child, _ = await bench.engine.submit("child", tasks, None, Parent(parent, "p", 1))
        assert await bench.ended(child) == "succeeded"
        assert bench.disk.find(parent).row.ended_at is None, "it was not waited for"
        assert bench.engine.admission.running == 1

    on_bench(body, script=script, slots=1)


@pytest.mark.parametrize("killed", [False, True])
def test_a_child_whose_parent_was_cancelled_and_ended_meanwhile_is_cancelled(killed: bool) -> None:
    async def body(bench: Bench) -> None:
        written = asyncio.Event()

        class Slow(Between):
            async def submit(self, row: Any, *more: Any) -> str:
                id: str = await self._store.submit(row, *more)
                if row.parent is not None:
                    await bench.engine.cancel(row.parent.workflow)
                    await bench.ended(row.parent.workflow)
                    written.set()
                    if killed:
                        await asyncio.Event().wait()
                return id

        await bench.engine.stop()
        bench.open(Slow)
        await bench.engine.start()
        parent = await bench.submit(task("p", **LONG))
        await bench.until(lambda: len(bench.world.starts) == 1)
        work = asyncio.create_task(bench.engine.submit("child", [task("c", **LONG)], None, Parent(parent, "p", 1)))
        await written.wait()
        if killed:
            work.cancel()
            await bench.restart()
        assert await bench.ended("wf_2") == "cancelled"
        await asyncio.wait([work])

    on_bench(body, script=lambda _: HOUR)


def test_a_cancel_that_a_crash_cuts_short_between_parent_and_child_is_finished_at_the_start() -> None:
    async def body(bench: Bench) -> None:
        cut = asyncio.Event()
        cancelling = False

        class Cut(Between):
            async def append(self, workflow: str, expected: int, changes: Changes) -> None:
                if cancelling and workflow == "wf_2":
                    cut.set()
                    await asyncio.Event().wait()
                await self._store.append(workflow, expected, changes)

        await bench.engine.stop()
        bench.open(Cut)
        await bench.engine.start()
        parent = await bench.submit(task("p", **LONG))
        await bench.until(lambda: len(bench.world.starts) == 1)
        child, _ = await bench.engine.submit("child", [task("c", **LONG)], None, Parent(parent, "p", 1))
        await bench.until(lambda: len(bench.world.starts) == 2)
        cancelling = True
        work = asyncio.create_task(bench.engine.cancel(parent))
        await cut.wait()
        work.cancel()
        await bench.restart()
        assert [await bench.ended(id) for id in (parent, child)] == ["cancelled", "cancelled"]
        await asyncio.wait([work])

    on_bench(body, script=lambda _: HOUR)
