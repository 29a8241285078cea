"""Starts that are refused, go wrong, or did happen after all; and ends that are settled."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from provisioning_orchestrator.ports import (
    AttemptId,
    AttemptSpec,
    UnknownOperation,
)
from provisioning_orchestrator.testing.engine_bench import Bench, on_bench
from provisioning_orchestrator.testing.fake_dispatch import Faults
from provisioning_orchestrator.testing.playbook import task


def result(value: Any) -> bytes:
    return json.dumps({"result": value}).encode()


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
