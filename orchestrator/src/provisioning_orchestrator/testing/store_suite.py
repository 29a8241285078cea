"""What every implementation of the ports `Store` and `Records` promises, as tests that all of them pass.

    class TestSqliteStore(StoreSuite):
        def world(self, tmp_path): return …      # a StoreWorld

A world outlives the stores that are opened on it, one after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioning_orchestrator.ports import (
    Conflict,
    Idempotency,
    IdempotencyMismatch,
    NotFound,
    StoreFailed,
)
from provisioning_orchestrator.workflow.records import (
    AttemptChange,
    AttemptStatus,
    Changes,
    TaskError,
    TaskStatus,
    WorkflowStatus,
)
from provisioning_orchestrator.workflow.spec import RetryPolicy

from .records_suite import RecordsSuite
from .store_world import (
    HOSTILE,
    NOW,
    OpenStore,
    a_row,
    a_state,
    a_task,
    all_pages,
    an_event,
    ended,
    started,
    submit,
    tasks,
)


class StoreSuite(RecordsSuite):
    """Both ports: they are two views of one thing."""

    # submit and load

    def test_what_is_submitted_is_loaded_as_it_was(self, tmp_path: Path) -> None:
        retry = RetryPolicy(7, "linear", 1.5, 60.25, 0.5)
        first = a_task(1, params=b'{"name": "\xc3\xa4"}', key=None, repeatable=False, timeout_s=0.25, retry=retry)
        second = a_task(2, "b.2_-", needs=(1,), operation=HOSTILE, key=HOSTILE)
        row = replace(a_row("wf_a", 2), name=HOSTILE, started_at=NOW + 1)

        async def script(store: OpenStore) -> None:
            assert await store.submit(row, [first, second], [an_event(1), an_event(2)], None) == "wf_a"
            snapshot = await store.load("wf_a")
            assert snapshot.workflow == replace(row, sequence=2)
            fresh = {"attempt": 0, "counted": 0}
            assert snapshot.tasks == (
                (first, a_state(1, TaskStatus.READY, **fresh)),
                (second, a_state(2, TaskStatus.BLOCKED, **fresh)),
            )
            assert snapshot.attempts == ()

        self.run(tmp_path, script)

    def test_a_workflow_that_is_not_there_is_not_found_by_any_verb(self, tmp_path: Path) -> None:
        async def script(store: OpenStore) -> None:
            await submit(store, "wf_a")
            for call in (store.load("wf_b"), store.append("wf_b", 0, Changes()), store.quarantine("wf_b", "why")):
                with pytest.raises(NotFound, match="wf_b"):
                    await call
            questions: list[Callable[[], Any]] = [
                lambda: store.task_input("wf_b", 1),
                lambda: store.task_input("wf_a", 4),
                lambda: store.records.workflow("wf_b"),
                lambda: store.records.task("wf_b", "t1"),
                lambda: store.records.task("wf_a", "t9"),
                lambda: store.records.events("wf_b", after=0, limit=1),
                lambda: store.records.tasks(workflow="wf_b", status=None, cursor=None, limit=1),
            ]
            for question in questions:
                with pytest.raises(NotFound):
                    question()

        self.run(tmp_path, script)

    def test_a_second_workflow_of_one_id_is_refused_and_the_first_stays(self, tmp_path: Path) -> None:
        async def script(store: OpenStore) -> None:
            await submit(store, "wf_a", 2)
            with pytest.raises(ValueError):
                await submit(store, "wf_a", 3)
            assert len((await store.load("wf_a")).tasks) == 2

        self.run(tmp_path, script)

    def test_everything_is_there_after_closing_and_opening_again(self, tmp_path: Path) -> None:
        async def main() -> None:
            world = self.world(tmp_path)
            store = await world.open()
            assert store.was_clean
            await submit(store, "wf_a")
            await store.append("wf_a", 1, started(1, 2))
            before = await store.load("wf_a")
            await store.close()
            with pytest.raises(StoreFailed):
                await submit(store, "wf_b")
            with pytest.raises(StoreFailed):
                store.records.workflow("wf_a")
            store = await world.open()
            assert store.was_clean
            await store.check()
            assert await store.load("wf_a") == before
            await store.close()

        self.drive(main())

    # append

    def test_an_append_changes_rows_and_moves_the_sequence(self, tmp_path: Path) -> None:
        error = TaskError("exit_code", HOSTILE, retryable=False, retry_after_s=2.5)
        state = a_state(
            2, TaskStatus.WAITING, attempt=2, counted=1, lost=1, never=3, due_at=NOW, error=error, flagged=True
        )
        attempt = AttemptChange(2, 2, AttemptStatus.FAILED, NOW, NOW + 9, None, 9, error, HOSTILE, 77)
        added = a_task(4, "3.x", needs=(1, 2), parent=3, depth=1)

        async def script(store: OpenStore) -> None:
            await submit(store, "wf_a")
            row = replace(
                a_row("wf_a", 4), status=WorkflowStatus.FAILED, started_at=NOW, ended_at=NOW + 1, cancel_requested=True
            )
            events = (an_event(2, data_of=HOSTILE, deep={"a": [1, None, True, 1 << 70]}), an_event(3))
            await store.append("wf_a", 1, Changes(row, (added,), (state,), (attempt,), {2: b"[1]"}, events))
            snapshot = await store.load("wf_a")
            assert snapshot.workflow == replace(row, sequence=3)
            assert snapshot.tasks[1] == (tasks(3)[1], state)
            assert snapshot.tasks[3] == (added, a_state(4, TaskStatus.BLOCKED, attempt=0, counted=0))
            assert store.records.events("wf_a", after=1, limit=10) == events
            view = store.records.task("wf_a", "t2")
            assert view.attempts == (attempt,)
            assert view.result == b"[1]"
            assert store.records.task("wf_a", "3.x").needs == ("t1", "t2")

        self.run(tmp_path, script)

    def test_an_append_at_another_sequence_conflicts_and_writes_nothing(self, tmp_path: Path) -> None:
        async def script(store: OpenStore) -> None:
            await submit(store, "wf_a")
            await store.append("wf_a", 1, started(1, 2))
            before = await store.load("wf_a")
            for stale in (0, 1, 3):
                with pytest.raises(Conflict, match="wf_a"):
                    await store.append("wf_a", stale, started(2, stale + 1))
            assert await store.load("wf_a") == before
            assert len(store.records.events("wf_a", after=0, limit=10)) == 2

        self.run(tmp_path, script)

    def test_of_many_appends_at_one_sequence_one_wins(self, tmp_path: Path) -> None:
        async def script(store: OpenStore) -> None:
            await submit(store, "wf_a")
            await submit(store, "wf_b")
            race = [store.append("wf_a", 1, started(1 + n % 3, 2)) for n in range(20)]
            bystander = store.append("wf_b", 1, started(1, 2))
            answers = await asyncio.gather(*race, bystander, return_exceptions=True)
            assert answers[:-1].count(None) == 1
            assert sum(isinstance(answer, Conflict) for answer in answers) == 19
            assert answers[-1] is None

        self.run(tmp_path, script)

    def test_appends_that_follow_one_another_need_not_wait_for_answers(self, tmp_path: Path) -> None:
        async def script(store: OpenStore) -> None:
            await submit(store, "wf_a", 50)
            calls = []
            for seq in range(1, 51):
                calls += [store.append("wf_a", 2 * seq - 1, started(seq, 2 * seq))]
                calls += [store.append("wf_a", 2 * seq, ended(seq, 2 * seq + 1))]
            await asyncio.gather(*calls)
            assert store.records.workflow("wf_a").counts == {"succeeded": 50}
            assert store.records.workflow("wf_a").row.sequence == 101

        self.run(tmp_path, script)

    def test_changes_without_events_leave_the_sequence(self, tmp_path: Path) -> None:
        async def script(store: OpenStore) -> None:
            await submit(store, "wf_a")
            await store.append("wf_a", 1, Changes(tasks=(a_state(1, TaskStatus.READY, never=1),)))
            await store.append("wf_a", 1, started(1, 2))
            assert (await store.load("wf_a")).workflow.sequence == 2

        self.run(tmp_path, script)

    def test_changes_that_make_no_sense_are_refused_alone(self, tmp_path: Path) -> None:
        bad = [
            Changes(events=(an_event(3),)),
            Changes(tasks=(a_state(4, TaskStatus.READY),)),
            Changes(tasks=(a_state(0, TaskStatus.READY),)),
            Changes(results={9: b"1"}),
            Changes(attempts=(AttemptChange(4, 1, AttemptStatus.RUNNING, NOW),)),
            Changes(added=(a_task(5),)),
            Changes(added=(a_task(4, "t1"),)),
        ]

        async def script(store: OpenStore) -> None:
            await submit(store, "wf_a")
            await submit(store, "wf_b")
            before = await store.load("wf_a")
            calls = [store.append("wf_a", 1, changes) for changes in bad]
            answers = await asyncio.gather(*calls, store.append("wf_b", 1, started(1, 2)), return_exceptions=True)
            assert [type(answer) for answer in answers[:-1]] == [ValueError] * len(bad)
            assert answers[-1] is None
            assert await store.load("wf_a") == before
            await store.append("wf_a", 1, started(1, 2))

        self.run(tmp_path, script)

    def test_ten_thousand_tasks_are_added_at_once(self, tmp_path: Path) -> None:
        added = tuple(a_task(seq, f"1.{seq}", parent=1, depth=1) for seq in range(2, 10_002))

        async def script(store: OpenStore) -> None:
            await submit(store, "wf_a", 1)
            await store.append("wf_a", 1, Changes(added=added, events=(an_event(2),)))
            assert store.records.workflow("wf_a").counts == {"ready": 10_001}
            assert len((await store.load("wf_a")).tasks) == 10_001

        self.run(tmp_path, script)

    # idempotency

    def test_a_hundred_submissions_with_one_key_make_one_workflow(self, tmp_path: Path) -> None:
        key = Idempotency("token", "/workflows", "key", "digest")

        async def script(store: OpenStore) -> None:
            answers = await asyncio.gather(*(submit(store, f"wf_{n}", 3, key) for n in range(100)))
            assert set(answers) == {"wf_0"}
            assert await submit(store, "wf_later", 3, key) == "wf_0"
            assert len(store.records.workflows(status=None, cursor=None, limit=10).items) == 1

        self.run(tmp_path, script)

    def test_large_submissions_with_one_key_make_one_workflow(self, tmp_path: Path) -> None:
        key = Idempotency("token", "/workflows", "key", "digest")

        async def script(store: OpenStore) -> None:
            first = asyncio.ensure_future(submit(store, "wf_0", 5_000, key))
            await submit(store, "wf_small")
            answers = await asyncio.gather(first, *(submit(store, f"wf_{n}", 5_000, key) for n in range(1, 5)))
            assert len(set(answers)) == 1
            assert store.records.workflow(answers[0]).counts == {"ready": 1, "blocked": 4_999}
            assert len(store.records.workflows(status=None, cursor=None, limit=10).items) == 2

        self.run(tmp_path, script)

    def test_a_key_with_another_body_is_refused_while_in_flight_and_later(self, tmp_path: Path) -> None:
        key = Idempotency("token", "/workflows", "key", "digest")
        other = replace(key, digest="another")

        async def script(store: OpenStore) -> None:
            answers = await asyncio.gather(
                submit(store, "wf_a", 3, key), submit(store, "wf_b", 3, other), return_exceptions=True
            )
            assert answers[0] == "wf_a"
            assert isinstance(answers[1], IdempotencyMismatch)
            with pytest.raises(IdempotencyMismatch, match="key"):
                await submit(store, "wf_c", 3, other)
            changed: list[dict[str, str]] = [{"token": "t2"}, {"route": "/r2"}, {"key": "k2"}]
            for elsewhere in [replace(other, **change) for change in changed]:
                id = "wf_" + elsewhere.token + elsewhere.route[1:] + elsewhere.key
                assert await submit(store, id, 3, elsewhere) == id

        self.run(tmp_path, script)

    def test_a_key_outlives_the_daemon(self, tmp_path: Path) -> None:
        key = Idempotency("token", "/workflows", "key", "digest")

        async def main() -> None:
            world = self.world(tmp_path)
            store = await world.open()
            await submit(store, "wf_a", 3, key)
            await store.close()
            store = await world.open()
            assert await submit(store, "wf_b", 3, key) == "wf_a"
            await store.close()

        self.drive(main())

    # large submissions

    def test_a_large_submission_lets_others_commit_and_shows_nothing_before_its_end(self, tmp_path: Path) -> None:
        async def script(store: OpenStore) -> None:
            await submit(store, "wf_small", 100)
            large = asyncio.ensure_future(submit(store, "wf_large", 20_000))
            between = 0
            while True:
                await store.append("wf_small", between + 1, started(between % 100 + 1, between + 2))
                if large.done():
                    break
                between += 1
                # Its last slice may be durable an instant before its answer: only look while it surely is not.
                if between <= 5:
                    with pytest.raises(NotFound):
                        store.records.workflow("wf_large")
                    items = await all_pages(
                        lambda cursor: store.records.tasks(workflow=None, status="ready", cursor=cursor, limit=1000)
                    )
                    assert {view.workflow for view in items} <= {"wf_small"}
                    assert await store.unfinished() == ["wf_small"]
            assert between >= 5
            assert store.records.workflow("wf_large").counts == {"ready": 1, "blocked": 19_999}
            snapshot = await store.load("wf_large")
            assert [task for task, _ in snapshot.tasks] == tasks(20_000)

        self.run(tmp_path, script)

    # the daemon's questions

    def test_unfinished_lists_oldest_first_without_ended_and_quarantined_ones(self, tmp_path: Path) -> None:
        async def script(store: OpenStore) -> None:
            for id in ("wf_c", "wf_a", "wf_b", "wf_d"):
                await submit(store, id)
            await store.quarantine("wf_a", "its rows make no sense")
            done = replace(a_row("wf_b", 3), status=WorkflowStatus.SUCCEEDED, ended_at=NOW)
            await store.append("wf_b", 1, Changes(done, events=(an_event(2),)))
            assert await store.unfinished() == ["wf_c", "wf_d"]
            assert store.records.workflow("wf_a").quarantined == "its rows make no sense"
            assert store.records.workflow("wf_c").quarantined is None

        self.run(tmp_path, script)

    def test_each_reign_has_a_higher_fence(self, tmp_path: Path) -> None:
        async def main() -> None:
            world = self.world(tmp_path)
            fences = []
            for _ in range(3):
                store = await world.open()
                fences.append(await store.reign())
                await store.close()
            assert fences == [1, 2, 3]

        self.drive(main())

    def test_a_task_is_told_the_results_of_what_it_needs_and_of_its_parent(self, tmp_path: Path) -> None:
        async def script(store: OpenStore) -> None:
            await submit(store, "wf_a")
            child = a_task(4, "3.child", needs=(2, 1), parent=3, depth=1)
            await store.append("wf_a", 1, Changes(added=(child,), results={1: b"1", 3: b'{"p": 3}'}))
            told = store.task_input("wf_a", 4)
            assert told.results == {"t1": b"1", "t2": b"null", "t3": b'{"p": 3}'}
            assert (told.task_id, told.operation, told.key, told.params) == (
                "3.child",
                "servers/create",
                child.key,
                child.params,
            )
            assert store.task_input("wf_a", 1).results == {}

        self.run(tmp_path, script)

    def test_a_snapshot_holds_the_last_attempts_of_running_tasks(self, tmp_path: Path) -> None:
        async def script(store: OpenStore) -> None:
            await submit(store, "wf_a")
            await store.append("wf_a", 1, started(1, 2))
            await store.append("wf_a", 2, ended(1, 3))
            await store.append("wf_a", 3, started(2, 4))
            second = AttemptChange(2, 2, AttemptStatus.RUNNING, NOW + 3, reports_offset=12)
            again = a_state(2, TaskStatus.RUNNING, attempt=2)
            await store.append("wf_a", 4, Changes(tasks=(again,), attempts=(second,), events=(an_event(5),)))
            assert (await store.load("wf_a")).attempts == (second,)

        self.run(tmp_path, script)
