"""What the API shows, read from the memory store's disk."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator

from provisioning_orchestrator.ports import BadCursor, Idempotency, NotFound, Page, TaskView, WorkflowView
from provisioning_orchestrator.workflow.records import EventRecord

from .memory_disk import MemoryDisk, StoredWorkflow


class MemoryRecords:
    """`ports.Records` over a MemoryDisk. check: raises where the store is gone."""

    def __init__(self, disk: MemoryDisk, check: Callable[[], None]) -> None:
        self._disk = disk
        self._check = check

    def workflow(self, id: str) -> WorkflowView:
        self._check()
        return _workflow_view(self._disk.find(id))

    def workflows(self, *, status: str | None, cursor: str | None, limit: int, parent: str | None = None) -> Page:
        self._check()
        (before,) = _read(cursor, "w", 1) if cursor else (1 << 62,)
        items: list[WorkflowView] = []
        for stored in self._newest_first():
            own = parent is None or (stored.row.parent is not None and stored.row.parent.workflow == parent)
            if own and stored.number < before and status in (None, stored.row.status.value):
                if len(items) == limit:
                    return Page(tuple(items), _cursor("w", before))
                items.append(_workflow_view(stored))
                before = stored.number
        return Page(tuple(items), None)

    def task(self, workflow: str, id: str) -> TaskView:
        self._check()
        stored = self._disk.find(workflow)
        if id not in stored.seq_of:
            raise NotFound(f"no task {id!r} in workflow {workflow!r}")
        return _task_view(stored, stored.seq_of[id])

    def tasks(self, *, workflow: str | None, status: str | None, cursor: str | None, limit: int) -> Page:
        self._check()
        number, seq = _read(cursor, "t", 2) if cursor else (1 << 62, 0)
        items: list[TaskView] = []
        last = (0, 0)
        for stored in [self._disk.find(workflow)] if workflow is not None else self._newest_first():
            if stored.number > number:
                continue
            for other in sorted(stored.new):
                if stored.number == number and other <= seq:
                    continue
                if status not in (None, stored.states[other].status.value):
                    continue
                if len(items) == limit:
                    return Page(tuple(items), _cursor("t", *last))
                items.append(_task_view(stored, other))
                last = (stored.number, other)
        return Page(tuple(items), None)

    def submitted(self, idempotency: Idempotency) -> str | None:
        self._check()
        i = idempotency
        digest, workflow = self._disk.idempotency.get((i.token, i.route, i.key), ("", ""))
        return workflow if digest == i.digest else None

    def events(self, workflow: str, *, after: int, limit: int) -> tuple[EventRecord, ...]:
        self._check()
        start = max(after, 0)
        return tuple(self._disk.find(workflow).events[start : start + limit])

    def _newest_first(self) -> Iterator[StoredWorkflow]:
        return iter(sorted(self._disk.workflows.values(), key=lambda w: -w.number))


def _workflow_view(stored: StoredWorkflow) -> WorkflowView:
    return WorkflowView(stored.row, {s: n for s, n in stored.counts.items() if n}, stored.quarantined)


def _task_view(stored: StoredWorkflow, seq: int) -> TaskView:
    task = stored.new[seq]
    of_task = stored.attempts.get(seq, {})
    resources = [e.data for e in stored.events if e.type == "resource.created" and e.task == task.id]
    return TaskView(
        workflow=stored.row.id,
        task=task,
        state=stored.states[seq],
        needs=tuple(stored.new[need].id for need in task.needs),
        attempts=tuple(of_task[number] for number in sorted(of_task)),
        result=stored.results.get(seq),
        resources=tuple(resources),
    )


def _cursor(kind: str, *position: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([kind, *position]).encode()).decode()


def _read(cursor: str, kind: str, width: int) -> list[int]:
    try:
        found, *position = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        if found != kind or len(position) != width or not all(type(p) is int and p >= 0 for p in position):
            raise ValueError(found)
    except (ValueError, TypeError) as error:
        raise BadCursor(f"the cursor {cursor!r} was not given out by this list; start again without one") from error
    return [int(p) for p in position]
