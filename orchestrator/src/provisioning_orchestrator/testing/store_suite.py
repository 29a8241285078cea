"""What every implementation of the ports `Store` and `Records` promises, as tests that all of them pass.

    class TestSqliteStore(StoreSuite):
        def world(self, tmp_path): return …      # a StoreWorld

A world outlives the stores that are opened on it, one after the other.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioning_orchestrator.ports import (
    BadCursor,
    Conflict,
    Idempotency,
    IdempotencyMismatch,
    NotFound,
    Page,
    Records,
    Store,
    StoreFailed,
)
from provisioning_orchestrator.workflow.records import (
    AttemptChange,
    AttemptStatus,
    Changes,
    EventRecord,
    NewTask,
    TaskChange,
    TaskError,
    TaskStatus,
    WorkflowRow,
    WorkflowStatus,
)
from provisioning_orchestrator.workflow.spec import REPEATABLE, RetryPolicy

NOW = 1_700_000_000_000_000
# Text that has broken others: quotes, newlines, NUL, control characters, non-Latin, an emoji, a long one.
HOSTILE = "a'b\"c\n--\x00\x1b[31m%s;DROP TABLE tasks; ÄÖ漢字🚀" + "x" * 5_000


class OpenStore(Store, Protocol):
    """A Store as the daemon opens it: with its Records, and an end."""

    @property
    def records(self) -> Records: ...

    @property
    def was_clean(self) -> bool: ...

    async def check(self) -> None: ...

    async def close(self) -> None: ...


class StoreWorld(Protocol):
    async def open(self) -> OpenStore:
        """A store on this world; the one before it has been closed."""


# --- rows ------------------------------------------------------------------------------------------------------------


def a_row(id: str = "wf_1", tasks_total: int = 0, **more: Any) -> WorkflowRow:
    return WorkflowRow(
        id, f"servers/create {id}", f"intent-{id}", WorkflowStatus.RUNNING, NOW, tasks_total=tasks_total, **more
    )


def a_task(seq: int, id: str | None = None, *, needs: tuple[int, ...] = (), **more: Any) -> NewTask:
    values: dict[str, Any] = {
        "operation": "servers/create",
        "params": b'{"n": %d}' % seq,
        "parent": 0,
        "depth": 0,
        "key": f"ws/wuji/server/{seq}",
        "repeatable": True,
        "timeout_s": 300.0,
        "retry": REPEATABLE,
        "status": TaskStatus.BLOCKED if needs else TaskStatus.READY,
    }
    return NewTask(seq=seq, id=id or f"t{seq}", needs=needs, **{**values, **more})


def tasks(count: int) -> list[NewTask]:
    """A chain of `count` tasks."""
    return [a_task(seq, needs=(seq - 1,) if seq > 1 else ()) for seq in range(1, count + 1)]


def a_state(seq: int, status: TaskStatus, **more: Any) -> TaskChange:
    values: dict[str, Any] = {
        "attempt": 1,
        "counted": 1,
        "lost": 0,
        "never": 0,
        "due_at": None,
        "expanded": 0,
        "flagged": False,
        "error": None,
    }
    return TaskChange(seq=seq, status=status, **{**values, **more})


def an_event(sequence: int, type: str = "task.started", task: str | None = "t1", **data: Any) -> EventRecord:
    return EventRecord(sequence, NOW + sequence, type, task, data)


def started(seq: int, sequence: int) -> Changes:
    """The changes of the start of a task's first attempt, as event `sequence`."""
    return Changes(
        tasks=(a_state(seq, TaskStatus.RUNNING),),
        attempts=(AttemptChange(seq, 1, AttemptStatus.RUNNING, NOW),),
        events=(an_event(sequence, task=f"t{seq}"),),
    )


def ended(seq: int, sequence: int, result: bytes = b'{"ok": true}') -> Changes:
    """The changes of the success of a task's first attempt, as event `sequence`."""
    return Changes(
        tasks=(a_state(seq, TaskStatus.SUCCEEDED),),
        attempts=(AttemptChange(seq, 1, AttemptStatus.SUCCEEDED, NOW, NOW + 5, exit_code=0),),
        results={seq: result},
        events=(an_event(sequence, "task.succeeded", f"t{seq}"),),
    )


async def submit(store: Store, id: str, count: int = 3, idempotency: Idempotency | None = None) -> str:
    created = an_event(1, "workflow.submitted", None)
    return await store.submit(a_row(id, count), tasks(count), [created], idempotency)


