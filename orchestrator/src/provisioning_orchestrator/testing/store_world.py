"""Rows to fill a store with, and what the suites of the ports `Store` and `Records` run in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

from provisioning_orchestrator.ports import (
    Idempotency,
    Page,
    Records,
    Store,
)
from provisioning_orchestrator.workflow.records import (
    AttemptChange,
    AttemptStatus,
    Changes,
    EventRecord,
    NewTask,
    TaskChange,
    TaskStatus,
    WorkflowRow,
    WorkflowStatus,
)
from provisioning_orchestrator.workflow.spec import REPEATABLE

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


async def submit(store: Store, id: str, count: int = 3, idempotency: Idempotency | None = None, **more: Any) -> str:
    created = an_event(1, "workflow.submitted", None)
    return await store.submit(a_row(id, count, **more), tasks(count), [created], idempotency)


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


class Suite:
    """Subclass a suite, and say which world."""

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
        async def within() -> None:
            async with asyncio.timeout(120):
                await script

        asyncio.run(within())
