"""Children of tasks: loans, cancels that go down, and how many processes live at a time."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from typing import Any

import pytest

from provisioning_orchestrator.ports import (
    AttemptSpec,
    Exited,
    Idempotency,
    Submitter,
)
from provisioning_orchestrator.testing.engine_bench import Bench, on_bench
from provisioning_orchestrator.testing.fake_dispatch import Play
from provisioning_orchestrator.testing.playbook import task
from provisioning_orchestrator.workflow.records import Changes, Parent, WorkflowStatus
from provisioning_orchestrator.workflow.spec import RetryPolicy

from .between import HOUR, LONG, Between


def result(value: Any) -> bytes:
    return json.dumps({"result": value}).encode()


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


class Trees:
    """Attempts whose operation submits children and waits for them, on a bench; what an operation would do by HTTP.

    shapes: by depth, how many children of how many tasks an attempt submits. Everyone acts when `turn` is called.
    """

    def __init__(self, bench: Bench, shapes: Sequence[tuple[int, int]]) -> None:
        self._bench = bench
        self._shapes = shapes
        self.most = 0

    async def turn(self) -> None:
        alive = self._bench.world.running()
        self.most = max(self.most, len(alive))
        for id in alive:
            who = self._bench.engine.submitter(id)
            if who is not None and await self._went_on(who):
                self._bench.world.finish(id)
        await asyncio.sleep(1.0)

    async def _went_on(self, who: Submitter) -> bool:
        """Whether it has all that it waits for."""
        depth, above = 0, self._bench.disk.find(who.parent.workflow).row.parent
        while above is not None:
            depth, above = depth + 1, self._bench.disk.find(above.workflow).row.parent
        children, size = self._shapes[depth] if depth < len(self._shapes) else (0, 0)
        ended = True
        for number in range(children):
            key = Idempotency("task", "/workflows", f"{who.intent}/{number}", "digest")
            tasks = [task(f"t{each}", repeatable=True, **LONG) for each in range(size)]
            child, _ = await self._bench.engine.submit("child", tasks, key, who.parent)
            ended = ended and self._bench.disk.find(child).row.ended_at is not None
        return ended


@pytest.mark.parametrize("seed", range(4))
def test_trees_that_are_wider_and_deeper_than_the_slots_end_whatever_is_killed(seed: int) -> None:
    chance = random.Random(seed)
    slots, loans_max = chance.randint(1, 2), chance.randint(0, 2)
    shapes = [(chance.randint(1, 2), chance.randint(1, 3)) for _ in range(4)]

    async def body(bench: Bench) -> None:
        trees = Trees(bench, shapes)
        root = await bench.submit(*(task(f"t{n}", repeatable=True, **LONG) for n in range(3)))
        while bench.disk.find(root).row.ended_at is None:
            await trees.turn()
            if chance.random() < 0.05:
                await bench.restart()
            elif chance.random() < 0.05 and (alive := bench.world.running()):
                bench.world.shoot(chance.choice(alive))
        assert bench.disk.find(root).row.status is WorkflowStatus.SUCCEEDED
        assert all(one.row.status is WorkflowStatus.SUCCEEDED for one in bench.disk.workflows.values())
        assert trees.most <= (slots + loans_max) * (len(shapes) + 1)
        assert trees.most > slots, "some have waited"
        assert bench.engine.admission.running == 0

    on_bench(body, script=lambda _: HOUR, slots=slots, loans_max=loans_max)
