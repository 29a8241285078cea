"""What is kept of a workflow: the rows that the machine changes and the store keeps. Times are microseconds UTC."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from .spec import RetryPolicy


class TaskStatus(StrEnum):
    BLOCKED = "blocked"
    READY = "ready"
    RUNNING = "running"
    WAITING = "waiting"  # for a retry's delay
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"  # it may have had effects and nobody saw the end


TASK_ENDED = frozenset({TaskStatus.SUCCEEDED, TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.SKIPPED})


class WorkflowStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


WORKFLOW_ENDED = frozenset({WorkflowStatus.SUCCEEDED, WorkflowStatus.FAILED, WorkflowStatus.CANCELLED})


class AttemptStatus(StrEnum):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    NEVER_STARTED = "never_started"


@dataclass(frozen=True, slots=True)
class TaskError:
    """Why a task or attempt failed.

    code: snake_case and stable: `exit_code`, `signal`, `timeout`, `bad_result`, `bad_expansion`, `not_runnable`, or the
    operation's own.
    """

    code: str
    message: str
    retryable: bool = True
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task row as it is inserted; what never changes afterwards, and its first status.

    seq: 1, 2, 3 … in the workflow. needs: seqs of the same workflow. parent: the seq whose expansion it is, 0 for none.
    depth: 0 for a submitted task, its parent's plus 1 for an expanded one. id: the flat id.
    """

    seq: int
    id: str
    operation: str
    params: bytes
    needs: tuple[int, ...]
    parent: int
    depth: int
    key: str | None
    repeatable: bool
    timeout_s: float
    retry: RetryPolicy
    status: TaskStatus


@dataclass(frozen=True, slots=True)
class TaskChange:
    """The changing part of a task row, whole. attempt: number of the last attempt, 0 before the first.

    counted: attempts that count against attempts_max. lost: attempts whose end nobody saw.
    never: never-started ones in a row. due_at: when a waiting task goes on, else None.
    expanded: tasks that its result added. flagged: its result said `partial`.
    """

    seq: int
    status: TaskStatus
    attempt: int
    counted: int
    lost: int
    never: int
    due_at: int | None
    expanded: int
    flagged: bool
    error: TaskError | None


@dataclass(frozen=True, slots=True)
class AttemptChange:
    """An attempt row, whole (insert or replace). reports_offset: bytes of its event file that are in the feed."""

    seq: int
    number: int
    status: AttemptStatus
    started_at: int
    ended_at: int | None = None
    exit_code: int | None = None
    signal: int | None = None
    error: TaskError | None = None
    note: str | None = None
    reports_offset: int = 0


@dataclass(frozen=True, slots=True)
class EventRecord:
    """A line of the workflow's feed. sequence: 1, 2, 3 … without gaps. type: dotted, past tense (`task.started`)."""

    sequence: int
    at: int
    type: str
    task: str | None = None
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Parent:
    """Who submitted a workflow: a task of another one, by its flat id and its seq."""

    workflow: str
    task: str
    seq: int


@dataclass(frozen=True, slots=True)
class WorkflowRow:
    """A workflow row, whole. intent: a UUID, random per workflow. sequence: of its last event.

    parent: None where a person or another program submitted it.
    """

    id: str
    name: str
    intent: str
    status: WorkflowStatus
    created_at: int
    started_at: int | None = None
    ended_at: int | None = None
    cancel_requested: bool = False
    tasks_total: int = 0
    sequence: int = 0
    parent: Parent | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """Everything that one commit writes for one workflow; all of it or nothing.

    workflow: the row, None where it did not change (its sequence moves with the events all the same).
    results: seq → the result value as JSON.
    """

    workflow: WorkflowRow | None = None
    added: tuple[NewTask, ...] = ()
    tasks: tuple[TaskChange, ...] = ()
    attempts: tuple[AttemptChange, ...] = ()
    results: dict[int, bytes] = field(default_factory=dict)
    events: tuple[EventRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a machine is rebuilt from: the rows of one workflow, tasks by seq.

    attempts: the last one of each task that is `running`.
    """

    workflow: WorkflowRow
    tasks: tuple[tuple[NewTask, TaskChange], ...]
    attempts: tuple[AttemptChange, ...]
