"""Rows of the database ⇄ records of the workflow.

Decoding is strict or lenient. Strict (what a machine is rebuilt from) raises UnreadableRecord, naming the row. Lenient
(what people look at) puts something that can be shown in the place of what cannot be read: status `unknown` for a task
or attempt, `failed` for a workflow, an error `unreadable_record`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeVar, cast

from provisioning_orchestrator.ports import UnreadableRecord
from provisioning_orchestrator.workflow.records import (
    AttemptChange,
    AttemptStatus,
    EventRecord,
    NewTask,
    Parent,
    TaskChange,
    TaskError,
    TaskStatus,
    WorkflowRow,
    WorkflowStatus,
)
from provisioning_orchestrator.workflow.spec import ONCE, RetryPolicy

SEQ_BITS = 32
SEQ_MAX = (1 << SEQ_BITS) - 1

Row = Sequence[Any]
T = TypeVar("T")

_dumps = json.JSONEncoder(separators=(",", ":")).encode


def first_place(number: int) -> int:
    return number << SEQ_BITS


def last_place(number: int) -> int:
    return number << SEQ_BITS | SEQ_MAX


def number_of(place: int) -> int:
    return place >> SEQ_BITS


def seq_of(place: int) -> int:
    return place & SEQ_MAX


# --- to rows ---------------------------------------------------------------------------------------------------------


def workflow_columns(number: int, row: WorkflowRow, sequence: int) -> tuple[Any, ...]:
    return (
        number,
        row.id,
        row.name,
        row.intent,
        row.status.value,
        row.created_at,
        row.started_at,
        row.ended_at,
        row.cancel_requested,
        row.tasks_total,
        sequence,
        *((row.parent.workflow, row.parent.task, row.parent.seq) if row.parent else (None, None, None)),
    )


def task_columns(base: int, number: int, task: NewTask) -> tuple[Any, ...]:
    return (
        base + task.seq,
        number,
        task.id,
        task.operation,
        task.params,
        f"[{','.join(map(str, task.needs))}]" if task.needs else None,
        task.parent,
        task.depth,
        task.key,
        task.repeatable,
        task.timeout_s,
        _retry_text(task.retry),
        task.status.value,
    )


def state_columns(base: int, state: TaskChange) -> tuple[Any, ...]:
    return (
        base + state.seq,
        state.status.value,
        state.attempt,
        state.counted,
        state.lost,
        state.never,
        state.due_at,
        state.expanded,
        state.flagged,
        _error_text(state.error) if state.error is not None else None,
    )


def attempt_columns(base: int, attempt: AttemptChange) -> tuple[Any, ...]:
    return (
        base + attempt.seq,
        attempt.number,
        attempt.status.value,
        attempt.started_at,
        attempt.ended_at,
        attempt.exit_code,
        attempt.signal,
        _error_text(attempt.error) if attempt.error is not None else None,
        attempt.note,
        attempt.reports_offset,
    )


def event_columns(base: int, event: EventRecord) -> tuple[Any, ...]:
    return base + event.sequence, event.at, event.type, event.task, _dumps(event.data) if event.data else None


@lru_cache(maxsize=1024)
def _retry_text(retry: RetryPolicy) -> str:
    return _dumps([retry.attempts_max, retry.backoff, retry.delay_s, retry.delay_max_s, retry.jitter])


def _error_text(error: TaskError) -> str:
    return _dumps(
        {
            "code": error.code,
            "message": error.message,
            "retryable": error.retryable,
            "retry_after_s": error.retry_after_s,
        }
    )


# --- from rows -------------------------------------------------------------------------------------------------------


class Decoder:
    """Reads rows. lenient: see the module; `faults` then says what could not be read, in words."""

    def __init__(self, *, lenient: bool = False) -> None:
        self.lenient = lenient
        self.faults: list[str] = []

    def workflow(self, row: Row) -> WorkflowRow:
        what = f"workflow {row[1]!r}"
        return WorkflowRow(
            id=row[1],
            name=row[2],
            intent=row[3],
            status=self._status(WorkflowStatus, row[4], WorkflowStatus.FAILED, what),
            created_at=row[5],
            started_at=row[6],
            ended_at=row[7],
            cancel_requested=bool(row[8]),
            tasks_total=row[9],
            sequence=row[10],
            parent=None if row[11] is None else Parent(row[11], row[12], row[13]),
        )

    def task(self, row: Row) -> tuple[NewTask, TaskChange]:
        """A row of the statements load_tasks and tasks."""
        place = row[0]
        seq = place & SEQ_MAX
        needs: tuple[int, ...] = ()
        if row[4] is not None:
            needs = self._json(row[4], _seqs, (), place, "needs")
        retry = _RETRIES.get(row[10]) or self._json(row[10], _retry, ONCE, place, "retry")
        task = NewTask(
            seq,
            row[1],
            row[2],
            row[3],
            needs,
            row[5],
            row[6],
            row[7],
            bool(row[8]),
            row[9],
            retry,
            _TASK_STATUS.get(row[11]) or self._task_status(row[11], place),
        )
        state = TaskChange(
            seq,
            _TASK_STATUS.get(row[12]) or self._task_status(row[12], place),
            row[13] or 0,
            row[14] or 0,
            row[15] or 0,
            row[16] or 0,
            row[17],
            row[18] or 0,
            bool(row[19]),
            None if row[20] is None else self._error(row[20], place),
        )
        return task, state

    def attempt(self, row: Row) -> AttemptChange:
        place = row[0]
        return AttemptChange(
            seq=place & SEQ_MAX,
            number=row[1],
            status=self._status(AttemptStatus, row[2], AttemptStatus.UNKNOWN, f"attempt {row[1]} of {_name(place)}"),
            started_at=row[3],
            ended_at=row[4],
            exit_code=row[5],
            signal=row[6],
            error=None if row[7] is None else self._error(row[7], place),
            note=row[8],
            reports_offset=row[9],
        )

    def event(self, row: Row) -> EventRecord:
        return EventRecord(row[0] & SEQ_MAX, row[1], row[2], row[3], self.data(row[4], row[0]))

    def data(self, text: Any, place: int) -> dict[str, Any]:
        """The data of an event."""
        if text is None:
            return {}
        return self._json(text, _object, {"unreadable": True}, place, "data")

    def _error(self, text: Any, place: int) -> TaskError:
        fallback = TaskError("unreadable_record", "the stored error cannot be read", retryable=False)
        return self._json(text, _error, fallback, place, "error")

    def _task_status(self, value: Any, place: int) -> TaskStatus:
        return self._status(TaskStatus, value, TaskStatus.UNKNOWN, _name(place))

    def _status(self, kind: type[E], value: Any, fallback: E, what: str) -> E:
        try:
            return kind(value)
        except ValueError:
            return self._fault(f"{what}: the status {value!r} is none that exists", fallback)

    def _json(self, text: Any, make: Callable[[Any], T], fallback: T, place: int, column: str) -> T:
        try:
            return make(json.loads(text))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            return self._fault(f"{_name(place)}: {column} {str(text)[:80]!r} cannot be read ({error})", fallback)

    def _fault(self, text: str, fallback: T) -> T:
        if not self.lenient:
            raise UnreadableRecord(text)
        self.faults.append(text)
        return fallback


E = TypeVar("E", bound=StrEnum)
_TASK_STATUS: dict[Any, TaskStatus] = {status.value: status for status in TaskStatus}
# Retry policies are few and their texts many: the texts seen so far.
_RETRIES: dict[Any, RetryPolicy] = {}
_RETRIES_MAX = 1024


def _seqs(value: Any) -> tuple[int, ...]:
    if type(value) is not list or not all(type(seq) is int for seq in value):
        raise ValueError("not an array of integers")
    return tuple(value)


def _retry(value: Any) -> RetryPolicy:
    attempts_max, backoff, delay_s, delay_max_s, jitter = value
    if backoff not in ("constant", "linear", "exponential"):
        raise ValueError(f"no backoff {backoff!r}")
    policy = RetryPolicy(int(attempts_max), backoff, float(delay_s), float(delay_max_s), float(jitter))
    if len(_RETRIES) < _RETRIES_MAX:
        _RETRIES[_retry_text(policy)] = policy
    return policy


def _error(value: Any) -> TaskError:
    return TaskError(value["code"], value["message"], value["retryable"], value["retry_after_s"])


def _object(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise ValueError("not an object")
    return cast(dict[str, Any], value)


def _name(place: int) -> str:
    return f"row {seq_of(place)} of workflow number {number_of(place)}"
