"""The machine of one workflow: facts in, changed rows and commands out.

    blocked ──► ready ──► running ──► succeeded | failed | cancelled
       │          ▲ ▲        │ │ └──► unknown ──(resolve)──► succeeded | failed | ready
       │          │ └────────┘ └────► waiting ──┐ (a retry's delay)
       ▼          └──────────────────────────────┘
    skipped | cancelled

It is total: a late or repeated fact changes nothing. An impossible one is a bug: it raises, and the driver sets this
workflow aside, never the daemon. It owns its state and changes it in place; if a commit fails it is thrown away and
rebuilt. No clock, no randomness, no I/O: times, ids and random fractions come inside the facts.
"""

from __future__ import annotations

from dataclasses import replace

from . import events
from .commands import Command, ReleaseSlot, SetTimer, StartAttempt
from .expansion import expand
from .propagation import Propagation
from .records import AttemptChange, AttemptStatus, TaskError, TaskStatus, WorkflowStatus
from .retry import delay_s, never_delay_s
from .state import TaskState, WorkflowState

LOST_MAX = 10  # a repeatable task is run again after an unseen end this often; then a person decides
UNKNOWN_NAMED_MAX = 100


class Machine:
    def __init__(self, state: WorkflowState, propagation: Propagation) -> None:
        self.state = state
        self._propagation = propagation
        # Only spares the feed a repetition: after a restart it is empty, and one line may come twice.
        self._announced: dict[int, set[tuple[str, str]]] = {}

    @property
    def ended(self) -> bool:
        return self.state.row.ended_at is not None

    @property
    def slices_pending(self) -> bool:
        return self._propagation.pending

    def apply(self, event: events.Event) -> list[Command]:
        """Take one fact in; the commands are in the order of their wishes."""
        match event:
            case events.SlotGranted():
                self._granted(event)
            case events.AttemptEnded():
                self._attempt_ended(event)
            case events.AttemptNeverStarted():
                self._never_started(event)
            case events.AttemptLost():
                self._lost(event)
            case events.AttemptReported():
                self._reported(event)
            case events.DelayEnded():
                self._delay_ended(event)
            case events.CancelRequested():
                self._cancel_requested(event)
            case events.TaskResolved():
                self._resolved(event)
            case events.SliceDue():
                pass  # the slice itself follows
        self._propagation.advance(event.at)
        self._end_if_done(event.at)
        commands, self.state.commands = self.state.commands, []
        return commands

    # --- facts -------------------------------------------------------------------------------------------------------

    def _granted(self, event: events.SlotGranted) -> None:
        task = self.state.task(event.seq)
        if task.status is not TaskStatus.READY or self.state.row.cancel_requested:
            self.state.command(ReleaseSlot(event.seq))
            return
        if self.state.row.started_at is None:
            self.state.set_workflow(status=WorkflowStatus.RUNNING, started_at=event.at)
            self.state.record(event.at, "workflow.started")
        task.attempt += 1
        task.counted += 1
        self.state.set_status(task, TaskStatus.RUNNING)
        attempt = AttemptChange(event.seq, task.attempt, AttemptStatus.RUNNING, started_at=event.at)
        self.state.running[event.seq] = attempt
        self.state.set_attempt(attempt)
        self.state.record(event.at, "task.started", task, attempt=task.attempt, operation=task.row.operation)
        self.state.command(StartAttempt(event.seq, task.attempt))

    def _attempt_ended(self, event: events.AttemptEnded) -> None:
        task = self._close(event.seq, event.number)
        if task is None:
            return
        outcome = event.outcome
        for resource in outcome.resources:
            self._created(event.at, task, event.number, resource)
        error = outcome.error
        if error is None and not outcome.cancelled and event.expansion:
            error = expand(self.state, task, event.expansion, event.at)
        if error is not None:
            self._end_attempt(task, event, AttemptStatus.FAILED, error)
            self._failed(task, error, event)
        elif outcome.cancelled:
            self._end_attempt(task, event, AttemptStatus.CANCELLED, None)
            self.state.set_status(task, TaskStatus.CANCELLED)
            self.state.record(event.at, "task.cancelled", task, attempt=event.number)
            self._propagation.broke(task)
        else:
            self._end_attempt(task, event, AttemptStatus.SUCCEEDED, None)
            self._succeeded(task, event)

    def _never_started(self, event: events.AttemptNeverStarted) -> None:
        task = self._close(event.seq, event.number)
        if task is None:
            return
        self._set_attempt_end(task, event.at, AttemptStatus.NEVER_STARTED, event.reason)
        task.counted -= 1
        task.never += 1
        self.state.record(event.at, "task.requeued", task, attempt=event.number, reason=event.reason)
        self._again(task, event.at, never_delay_s(task.never))

    def _lost(self, event: events.AttemptLost) -> None:
        task = self._close(event.seq, event.number)
        if task is None:
            return
        self._set_attempt_end(task, event.at, AttemptStatus.UNKNOWN, event.reason)
        task.lost += 1
        task.never = 0  # it did start
        if task.row.repeatable and task.lost <= LOST_MAX and not self.state.row.cancel_requested:
            self.state.record(event.at, "task.requeued", task, attempt=event.number, reason=event.reason)
            self._again(task, event.at, 0.0)
            return
        self.state.set_status(task, TaskStatus.UNKNOWN)
        self.state.record(event.at, "task.unknown", task, attempt=event.number, reason=event.reason)

    def _reported(self, event: events.AttemptReported) -> None:
        attempt = self.state.running.get(event.seq)
        if attempt is None or attempt.number != event.number or event.offset != attempt.reports_offset:
            return
        attempt = replace(attempt, reports_offset=event.next_offset)
        self.state.running[event.seq] = attempt
        self.state.set_attempt(attempt)
        task = self.state.task(event.seq)
        for report in event.records:
            kind = report.get("type")
            if kind == "resource.created":
                self._created(event.at, task, event.number, report)
            elif kind == "progress":
                self.state.record(event.at, "task.progress", task, attempt=event.number, **_plain(report))
            else:
                self.state.record(event.at, "task.reported", task, attempt=event.number, report=report)

    def _created(self, at: int, task: TaskState, number: int, resource: dict[str, object]) -> None:
        """Record it once, though an operation may announce it at once and name it in its result again."""
        announced = self._announced.setdefault(task.row.seq, set())
        name = (str(resource.get("kind")), str(resource.get("id")))
        if name not in announced:
            announced.add(name)
            self.state.record(at, "resource.created", task, attempt=number, **_plain(resource))

    def _delay_ended(self, event: events.DelayEnded) -> None:
        task = self.state.task(event.seq)
        if task.status is TaskStatus.WAITING and task.due_at is not None and event.at >= task.due_at:
            self._propagation.make_ready(task)

    def _cancel_requested(self, event: events.CancelRequested) -> None:
        if self.ended or self.state.row.cancel_requested:
            return
        self.state.set_workflow(cancel_requested=True)
        self.state.record(event.at, "workflow.cancelling")
        self._propagation.cancel_all()

    def _resolved(self, event: events.TaskResolved) -> None:
        task = self.state.task(event.seq)
        if task.status is not TaskStatus.UNKNOWN:
            return
        if event.resolution == "retry" and self.state.row.cancel_requested:
            return  # nothing starts any more
        self.state.record(event.at, "task.resolved", task, **{"as": event.resolution})
        if event.resolution == "succeeded":
            self.state.set_status(task, TaskStatus.SUCCEEDED)
            self._propagation.completed(task)
        elif event.resolution == "failed":
            task.error = TaskError("resolved", "a person decided that it failed", retryable=False)
            self.state.set_status(task, TaskStatus.FAILED)
            self._propagation.broke(task)
        else:
            task.lost = 0
            self._propagation.make_ready(task)

    # --- what follows from them --------------------------------------------------------------------------------------

    def _close(self, seq: int, number: int) -> TaskState | None:
        """The task, if this is its running attempt; its slot is free from now on. None: a late or repeated fact."""
        task = self.state.task(seq)
        if task.status is not TaskStatus.RUNNING or task.attempt != number:
            return None
        self.state.command(ReleaseSlot(seq))
        return task

    def _end_attempt(
        self, task: TaskState, event: events.AttemptEnded, status: AttemptStatus, error: TaskError | None
    ) -> None:
        outcome = event.outcome
        ended_at = event.at if event.ended_at is None else event.ended_at
        # Two clocks, or one that was set: no attempt ends before it started, or after that is known.
        ended_at = max(self.state.running[task.row.seq].started_at, min(ended_at, event.at))
        self._set_attempt_end(task, ended_at, status, outcome.note, outcome.exit_code, outcome.signal, error)
        task.never = 0

    def _set_attempt_end(
        self,
        task: TaskState,
        at: int,
        status: AttemptStatus,
        note: str | None,
        exit_code: int | None = None,
        signal: int | None = None,
        error: TaskError | None = None,
    ) -> None:
        attempt = self.state.running.pop(task.row.seq)
        self._announced.pop(task.row.seq, None)
        self.state.set_attempt(
            replace(attempt, status=status, ended_at=at, exit_code=exit_code, signal=signal, error=error, note=note)
        )

    def _succeeded(self, task: TaskState, event: events.AttemptEnded) -> None:
        outcome = event.outcome
        task.flagged = outcome.flagged
        task.error = None
        if outcome.result is not None:
            self.state.set_result(task.row.seq, outcome.result)
        self.state.set_status(task, TaskStatus.SUCCEEDED)
        extra = ({"partial": True} if outcome.flagged else {}) | ({"added": task.expanded} if task.expanded else {})
        self.state.record(event.at, "task.succeeded", task, attempt=event.number, **extra)
        if task.open_children == 0:
            self._propagation.completed(task)
        elif self.state.row.cancel_requested:
            self._propagation.cancel_all()  # what it has just added

    def _failed(self, task: TaskState, error: TaskError, event: events.AttemptEnded) -> None:
        policy = task.row.retry
        if error.retryable and task.counted < policy.attempts_max and not self.state.row.cancel_requested:
            delay = delay_s(policy, task.counted, event.fraction, error.retry_after_s)
            due_at = self._again(task, event.at, delay)
            self.state.record(
                event.at,
                "task.retrying",
                task,
                attempt=event.number,
                attempts_max=policy.attempts_max,
                code=error.code,
                message=error.message,
                delay_s=round(delay, 3),
                due_at=due_at,
            )
            return
        task.error = error
        self.state.set_status(task, TaskStatus.FAILED)
        self.state.record(event.at, "task.failed", task, attempt=event.number, code=error.code, message=error.message)
        self._propagation.broke(task)

    def _again(self, task: TaskState, at: int, delay: float) -> int:
        """Attempt it again after the delay, in seconds; returns when."""
        due_at = at + round(delay * 1_000_000)
        if self.state.row.cancel_requested:
            self.state.set_status(task, TaskStatus.CANCELLED)
            self.state.record(at, "task.cancelled", task)
            self._propagation.broke(task)
        elif delay <= 0:
            self._propagation.make_ready(task)
        else:
            self.state.set_status(task, TaskStatus.WAITING)
            task.due_at = due_at
            self.state.command(SetTimer(task.row.seq, due_at))
        return due_at

    def _end_if_done(self, at: int) -> None:
        state, counts = self.state, self.state.status_counts
        if self.ended or self._propagation.pending:
            return
        unknown = counts[TaskStatus.UNKNOWN]
        if state.open_count > (unknown if state.row.cancel_requested else 0):
            return
        if state.row.cancel_requested and (unknown or counts[TaskStatus.CANCELLED]):
            status = WorkflowStatus.CANCELLED
        elif counts[TaskStatus.SUCCEEDED] == len(state.tasks) - 1:
            status = WorkflowStatus.SUCCEEDED
        else:
            status = WorkflowStatus.FAILED
        state.set_workflow(status=status, ended_at=at, started_at=state.row.started_at)
        listed = [task.row.id for task in state.all_tasks() if task.status is TaskStatus.UNKNOWN] if unknown else []
        extra = {"unknown": listed[:UNKNOWN_NAMED_MAX]} if listed else {}
        counted = {status.value: count for status, count in counts.items() if count}
        state.record(at, f"workflow.{status.value}", None, counts=counted, **extra)


def _plain(report: dict[str, object]) -> dict[str, object]:
    """An operation's report without the names that the feed uses itself."""
    return {name: value for name, value in report.items() if name not in ("type", "attempt", "at", "task", "self")}
