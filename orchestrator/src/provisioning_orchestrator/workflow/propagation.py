"""How the end of one task reaches the others, and how a wish that touches many is worked off: in bounded slices.

The worklist is never stored: after a crash `rebuild` derives what is left of it from the rows. Nothing is recursive.

- completed(seq): it and all below it succeeded. Its dependents lose an open need; its parent an open child.
- broke(seq): it, or something below it, did not succeed. Its dependents are skipped; its ancestors break too.
- cancel(seq …): every task from seq on that is not running is cancelled.
- resume(seq): a restart found that a cancel, a broken need or nothing at all keeps this task from staying as it is.
"""

from __future__ import annotations

from collections import deque

from .commands import CancelAttempt, ContinueLater, RequestSlot, WithdrawRequests
from .records import TaskStatus
from .state import TaskState, WorkflowState

SLICE = 1_000

_COMPLETED, _BROKE, _CANCEL, _RESUME = "completed", "broke", "cancel", "resume"


class Propagation:
    def __init__(self, state: WorkflowState) -> None:
        self._state = state
        self._work: deque[tuple[str, int, int]] = deque()  # what, seq, cursor

    @property
    def pending(self) -> bool:
        return bool(self._work)

    def completed(self, task: TaskState) -> None:
        task.complete = True
        self._work.append((_COMPLETED, task.row.seq, 0))

    def broke(self, task: TaskState) -> None:
        if not task.broken:
            task.broken = True
            self._work.append((_BROKE, task.row.seq, 0))

    def resume(self, task: TaskState) -> None:
        """It may not have been reached before a crash. One by one, so that a restart never starts a sweep again."""
        self._work.append((_RESUME, task.row.seq, 0))

    def cancel_all(self) -> None:
        self._state.command(WithdrawRequests())
        self._work.append((_CANCEL, 1, 0))

    def advance(self, at: int) -> None:
        """Work off one slice; asks to be continued where more is left."""
        budget = SLICE
        while self._work and budget > 0:
            what, seq, cursor = self._work.popleft()
            budget -= 1
            if what == _CANCEL:
                end = min(seq + budget, len(self._state.tasks))
                for each in range(seq, end):
                    self._cancel_visit(self._state.task(each), at)
                budget -= end - seq
                if end < len(self._state.tasks):
                    self._work.appendleft((what, end, 0))
                continue
            task = self._state.task(seq)
            if what == _RESUME:
                self._resume(task, at)
                continue
            end = min(cursor + budget, len(task.dependents))
            for dependent in task.dependents[cursor:end]:
                self._reach(what, task, self._state.task(dependent), at)
            budget -= end - cursor
            if end < len(task.dependents):
                self._work.appendleft((what, seq, end))
            elif task.row.parent:
                self._climb(what, self._state.task(task.row.parent))
        if self._work:
            self._state.command(ContinueLater())

    def make_ready(self, task: TaskState) -> None:
        self._state.set_status(task, TaskStatus.READY)
        self._state.command(RequestSlot(task.row.seq))

    def _reach(self, what: str, cause: TaskState, dependent: TaskState, at: int) -> None:
        if what == _COMPLETED:
            dependent.open_needs -= 1
            if dependent.open_needs == 0 and dependent.status is TaskStatus.BLOCKED:
                if self._state.row.cancel_requested:
                    self._cancel(dependent, at)
                else:
                    self.make_ready(dependent)
        else:
            self._skip(dependent, cause, at)

    def _resume(self, task: TaskState, at: int) -> None:
        if self._state.row.cancel_requested:
            self._cancel_visit(task, at)
        elif (cause := self.broken_need(task)) is not None:
            self._skip(task, cause, at)
        elif task.status is TaskStatus.BLOCKED and task.open_needs == 0:
            self.make_ready(task)

    def broken_need(self, task: TaskState) -> TaskState | None:
        needs = (self._state.task(need) for need in task.row.needs)
        return next((need for need in needs if need.broken), None)

    def _skip(self, task: TaskState, cause: TaskState, at: int) -> None:
        if task.status is TaskStatus.BLOCKED:
            self._state.set_status(task, TaskStatus.SKIPPED)
            self._state.record(at, "task.skipped", task, because=cause.row.id)
            self.broke(task)

    def _climb(self, what: str, parent: TaskState) -> None:
        if what == _BROKE:
            self.broke(parent)
            return
        parent.open_children -= 1
        if parent.open_children == 0 and parent.status is TaskStatus.SUCCEEDED and not parent.broken:
            self.completed(parent)

    def _cancel_visit(self, task: TaskState, at: int) -> None:
        if task.status in (TaskStatus.BLOCKED, TaskStatus.READY, TaskStatus.WAITING):
            self._cancel(task, at)
        elif task.status is TaskStatus.RUNNING:
            self._state.command(CancelAttempt(task.row.seq, task.attempt))

    def _cancel(self, task: TaskState, at: int) -> None:
        self._state.set_status(task, TaskStatus.CANCELLED)
        self._state.record(at, "task.cancelled", task)
        self.broke(task)