async def all_pages(page: Callable[[str | None], Page]) -> list[Any]:
    """The items of all pages."""
    found: list[Any] = []
    cursor = None
    while True:
        one = page(cursor)
        found += one.items
        cursor = one.next_cursor
        if cursor is None:
            return found
        assert one.items, "an empty page says that there are more"


# --- the suite -------------------------------------------------------------------------------------------------------


class StoreSuite:
    """Subclass it, and say which world."""

    def world(self, tmp_path: Path) -> StoreWorld:
        raise NotImplementedError

    def run(self, tmp_path: Path, script: Callable[[OpenStore], Awaitable[None]]) -> None:
        """Run the script on a fresh store."""

        async def main() -> None:
            store = await self.world(tmp_path).open()
            try:
                await script(store)
            finally:
                await store.close()

        self.drive(main())

    def drive(self, script: Coroutine[Any, Any, None]) -> None:
        asyncio.run(asyncio.wait_for(script, 120))

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

    # records

    def test_counts_follow_every_change(self, tmp_path: Path) -> None:
        async def script(store: OpenStore) -> None:
            await submit(store, "wf_a", 5)
            assert store.records.workflow("wf_a").counts == {"ready": 1, "blocked": 4}
            await store.append("wf_a", 1, started(1, 2))
            await store.append("wf_a", 2, ended(1, 3))
            assert store.records.workflow("wf_a").counts == {"succeeded": 1, "blocked": 4}
            skipped = tuple(a_state(seq, TaskStatus.SKIPPED, attempt=0) for seq in range(2, 6))
            await store.append("wf_a", 3, Changes(tasks=skipped, added=(a_task(6),), events=(an_event(4),)))
            page = store.records.workflows(status=None, cursor=None, limit=1)
            assert page.items[0].counts == {"succeeded": 1, "skipped": 4, "ready": 1}

        self.run(tmp_path, script)

    def test_a_task_shows_attempts_and_created_resources_in_order(self, tmp_path: Path) -> None:
        async def script(store: OpenStore) -> None:
            await submit(store, "wf_a")
            await submit(store, "wf_b")
            await store.append("wf_a", 1, started(1, 2))
            created = [an_event(n, "resource.created", "t1", kind="server", id=f"s-{n}") for n in (3, 4)]
            elsewhere = an_event(5, "resource.created", "t2", kind="network", id="n-1")
            await store.append("wf_a", 2, Changes(events=(*created, elsewhere, an_event(6, "task.progress"))))
            view = store.records.task("wf_a", "t1")
            assert [resource["id"] for resource in view.resources] == ["s-3", "s-4"]
            assert view.attempts == (AttemptChange(1, 1, AttemptStatus.RUNNING, NOW),)
            assert view.workflow == "wf_a"
            listed = store.records.tasks(workflow="wf_a", status=None, cursor=None, limit=10).items
            assert listed[0] == view
            assert listed[1].resources == (elsewhere.data,)
            assert store.records.task("wf_b", "t1").resources == ()

        self.run(tmp_path, script)

    def test_lists_filter_by_status(self, tmp_path: Path) -> None:
        async def script(store: OpenStore) -> None:
            for id in ("wf_a", "wf_b", "wf_c"):
                await submit(store, id)
            done = replace(a_row("wf_b", 3), status=WorkflowStatus.CANCELLED, ended_at=NOW)
            await store.append("wf_b", 1, Changes(done, events=(an_event(2),)))
            await store.append("wf_a", 1, started(1, 2))
            names = {"running": ["wf_c", "wf_a"], "cancelled": ["wf_b"], "failed": [], "nonsense": []}
            for status, expected in names.items():
                page = store.records.workflows(status=status, cursor=None, limit=10)
                assert [view.row.id for view in page.items] == expected
            ready = store.records.tasks(workflow=None, status="ready", cursor=None, limit=10).items
            assert [(view.workflow, view.task.id) for view in ready] == [("wf_c", "t1"), ("wf_b", "t1")]
            running = store.records.tasks(workflow="wf_a", status="running", cursor=None, limit=10).items
            assert [view.task.id for view in running] == ["t1"]
            assert store.records.tasks(workflow="wf_b", status="failed", cursor=None, limit=10) == Page((), None)

        self.run(tmp_path, script)

    def test_events_come_in_pieces(self, tmp_path: Path) -> None:
        async def script(store: OpenStore) -> None:
            await submit(store, "wf_a")
            await submit(store, "wf_b")
            await store.append("wf_a", 1, Changes(events=tuple(an_event(n) for n in range(2, 11))))
            found: list[EventRecord] = []
            while piece := store.records.events("wf_a", after=len(found), limit=4):
                found += piece
            assert [event.sequence for event in found] == list(range(1, 11))
            assert store.records.events("wf_a", after=10, limit=4) == ()

        self.run(tmp_path, script)

    def test_damaged_and_foreign_cursors_are_refused_by_name(self, tmp_path: Path) -> None:
        async def script(store: OpenStore) -> None:
            for id in ("wf_a", "wf_b"):
                await submit(store, id)
            foreign = store.records.workflows(status=None, cursor=None, limit=1).next_cursor
            assert foreign is not None
            own = store.records.tasks(workflow=None, status=None, cursor=None, limit=1).next_cursor
            assert own is not None
            for cursor in (
                foreign,
                "x",
                "W10=",
                "bnVsbA==",
                own[:-5],
                "'; --",
                "ä",
                "WyJ0IiwgMSwgLTFd",
                "WyJ0IiwgMSwgMS41XQ==",
            ):
                with pytest.raises(BadCursor, match="cursor"):
                    store.records.tasks(workflow=None, status=None, cursor=cursor, limit=1)
            with pytest.raises(ValueError):
                store.records.workflows(status=None, cursor=own, limit=1)

        self.run(tmp_path, script)

    def test_pages_show_each_row_once_while_rows_are_inserted(self, tmp_path: Path) -> None:
        """Each row that was there at the start, none twice, in order, whatever is inserted between pages."""

        @settings(max_examples=15, deadline=None)
        @given(
            sizes=st.lists(st.integers(1, 6), min_size=1, max_size=6),
            inserts=st.lists(st.integers(0, 5), max_size=10),
            limit=st.integers(1, 4),
            status=st.sampled_from([None, "ready", "blocked"]),
        )
        def check(sizes: list[int], inserts: list[int], limit: int, status: str | None) -> None:
            with tempfile.TemporaryDirectory(dir=tmp_path) as directory:
                self.run(Path(directory), lambda store: _walk(store, sizes, inserts, limit, status))

        check()


