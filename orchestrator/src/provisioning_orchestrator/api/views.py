"""Rows → what the API shows."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from ..ports import TaskView, WorkflowView
from ..workflow.records import AttemptChange, EventRecord, TaskError
from . import schemas

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_encode = msgspec.json.Encoder().encode
_NULL = msgspec.Raw(b"null")


def as_json(value: dict[str, Any]) -> msgspec.Raw:
    """What an operation reported, encoded: it may hold what our encoder refuses (2⁶⁴ and more, halves of pairs)."""
    try:
        return msgspec.Raw(_encode(value))
    except (ValueError, OverflowError, RecursionError):
        pass
    try:
        return msgspec.Raw(json.dumps(value, ensure_ascii=True, allow_nan=False).encode())
    except (ValueError, RecursionError):
        return msgspec.Raw(_encode({"unreadable": "it can't be written as JSON"}))


def time(at: int) -> str:
    """Microseconds since 1970 UTC → RFC 3339 with six decimals and Z."""
    return (_EPOCH + timedelta(microseconds=at)).isoformat(timespec="microseconds")[:-6] + "Z"


def time_or_none(at: int | None) -> str | None:
    return None if at is None else time(at)


def workflow(view: WorkflowView) -> schemas.Workflow:
    row = view.row
    return schemas.Workflow(
        workflow_id=row.id,
        name=row.name,
        status=row.status.value,
        created_at=time(row.created_at),
        started_at=time_or_none(row.started_at),
        ended_at=time_or_none(row.ended_at),
        tasks=view.counts,
        tasks_total=row.tasks_total,
        cancel_requested=row.cancel_requested,
        quarantined=view.quarantined,
        sequence=row.sequence,
        parent=schemas.Parent(row.parent.workflow, row.parent.task) if row.parent else None,
    )


def task(view: TaskView, waits_for: str | None = None) -> schemas.TaskState:
    new, state = view.task, view.state
    return schemas.TaskState(
        id=new.id,
        workflow_id=view.workflow,
        operation=new.operation,
        status=state.status.value,
        needs=list(view.needs),
        key=new.key,
        repeatable=new.repeatable,
        timeout_s=new.timeout_s,
        depth=new.depth,
        attempts=[attempt(one) for one in view.attempts],
        result=_NULL if view.result is None else msgspec.Raw(view.result),
        error=error(state.error),
        partial=state.flagged,
        due_at=time_or_none(state.due_at),
        expanded=state.expanded,
        resources=[as_json(resource) for resource in view.resources],
        waits_for=waits_for,
    )


def attempt(row: AttemptChange) -> schemas.Attempt:
    return schemas.Attempt(
        number=row.number,
        status=row.status.value,
        started_at=time(row.started_at),
        ended_at=time_or_none(row.ended_at),
        exit_code=row.exit_code,
        signal=row.signal,
        error=error(row.error),
        note=row.note,
    )


def error(found: TaskError | None) -> schemas.Error | None:
    if found is None:
        return None
    return schemas.Error(found.code, found.message, found.retryable, found.retry_after_s)


def event(record: EventRecord) -> schemas.Event:
    data = record.data
    if record.type == "task.retrying" and type(data.get("due_at")) is int:
        data = {**data, "due_at": time(data["due_at"])}
    return schemas.Event(record.sequence, time(record.at), record.type, record.task, as_json(data))
