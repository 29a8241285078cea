"""Faults that are planted into the engine while a simulation runs: each of them is a bug that the ledger must find."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid5

from provisioning_orchestrator.engine import EmbeddedEngine
from provisioning_orchestrator.engine.dispatcher import Dispatcher
from provisioning_orchestrator.ports import Alive, AttemptId, AttemptSpec, NeverStarted, Verdict
from provisioning_orchestrator.workflow import commands, events
from provisioning_orchestrator.workflow.machine import Machine
from provisioning_orchestrator.workflow.records import AttemptStatus, Changes, NewTask, TaskStatus
from provisioning_orchestrator.workflow.state import TaskState

from .fake_dispatch import FakeDispatch

Patch = tuple[type, str, Callable[..., Any]]


@contextlib.contextmanager
def planted(name: str | None) -> Iterator[None]:
    """Plant the fault for a while. None: no fault."""
    if name is None:
        yield
        return
    owner, method, fault = PLANTS[name]
    right = getattr(owner, method)
    setattr(owner, method, fault(right))
    try:
        yield
    finally:
        setattr(owner, method, right)


def _act_before_commit(right: Any) -> Any:
    async def commit(self: EmbeddedEngine, workflow: str, expected: int, changes: Changes) -> None:
        state = self._actors[workflow].machine.state
        for attempt in changes.attempts:
            if attempt.status is AttemptStatus.RUNNING:
                id = AttemptId(workflow, attempt.seq, attempt.number)
                self._dispatcher.start(id, state.row.intent, state.task(attempt.seq).row)
        await right(self, workflow, expected, changes)

    return commit


def _intent_per_attempt(right: Any) -> Any:
    def spec(self: Dispatcher, id: AttemptId, workflow_intent: str, row: NewTask) -> AttemptSpec:
        made: AttemptSpec = right(self, id, workflow_intent, row)
        line = json.loads(made.input)
        line["intent"] = str(uuid5(UUID(line["intent"]), str(id.number)))
        return replace(made, input=json.dumps(line).encode())

    return spec


def _requeue_alive(right: Any) -> Any:
    async def reconcile(self: FakeDispatch, ids: Sequence[AttemptId]) -> dict[AttemptId, Verdict]:
        verdicts: dict[AttemptId, Verdict] = await right(self, ids)
        dead = NeverStarted("nobody knows it any more")
        return {id: dead if isinstance(verdict, Alive) else verdict for id, verdict in verdicts.items()}

    return reconcile


def _stale_number(right: Any) -> Any:
    def close(self: Machine, seq: int, number: int) -> TaskState | None:
        attempt = self.state.task(seq).attempt
        found: TaskState | None = right(self, seq, attempt)
        return found

    return close


def _count_twice(right: Any) -> Any:
    def close(self: Machine, seq: int, number: int) -> TaskState | None:
        found: TaskState | None = right(self, seq, number)
        task = self.state.task(seq)
        if found is None and task.attempt == number and task.status in (TaskStatus.WAITING, TaskStatus.READY):
            task.counted += 1
        return found

    return close


def _rerun_unknown(right: Any) -> Any:
    def lost(self: Machine, event: events.AttemptLost) -> None:
        task = self.state.task(event.seq)
        task.row = replace(task.row, repeatable=True)
        right(self, event)

    return lost


def _forget_slots(right: Any) -> Any:
    def begin_granting(self: EmbeddedEngine) -> None:
        for workflow in list(self.admission._held):
            for seq in list(self.admission._held[workflow]):
                self.admission.release(workflow, seq)
        right(self)

    return begin_granting


def _forget_timers(right: Any) -> Any:
    def take_up(self: EmbeddedEngine, actor: Any, wishes: Sequence[commands.Command]) -> None:
        right(self, actor, [wish for wish in wishes if not isinstance(wish, commands.SetTimer)])

    return take_up


def _report_twice(right: Any) -> Any:
    def reported(self: Machine, event: events.AttemptReported) -> None:
        attempt = self.state.running.get(event.seq)
        right(self, replace(event, offset=attempt.reports_offset) if attempt is not None else event)

    return reported


def _answer_early(right: Any) -> Any:
    async def submit(self: EmbeddedEngine, name: str, tasks: Any, idempotency: Any = None) -> tuple[str, bool]:
        self._spawn(right(self, name, tasks, idempotency))
        return "wf_1", False

    return submit


PLANTS: dict[str, Patch] = {
    "act-before-commit": (EmbeddedEngine, "commit", _act_before_commit),
    "intent-per-attempt": (Dispatcher, "_spec", _intent_per_attempt),
    "requeue-alive": (FakeDispatch, "reconcile", _requeue_alive),
    "stale-number": (Machine, "_close", _stale_number),
    "count-twice": (Machine, "_close", _count_twice),
    "rerun-unknown": (Machine, "_lost", _rerun_unknown),
    "forget-slots": (EmbeddedEngine, "begin_granting", _forget_slots),
    "forget-timers": (EmbeddedEngine, "take_up", _forget_timers),
    "report-twice": (Machine, "_reported", _report_twice),
    "answer-early": (EmbeddedEngine, "submit", _answer_early),
}
"""By name: where it is planted, and what makes the faulty method of the right one."""
