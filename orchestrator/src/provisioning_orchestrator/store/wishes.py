"""What callers ask the writer thread for. answer: a future of the event loop, answered after the commit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from provisioning_orchestrator.ports import Idempotency
from provisioning_orchestrator.workflow.records import Changes, EventRecord, NewTask, WorkflowRow

Answer = asyncio.Future[Any]


@dataclass(eq=False, slots=True)
class Append:
    workflow: str
    expected_sequence: int
    changes: Changes
    answer: Answer


@dataclass(eq=False, slots=True)
class Submit:
    """number: given when it is first looked at. written: tasks that committed slices hold.

    waiters: later submissions with the same key; they get this one's answer.
    """

    row: WorkflowRow
    tasks: Sequence[NewTask]
    events: Sequence[EventRecord]
    idempotency: Idempotency | None
    answer: Answer
    number: int = 0
    written: int = 0
    waiters: list[Answer] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, str, str] | None:
        i = self.idempotency
        return None if i is None else (i.token, i.route, i.key)


@dataclass(eq=False, slots=True)
class Quarantine:
    workflow: str
    reason: str
    answer: Answer


@dataclass(eq=False, slots=True)
class Reign:
    answer: Answer


@dataclass(eq=False, slots=True)
class Stop:
    answer: Answer


Wish = Append | Submit | Quarantine | Reign