async def _walk(store: OpenStore, sizes: list[int], inserts: list[int], limit: int, status: str | None) -> None:
    for n, size in enumerate(sizes):
        await submit(store, f"wf_{n}", size)
    wanted = [
        (f"wf_{n}", f"t{seq}")
        for n in reversed(range(len(sizes)))
        for seq in range(1, sizes[n] + 1)
        if status in (None, "ready" if seq == 1 else "blocked")
    ]
    seen: list[tuple[str, str]] = []
    workflows: list[str] = []
    todo = list(inserts)
    cursor = workflow_cursor = None
    while True:
        page = store.records.tasks(workflow=None, status=status, cursor=cursor, limit=limit)
        assert len(page.items) <= limit
        seen += [(view.workflow, view.task.id) for view in page.items]
        if todo:
            await _insert(store, sizes, todo.pop())
        cursor = page.next_cursor
        if cursor is None:
            break
    while True:
        page = store.records.workflows(status="running", cursor=workflow_cursor, limit=limit)
        workflows += [view.row.id for view in page.items]
        await submit(store, f"wf_late_{len(workflows)}", 1)
        workflow_cursor = page.next_cursor
        if workflow_cursor is None:
            break
    assert len(seen) == len(set(seen))
    assert [one for one in seen if one in set(wanted)] == wanted
    assert [id for id in workflows if id[3:].isdigit()] == [f"wf_{n}" for n in reversed(range(len(sizes)))]
    assert len(workflows) == len(set(workflows))


async def _insert(store: OpenStore, sizes: Sequence[int], where: int) -> None:
    """A new workflow, or a task more in one of the first ones."""
    if where >= len(sizes):
        count = len(store.records.workflows(status=None, cursor=None, limit=1000).items)
        await submit(store, f"wf_new_{count}", 2)
        return
    snapshot = await store.load(f"wf_{where}")
    seq = len(snapshot.tasks) + 1
    await store.append(f"wf_{where}", snapshot.workflow.sequence, Changes(added=(a_task(seq, f"1.{seq}", parent=1),)))
