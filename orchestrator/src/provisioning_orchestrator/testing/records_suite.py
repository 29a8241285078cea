"""What every implementation of the port `Records` promises; part of StoreSuite."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioning_orchestrator.ports import (
    BadCursor,
    Idempotency,
    Page,
)
from provisioning_orchestrator.workflow.records import (
    AttemptChange,
    AttemptStatus,
    Changes,
    EventRecord,
    Parent,
    TaskStatus,
    WorkflowStatus,
)

from .store_world import NOW, OpenStore, Suite, a_row, a_state, a_task, an_event, ended, started, submit


class RecordsSuite(Suite):
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

    def test_a_submission_is_found_by_its_key_and_digest_alone(self, tmp_path: Path) -> None:
        async def script(store: OpenStore) -> None:
            used = Idempotency("token", "POST /workflows", "key", "digest")
            assert store.records.submitted(used) is None
            await submit(store, "wf_a", idempotency=used)
            assert store.records.submitted(used) == "wf_a"
            for other in ("token", "route", "key", "digest"):
                assert store.records.submitted(replace(used, **{other: "x"})) is None

        self.run(tmp_path, script)

    def test_a_child_keeps_its_parent_and_is_listed_under_it(self, tmp_path: Path) -> None:
        async def script(store: OpenStore) -> None:
            await submit(store, "wf_a")
            parent = Parent("wf_a", "t2", 2)
            for id in ("wf_b", "wf_c"):
                await submit(store, id, parent=parent)
            done = replace(a_row("wf_b", 3, parent=parent), status=WorkflowStatus.CANCELLED, ended_at=NOW)
            await store.append("wf_b", 1, Changes(done, events=(an_event(2),)))
            await store.append("wf_c", 1, started(1, 2))
            for id, expected in (("wf_a", None), ("wf_b", parent), ("wf_c", parent)):
                assert store.records.workflow(id).row.parent == expected
                assert (await store.load(id)).workflow.parent == expected
            pages = {"wf_a": ["wf_c", "wf_b"], "wf_b": [], "nonsense": []}
            for of, ids in pages.items():
                page = store.records.workflows(status=None, cursor=None, limit=10, parent=of)
                assert [view.row.id for view in page.items] == ids
            first = store.records.workflows(status=None, cursor=None, limit=1, parent="wf_a")
            assert [view.row.id for view in first.items] == ["wf_c"] and first.next_cursor
            rest = store.records.workflows(status=None, cursor=first.next_cursor, limit=1, parent="wf_a")
            assert [view.row.id for view in rest.items] == ["wf_b"] and rest.next_cursor is None
            ended = store.records.workflows(status="cancelled", cursor=None, limit=10, parent="wf_a")
            assert [view.row.id for view in ended.items] == ["wf_b"]

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
