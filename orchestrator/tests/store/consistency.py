"""What must hold of every workflow in a store, whatever happened to it."""

from __future__ import annotations

from collections import Counter

from provisioning_orchestrator.store import SqliteStore

EXPECTED = {"task.started": "running", "task.succeeded": "succeeded"}


async def assert_whole(store: SqliteStore) -> dict[str, int]:
    """No workflow is half-written: rows, attempts, results, counts and feed tell one story. Returns id → sequence."""
    found: dict[str, int] = {}
    cursor = None
    while True:
        page = store.records.workflows(status=None, cursor=cursor, limit=1000)
        for view in page.items:
            await _assert_whole(store, view.row.id, view.counts)
            found[view.row.id] = view.row.sequence
        cursor = page.next_cursor
        if cursor is None:
            return found


async def _assert_whole(store: SqliteStore, workflow: str, counts: dict[str, int]) -> None:
    snapshot = await store.load(workflow)
    events = store.records.events(workflow, after=0, limit=100_000)
    assert [event.sequence for event in events] == list(range(1, snapshot.workflow.sequence + 1))
    assert len(snapshot.tasks) == snapshot.workflow.tasks_total
    assert counts == Counter(state.status.value for _, state in snapshot.tasks)
    told = {event.task: EXPECTED[event.type] for event in events if event.type in EXPECTED}
    for task, state in snapshot.tasks:
        if task.id not in told:
            assert state.attempt == 0
            continue
        view = store.records.task(workflow, task.id)
        assert state.status.value == told[task.id]
        assert [attempt.status.value for attempt in view.attempts] == [told[task.id]]
        assert (view.result is not None) == (told[task.id] == "succeeded")
