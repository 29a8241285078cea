"""A store in memory for tests and simulations: the real one's promises, no threads, no time of its own, crashable.

    written by a call ──► pending ──(delay_s on the running loop)──► durable on the `MemoryDisk`, answered

Like the real store it commits in groups: what arrives while a commit is in flight goes into the next one, in order.
`crash()` is the daemon's death: of the pending writes some first ones (how many, `chance` draws) become durable though
their answer is never given, the others are gone; every later call on this handle raises StoreFailed. `reopen()` is the
next daemon's handle on the same disk.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from provisioning_orchestrator.ports import Conflict, Idempotency, IdempotencyMismatch, NotFound, StoreFailed, TaskInput
from provisioning_orchestrator.workflow.records import (
    WORKFLOW_ENDED,
    Changes,
    EventRecord,
    NewTask,
    Snapshot,
    TaskStatus,
    WorkflowRow,
)

from .memory_disk import MemoryDisk, StoredWorkflow
from .memory_records import MemoryRecords

SLICE_TASKS = 1_000
_AGAIN = object()


@dataclass(eq=False, slots=True)
class _Write:
    """apply: makes it durable and returns the answer, or _AGAIN when another slice of it is to follow."""

    apply: Callable[[], Any]
    answer: asyncio.Future[Any]


class MemoryStore:
    """Both `ports.Store` and, as `.records`, `ports.Records`.

    delay_s: seconds on the running loop from the start of a commit to its answer; called once per commit.
    chance: decides at a crash how many of the pending writes had reached the disk (without it: none).
    """

    def __init__(
        self,
        disk: MemoryDisk | None = None,
        *,
        delay_s: Callable[[], float] = lambda: 0.0,
        chance: random.Random | None = None,
    ) -> None:
        self.disk = MemoryDisk() if disk is None else disk
        self.records = MemoryRecords(self.disk, self._check_alive)
        self.was_clean = self.disk.clean
        self.failed: StoreFailed | None = None
        self.disk.clean = False
        self._delay_s = delay_s
        self._chance = chance
        self._queue: list[_Write] = []
        self._in_flight: list[_Write] = []

    # --- life --------------------------------------------------------------------------------------------------------

    def crash(self) -> None:
        """Die now: pending writes are lost, or durable without an answer; every later call raises StoreFailed."""
        pending = self._in_flight + self._queue
        self.failed = StoreFailed("the store crashed")
        survivors = self._chance.randint(0, len(pending)) if self._chance else 0
        for write in pending[:survivors]:
            try:
                write.apply()
            except Exception:  # noqa: S112 - its answer is lost like all others
                continue
        for write in pending:
            if not write.answer.done():
                write.answer.set_exception(self.failed)
                write.answer.exception()  # a dead daemon's answer: nobody has to look at it
        self._queue, self._in_flight = [], []

    def reopen(self) -> MemoryStore:
        """A new handle on what is durable."""
        return MemoryStore(self.disk, delay_s=self._delay_s, chance=self._chance)

    async def close(self) -> None:
        """Finish what is pending and mark the end as clean."""
        if self.failed is not None:
            return
        while self._in_flight or self._queue:
            await self._write(lambda: None)  # not their answers: who waited for one may be gone, and it be done
        self.disk.clean = True
        self.failed = StoreFailed("the store is closed")

    async def check(self) -> None:
        """Memory does not rot."""
        self._check_alive()

    # --- the port ----------------------------------------------------------------------------------------------------

    async def submit(
        self, row: WorkflowRow, tasks: Sequence[NewTask], events: Sequence[EventRecord], idempotency: Idempotency | None
    ) -> str:
        _check_contiguous(0, events)
        slices_left = (len(tasks) - 1) // SLICE_TASKS if len(tasks) > 2 * SLICE_TASKS else 0
        number = 0

        def apply() -> Any:
            nonlocal slices_left, number
            if not number:
                if idempotency is not None and (known := self._known(idempotency)) is not None:
                    return known
                if row.id in self.disk.workflows:
                    raise ValueError(f"there is a workflow {row.id!r} already")
                self.disk.numbers += 1
                number = self.disk.numbers
            if slices_left:
                slices_left -= 1
                return _AGAIN
            if idempotency is not None:
                # Another submission with the key may have become visible between this one's slices.
                if (known := self._known(idempotency)) is not None:
                    return known
                self.disk.idempotency[_place(idempotency)] = (idempotency.digest, row.id)
            workflow = StoredWorkflow(number, replace(row, sequence=len(events)))
            workflow.add(tasks)
            workflow.events.extend(events)
            self.disk.workflows[row.id] = workflow
            return row.id

        answer: str = await self._write(apply)
        return answer

    async def append(self, workflow: str, expected_sequence: int, changes: Changes) -> None:
        _check_contiguous(expected_sequence, changes.events)

        def apply() -> None:
            stored = self.disk.find(workflow)
            if stored.row.sequence != expected_sequence:
                raise Conflict(f"workflow {workflow!r} is at {stored.row.sequence}, not at {expected_sequence}")
            _check_seqs(stored, changes)
            stored.row = replace(changes.workflow or stored.row, sequence=expected_sequence + len(changes.events))
            stored.add(changes.added)
            for state in changes.tasks:
                stored.change(state)
            for attempt in changes.attempts:
                stored.attempts.setdefault(attempt.seq, {})[attempt.number] = attempt
            stored.results.update(changes.results)
            stored.events.extend(changes.events)

        await self._write(apply)

    async def load(self, workflow: str) -> Snapshot:
        self._check_alive()
        stored = self.disk.find(workflow)
        running = tuple(
            of_task[max(of_task)]
            for seq, of_task in sorted(stored.attempts.items())
            if stored.states[seq].status is TaskStatus.RUNNING
        )
        tasks = tuple((stored.new[seq], stored.states[seq]) for seq in sorted(stored.new))
        return Snapshot(stored.row, tasks, running)

    async def unfinished(self) -> list[str]:
        self._check_alive()
        found = sorted(self.disk.workflows.values(), key=lambda w: w.number)
        return [w.row.id for w in found if w.row.status not in WORKFLOW_ENDED and w.quarantined is None]

    async def quarantine(self, workflow: str, reason: str) -> None:
        def apply() -> None:
            self.disk.find(workflow).quarantined = reason

        await self._write(apply)

    def task_input(self, workflow: str, seq: int) -> TaskInput:
        self._check_alive()
        stored = self.disk.find(workflow)
        if seq not in stored.new:
            raise NotFound(f"no task {seq} in workflow {workflow!r}")
        task = stored.new[seq]
        wanted = sorted({*task.needs, *([task.parent] if task.parent else [])})
        results = {stored.new[other].id: stored.results.get(other, b"null") for other in wanted}
        return TaskInput(task.id, task.operation, task.key, task.params, results)

    async def reign(self) -> int:
        def apply() -> int:
            self.disk.fence += 1
            return self.disk.fence

        answer: int = await self._write(apply)
        return answer

    # --- commits -----------------------------------------------------------------------------------------------------

    async def _write(self, apply: Callable[[], Any]) -> Any:
        self._check_alive()
        write = _Write(apply, asyncio.get_running_loop().create_future())
        self._queue.append(write)
        if not self._in_flight:
            self._begin()
        return await write.answer

    def _begin(self) -> None:
        self._in_flight, self._queue = self._queue, []
        asyncio.get_running_loop().call_later(self._delay_s(), self._commit, self._in_flight)

    def _commit(self, group: list[_Write]) -> None:
        if self._in_flight is not group:
            return  # crashed meanwhile
        again = []
        for write in group:
            try:
                answer = write.apply()
            except Exception as error:  # each write fails for itself
                if not write.answer.done():
                    write.answer.set_exception(error)
                continue
            if answer is _AGAIN:
                again.append(write)
            elif not write.answer.done():
                write.answer.set_result(answer)
        self._in_flight = []
        self._queue = self._queue + again
        if self._queue:
            self._begin()

    def _known(self, idempotency: Idempotency) -> str | None:
        known = self.disk.idempotency.get(_place(idempotency))
        if known is None:
            return None
        if known[0] != idempotency.digest:
            raise IdempotencyMismatch(f"the idempotency key {idempotency.key!r} was used before with another body")
        return known[1]

    def _check_alive(self) -> None:
        if self.failed is not None:
            raise StoreFailed(str(self.failed))


def _place(idempotency: Idempotency) -> tuple[str, str, str]:
    return idempotency.token, idempotency.route, idempotency.key


def _check_contiguous(expected_sequence: int, events: Sequence[EventRecord]) -> None:
    for sequence, event in enumerate(events, expected_sequence + 1):
        if event.sequence != sequence:
            raise ValueError(f"event {event.type!r} has sequence {event.sequence}, {sequence} is next")


def _check_seqs(stored: StoredWorkflow, changes: Changes) -> None:
    for seq, task in enumerate(changes.added, len(stored.new) + 1):
        if task.seq != seq:
            raise ValueError(f"task {task.id!r} has seq {task.seq}, {seq} is next")
        if task.id in stored.seq_of:
            raise ValueError(f"task id {task.id!r} is there twice")
    total = len(stored.new) + len(changes.added)
    for seq in [*(t.seq for t in changes.tasks), *(a.seq for a in changes.attempts), *changes.results]:
        if not 1 <= seq <= total:
            raise ValueError(f"no task {seq} in workflow {stored.row.id!r}, which has {total}")
