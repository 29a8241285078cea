"""The picture of a workflow that its events draw: what a live view, a plain line and a summary are read from.

Total: an unknown event type, a missing field, a task that nobody announced change as much as can be told, and no more.
Each event costs constant time; nothing here is recursive, and a workflow may have 100,000 tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .times import instant

QUEUED, RUNNING, WAITING = "queued", "running", "waiting"
SUCCEEDED, FAILED, CANCELLED, SKIPPED, UNKNOWN = "succeeded", "failed", "cancelled", "skipped", "unknown"
ROOT = "root"
ENDED = frozenset({SUCCEEDED, FAILED, CANCELLED, SKIPPED})
RESOURCES_KEPT_MAX = 10_000


@dataclass(slots=True)
class TaskLine:
    """What is known of one task. number: order of appearance. above: the task it is drawn under, None for the top.

    message: its last word of progress, or why it failed, waits or was skipped. due_at: when its next attempt starts.
    """

    id: str
    number: int
    operation: str = ""
    key: str | None = None
    above: str | None = None
    status: str = QUEUED
    attempt: int = 0
    attempts_max: int | None = None
    started_at: float | None = None
    ended_at: float | None = None
    message: str = ""
    percent: float | None = None
    due_at: float | None = None
    code: str = ""
    hint: str = ""
    partial: bool = False

    @property
    def label(self) -> str:
        """`server web-1` where the key tells which thing it is about, else the id.

        `root`, the only task of a workflow that was asked for by its operation, is called by that operation.
        """
        parts = (self.key or "").split("/")
        if len(parts) >= 4 and parts[-1]:
            return f"{parts[-2]} {parts[-1]}"
        return self.operation if self.id == ROOT and self.operation else self.id


@dataclass(slots=True)
class Picture:
    workflow: str
    name: str = ""
    status: str = QUEUED
    started_at: float | None = None
    ended_at: float | None = None
    sequence: int = 0
    tasks: dict[str, TaskLine] = field(default_factory=dict)
    by_status: dict[str, dict[str, None]] = field(default_factory=dict)  # ordered sets of task ids
    announced: int = 0
    retries: int = 0
    told_before: bool = False  # the last event said nothing that an earlier one had not said
    unknown: list[str] = field(default_factory=list)
    resources: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)  # by kind and id

    # --- what is known without events --------------------------------------------------------------------------------

    def learn(self, task: Mapping[str, Any], parent: str | None = None) -> TaskLine | None:
        """A task as the API or an expansion describes it: its place and its name, not its state."""
        id_ = task.get("id")
        if not isinstance(id_, str):
            return None
        line = self._line(id_)
        line.operation = str(task.get("operation") or line.operation)
        key = task.get("key")
        line.key = key if isinstance(key, str) else line.key
        needs = task.get("needs")
        known = [need for need in needs if isinstance(need, str)] if isinstance(needs, list) else []
        parent = parent or (task["parent"] if isinstance(task.get("parent"), str) else None)
        # Of several needed tasks the last one is where it is drawn: a definition names the nearest last.
        line.above = known[-1] if known else (parent or line.above)
        if line.above == id_:
            line.above = None
        return line

    @property
    def total(self) -> int:
        return max(self.announced, len(self.tasks))

    def count(self, *statuses: str) -> int:
        return sum(len(self.by_status.get(status, ())) for status in statuses)

    @property
    def ended(self) -> bool:
        return self.status in (SUCCEEDED, FAILED, CANCELLED)

    def lines(self, status: str) -> list[TaskLine]:
        return [self.tasks[id_] for id_ in self.by_status.get(status, ())]

    # --- what the events say -----------------------------------------------------------------------------------------

    def apply(self, type_: str, task: str | None, data: Mapping[str, Any], at: object, sequence: int = 0) -> None:
        self.sequence = max(self.sequence, sequence)
        self.told_before = False
        when = instant(at)
        subject, _, fact = type_.partition(".")
        if subject == "workflow":
            self._workflow(fact, data, when)
        elif type_ == "tasks.added":
            self._added(data, task)
        elif type_ == "resource.created":
            self._resource(task, data)
        elif subject == "task" and task is not None:
            self._task(fact, self._line(task), data, when)

    def _workflow(self, fact: str, data: Mapping[str, Any], when: float | None) -> None:
        if fact == "submitted":
            self.name = str(data.get("name") or self.name)
            tasks = data.get("tasks")
            if isinstance(tasks, int):
                self.announced += tasks
            elif isinstance(tasks, list):
                total = data.get("total")
                self.announced += total if isinstance(total, int) else len(tasks)
                for task in tasks:
                    if isinstance(task, Mapping):
                        self.learn(task)
        elif fact == "started":
            self.status, self.started_at = RUNNING, when
        elif fact == "cancelling":
            self.status = "cancelling"
        elif fact in (SUCCEEDED, FAILED, CANCELLED):
            self.status, self.ended_at = fact, when
            unknown = data.get("unknown")
            self.unknown = [str(id_) for id_ in unknown] if isinstance(unknown, list) else []

    def _added(self, data: Mapping[str, Any], task: str | None) -> None:
        parent = data.get("parent") or task
        listed = data.get("tasks")
        listed = listed if isinstance(listed, list) else []
        total = data.get("total")
        self.announced += total if isinstance(total, int) else len(listed)
        for added in listed:
            if isinstance(added, Mapping):
                self.learn(added, parent if isinstance(parent, str) else None)

    def _resource(self, task: str | None, data: Mapping[str, Any]) -> None:
        # An operation reports a resource as soon as it exists, and its result names it again.
        identity = (str(data.get("kind")), str(data.get("id")))
        self.told_before = identity in self.resources
        if self.told_before or len(self.resources) < RESOURCES_KEPT_MAX:
            self.resources[identity] = {**self.resources.get(identity, {}), **data, "task": task}

    def _task(self, fact: str, line: TaskLine, data: Mapping[str, Any], when: float | None) -> None:
        if fact == "progress":
            line.message = str(data.get("message") or line.message)
            percent = data.get("percent")
            line.percent = float(percent) if isinstance(percent, int | float) else line.percent
            return
        if fact == "started":
            line.attempt = _number(data.get("attempt"), line.attempt + 1)
            line.attempts_max = _number(data.get("attempts_max"), line.attempts_max or 0) or None
            line.operation = str(data.get("operation") or line.operation)
            line.started_at = line.started_at if line.started_at is not None else when
            line.message, line.due_at, line.ended_at = "", None, None
            self.place(line, RUNNING)
        elif fact == "retrying":
            self.retries += 1
            line.attempt = max(_number(data.get("attempt"), line.attempt), line.attempt)
            line.attempts_max = _number(data.get("attempts_max"), line.attempts_max or 0) or None
            line.message, line.code = _reason(data), str(data.get("code") or "")
            line.due_at = instant(data.get("due_at"))
            if line.due_at is None and when is not None and isinstance(data.get("delay_s"), int | float):
                line.due_at = when + float(data["delay_s"])
            self.place(line, WAITING)
        elif fact == "requeued":
            line.message = _reason(data)
            self.place(line, QUEUED)
        elif fact == "resolved":
            self._resolved(line, str(data.get("as") or ""), when)
        elif fact in (SUCCEEDED, FAILED, CANCELLED, SKIPPED, UNKNOWN):
            self._end(line, fact, data, when)

    def _resolved(self, line: TaskLine, as_: str, when: float | None) -> None:
        if as_ in (SUCCEEDED, FAILED):
            line.message, line.ended_at = f"resolved as {as_}", when
            self.place(line, as_)
        else:
            line.message = "resolved: is tried again"
            self.place(line, QUEUED)

    def _end(self, line: TaskLine, status: str, data: Mapping[str, Any], when: float | None) -> None:
        line.ended_at, line.due_at = when, None
        line.attempt = max(_number(data.get("attempt"), 0), line.attempt)
        line.code = str(data.get("code") or "")
        line.hint = str(data.get("hint") or "")
        line.partial = bool(data.get("partial"))
        if status == SKIPPED:
            because = str(data.get("because") or "")
            # It may name a task (then the reader wants its label) or say it in words.
            line.message = f"needs {self.tasks[because].label}" if because in self.tasks else because
        elif status == SUCCEEDED:
            line.message = _reason(data)  # its last progress says nothing any more
        else:
            line.message = _reason(data) or line.message
        self.place(line, status)

    # --- keeping the index -------------------------------------------------------------------------------------------

    def _line(self, id_: str) -> TaskLine:
        line = self.tasks.get(id_)
        if line is None:
            line = self.tasks[id_] = TaskLine(id_, len(self.tasks))
            self.by_status.setdefault(QUEUED, {})[id_] = None
        return line

    def place(self, line: TaskLine, status: str) -> None:
        """Give the task that status."""
        self.by_status.get(line.status, {}).pop(line.id, None)
        line.status = status
        self.by_status.setdefault(status, {})[line.id] = None


def _reason(data: Mapping[str, Any]) -> str:
    for name in ("message", "reason", "code"):
        if data.get(name):
            return str(data[name])
    return ""


def _number(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise
