"""What a machine knows of its workflow, and what has changed since the last commit.

Counts and the dependents index live in the state from the first day: re-scanning costs milliseconds per event, counts
microseconds. Nothing here decides; `machine` and `propagation` do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from .commands import Command
from .records import (
    TASK_ENDED,
    AttemptChange,
    Changes,
    EventRecord,
    NewTask,
    TaskChange,
    TaskError,
    TaskStatus,
    WorkflowRow,
)


class TaskState:
    """One task. open_needs: needs whose subtree is not complete. open_children: direct children that are not complete.

    complete: it and all below it succeeded. broken: it or something below it failed, was skipped or cancelled.
    """

    __slots__ = (
        "attempt",
        "broken",
        "complete",
        "counted",
        "dependents",
        "due_at",
        "error",
        "expanded",
        "flagged",
        "lost",
        "never",
        "open_children",
        "open_needs",
        "row",
        "status",
    )

    def __init__(self, row: NewTask) -> None:
        self.row = row
        self.status = row.status
        self.dependents: list[int] = []
        self.open_needs = 0
        self.open_children = 0
        self.complete = False
        self.broken = False
        self.attempt = 0
        self.counted = 0
        self.lost = 0
        self.never = 0
        self.due_at: int | None = None
        self.expanded = 0
        self.flagged = False
        self.error: TaskError | None = None

    def change(self) -> TaskChange:
        return TaskChange(
            self.row.seq,
            self.status,
            self.attempt,
            self.counted,
            self.lost,
            self.never,
            self.due_at,
            self.expanded,
            self.flagged,
            self.error,
        )


class WorkflowState:
    """All tasks by seq (tasks[0] is unused), counters, and the journal of what the next commit must write."""

    def __init__(self, row: WorkflowRow) -> None:
        self.row = row
        self.tasks: list[TaskState | None] = [None]
        self.open_count = 0  # tasks that have not ended; `unknown` has not
        self.status_counts: dict[TaskStatus, int] = dict.fromkeys(TaskStatus, 0)
        self.running: dict[int, AttemptChange] = {}  # seq → its attempt's row
        self.commands: list[Command] = []
        self._committed_row = row
        self._added: list[NewTask] = []
        self._dirty: dict[int, None] = {}
        self._attempts: dict[tuple[int, int], AttemptChange] = {}
        self._results: dict[int, bytes] = {}
        self._events: list[EventRecord] = []

    def task(self, seq: int) -> TaskState:
        task = self.tasks[seq] if 0 < seq < len(self.tasks) else None
        assert task is not None, f"no task {seq} in {self.row.id}"
        return task

    def all_tasks(self) -> Iterable[TaskState]:
        return (task for task in self.tasks if task is not None)

    def add(self, row: NewTask) -> TaskState:
        """Take a task in. Its needs may come later; `link` counts them."""
        assert row.seq == len(self.tasks), "seqs are given in order, without gaps"
        task = TaskState(row)
        self.tasks.append(task)
        self.status_counts[task.status] += 1
        if task.status not in TASK_ENDED:
            self.open_count += 1
        return task

    def restore(self, task: TaskState, change: TaskChange) -> None:
        """Set what the last commit says of the task; nothing is journalled."""
        self.set_status(task, change.status)
        self._dirty.clear()
        task.attempt, task.counted, task.lost, task.never = change.attempt, change.counted, change.lost, change.never
        task.due_at, task.expanded = change.due_at, change.expanded
        task.flagged, task.error = change.flagged, change.error

    def link_needs(self, task: TaskState) -> None:
        """Enter the task in the dependents of what it needs, and count what is open of that."""
        for need in task.row.needs:
            needed = self.task(need)
            needed.dependents.append(task.row.seq)
            if not needed.complete:
                task.open_needs += 1

    def expand(self, row: NewTask) -> TaskState:
        """Take a new child in; the next commit inserts it."""
        task = self.add(row)
        self._added.append(row)
        self.task(row.parent).open_children += 1
        return task

    def set_status(self, task: TaskState, status: TaskStatus) -> None:
        self.status_counts[task.status] -= 1
        self.status_counts[status] += 1
        self.open_count += (task.status in TASK_ENDED) - (status in TASK_ENDED)
        task.status = status
        if status is not TaskStatus.WAITING:
            task.due_at = None
        self._dirty[task.row.seq] = None

    def set_workflow(self, **changes: Any) -> None:
        self.row = replace(self.row, **changes)

    def set_attempt(self, attempt: AttemptChange) -> None:
        self._attempts[attempt.seq, attempt.number] = attempt

    def set_result(self, seq: int, result: bytes) -> None:
        self._results[seq] = result

    def record(self, at: int, type: str, task: TaskState | None = None, **data: Any) -> None:
        """Append an event to the feed."""
        sequence = self.row.sequence + 1
        self.row = replace(self.row, sequence=sequence)
        self._events.append(EventRecord(sequence, at, type, task.row.id if task else None, data))

    def command(self, command: Command) -> None:
        self.commands.append(command)

    @property
    def dirty(self) -> int:
        """About how many rows the next commit writes."""
        return len(self._dirty) + len(self._added) + len(self._events)

    def take(self) -> tuple[int, Changes]:
        """What the next commit writes, and the sequence that it expects; the journal is empty afterwards."""
        expected = self._committed_row.sequence
        changed = replace(self._committed_row, sequence=self.row.sequence) != self.row
        changes = Changes(
            workflow=self.row if changed else None,
            added=tuple(self._added),
            # A task that was added and changed in one go is written with both: its first status, then the change.
            tasks=tuple(self.task(seq).change() for seq in self._dirty),
            attempts=tuple(self._attempts.values()),
            results=self._results,
            events=tuple(self._events),
        )
        self._committed_row = self.row
        self._added, self._dirty, self._attempts, self._results, self._events = [], {}, {}, {}, []
        return expected, changes
