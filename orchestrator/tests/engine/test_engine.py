"""The engine over a store in memory and a scripted host: what it does when all is well, and when not."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import UUID, uuid5

import pytest

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
)
from provisioning_orchestrator.testing.engine_bench import Bench, on_bench, refused
from provisioning_orchestrator.testing.fake_dispatch import Play
from provisioning_orchestrator.testing.playbook import task
from provisioning_orchestrator.workflow.machine import Machine
from provisioning_orchestrator.workflow.records import AttemptStatus, Changes
from provisioning_orchestrator.workflow.spec import RetryPolicy

from .between import HOUR, LONG, Between


def result(value: Any) -> bytes:
    return json.dumps({"result": value}).encode()


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
