"""What an engine takes up that another one left: attempts, ends that nobody told, workflows that cannot be read."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from provisioning_orchestrator.engine import embedded
from provisioning_orchestrator.ports import (
    AttemptId,
    Exited,
    UnreadableRecord,
    Vanished,
)
from provisioning_orchestrator.testing.engine_bench import Bench, on_bench
from provisioning_orchestrator.testing.fake_dispatch import Play
from provisioning_orchestrator.testing.playbook import task
from provisioning_orchestrator.workflow.records import Snapshot

from .between import HOUR, LONG, Between


def result(value: Any) -> bytes:
    return json.dumps({"result": value}).encode()


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
