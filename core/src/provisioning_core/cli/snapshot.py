"""The picture of a workflow as it is now, from what the API says of its tasks: without reading its history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..render.picture import QUEUED, Picture
from ..render.times import between, instant
from .session import Session

_STATUS = {"blocked": QUEUED, "ready": QUEUED}


def snapshot(session: Session, workflow: str, limit: int) -> tuple[Picture, dict[str, Any], list[dict[str, Any]]]:
    """The picture, the workflow's row, and its first tasks; what needs a person's eye is among them in any case."""
    row = session.orchestrator.workflow(workflow)
    tasks = list(session.orchestrator.tasks(workflow, limit=limit))
    picture = Picture(workflow, name=str(row.get("name") or ""))
    counts: Mapping[str, int] = row.get("tasks") or {}
    picture.announced = sum(counts.values())
    if picture.announced > len(tasks):
        seen = {task["id"] for task in tasks}
        for status in ("failed", "unknown"):
            if counts.get(status):
                more = session.orchestrator.tasks(workflow, status=status, limit=limit)
                tasks += [task for task in more if task["id"] not in seen]
    for task in tasks:
        _enter(picture, task)
    for record in session.orchestrator.events(workflow) if row.get("status") in ("failed", "cancelled") else ():
        if record.get("type") == "resource.created":
            picture.apply("resource.created", record.get("task"), record.get("data") or {}, record.get("at"))
    picture.status = str(row.get("status") or QUEUED)
    picture.started_at, picture.ended_at = instant(row.get("started_at")), instant(row.get("ended_at"))
    picture.unknown = [line.id for line in picture.lines("unknown")]
    return picture, row, tasks


def task_row(task: Mapping[str, Any], picture: Picture) -> tuple[str, ...]:
    """TASK, STATUS, ATTEMPTS, TOOK, WHAT of a table."""
    attempts = task.get("attempts") or []
    started = attempts[0].get("started_at") if attempts else None
    ended = attempts[-1].get("ended_at") if attempts else None
    error = task.get("error") or {}
    line = picture.tasks.get(str(task["id"]))
    what = f"{error.get('code')}: {error.get('message')}" if error else (line.label if line and line.key else "")
    if not error and task.get("waits_for"):
        what = f"{what}; {_waiting(task)}".removeprefix("; ")
    return (str(task["id"]), str(task.get("status")), str(len(attempts) or ""), between(started, ended), what)


def _waiting(task: Mapping[str, Any]) -> str:
    return f"waits for {task['waits_for']}"


def _enter(picture: Picture, task: Mapping[str, Any]) -> None:
    line = picture.learn(task)
    if line is None:
        return
    status = str(task.get("status"))
    attempts = task.get("attempts") or []
    if attempts:
        line.attempt = int(attempts[-1].get("number") or len(attempts))
        line.started_at = instant(attempts[0].get("started_at"))
        line.ended_at = instant(attempts[-1].get("ended_at"))
    error = task.get("error")
    if isinstance(error, Mapping):
        line.code, line.message = str(error.get("code") or ""), str(error.get("message") or "")
        line.hint = str(error.get("hint") or "")
    elif task.get("waits_for"):
        line.message = _waiting(task)
    picture.place(line, _STATUS.get(status, status))
