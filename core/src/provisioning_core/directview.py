"""What direct mode tells while it runs, and when it has ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .outcome import Outcome


@dataclass(slots=True, eq=False)
class DirectTask:
    """status: blocked, running, then succeeded, failed or skipped. sound: neither it nor anything below it failed."""

    seq: int
    id: str
    doc: Mapping[str, Any]
    parent: DirectTask | None
    needs: list[DirectTask] = field(default_factory=list)
    status: str = "blocked"
    sound: bool = True
    outcome: Outcome = field(default_factory=Outcome)


class DirectEvent(NamedTuple):
    """type: task.started, task.succeeded, task.skipped; task.failed (data: `log`, its last lines); task.reported (data:
    the operation's event); tasks.added (data: `tasks`)."""

    type: str
    task: DirectTask
    data: Mapping[str, Any]


class DirectOutcome(NamedTuple):
    workflow_id: str
    status: str  # succeeded or failed
    tasks: tuple[DirectTask, ...]  # by sequence
