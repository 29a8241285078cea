"""How the end of one task reaches the others, and how a wish that touches many is worked off: in bounded slices.

The worklist is never stored: after a crash `rebuild` derives what is left of it from the rows. Nothing is recursive.

- completed(seq): it and all below it succeeded. Its dependents lose an open need; its parent an open child.
- broke(seq): it, or something below it, did not succeed. Its dependents are skipped; its ancestors break too.
- cancel(seq …): every task from seq on that is not running is cancelled.
"""

from __future__ import annotations

from collections import deque

from .commands import CancelAttempt, ContinueLater, RequestSlot, WithdrawRequests
from .records import TaskStatus
from .state import TaskState, WorkflowState

SLICE = 1_000

_COMPLETED, _BROKE, _CANCEL = "completed", "broke", "cancel"


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

    def again_broken(self, task: TaskState) -> None:
        """Some of its dependents were not reached before a crash."""
        self._work.append((_BROKE, task.row.seq, 0))

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
        elif dependent.status is TaskStatus.BLOCKED:
            self._state.set_status(dependent, TaskStatus.SKIPPED)
            self._state.record(at, "task.skipped", dependent, because=cause.row.id)
            self.broke(dependent)

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
