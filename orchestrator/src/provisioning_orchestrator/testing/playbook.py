"""Playbooks: what a machine is told, and line by line what it changes and wishes.

    book = Playbook(task("a"), task("b", "a"))
    book.slot("a").gives("workflow running", "a running", "start a 1")
    book.ends("a", 1, exit_code=3).gives("release a", "a failed", "b skipped", "workflow failed")

`gives` takes all of the changes and wishes, in any order of changes and wishes but their own: first the wishes about
slots, then statuses of tasks by seq, the workflow's, and at last the wishes that are acted on after the commit. After
every fact the rows are committed and the machine is compared with what its rows say; a machine rebuilt from them must
be the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from provisioning_orchestrator.workflow import commands, events
from provisioning_orchestrator.workflow.birth import at_once, fresh, new_rows
from provisioning_orchestrator.workflow.machine import Machine
from provisioning_orchestrator.workflow.outcome import Interpretation
from provisioning_orchestrator.workflow.records import Changes, EventRecord, TaskError, TaskStatus
from provisioning_orchestrator.workflow.spec import TaskSpec

from .rows import Rows, check_machine, check_rest, drain

SECOND = 1_000_000


def task(id: str, *needs: str, **more: Any) -> TaskSpec:
    return TaskSpec(id, "play", needs=needs, **more)


def born(specs: Sequence[TaskSpec], *, at: int = 0) -> tuple[Machine, list[commands.Command], Rows]:
    """A machine just submitted, its first wishes, and its rows."""
    row, tasks, event = _finish(new_rows("wf_play", "play", "00000000-0000-4000-8000-000000000000", at, specs))
    machine, wishes = at_once(fresh(row, tasks))
    return machine, wishes, Rows(row, tasks, [event])


class Playbook:
    """Time stands at `at` (µs) and moves by `later`. changes: of the last fact."""

    def __init__(self, *tasks: TaskSpec) -> None:
        self.at = 0
        self.machine, self.wishes, self.rows = born(tasks)
        self.changes = Changes()
        self._check()

    # --- facts -------------------------------------------------------------------------------------------------------

    def slot(self, id: str) -> Playbook:
        return self.told(events.SlotGranted(self.seq(id), self.at))

    def ends(
        self, id: str, number: int, *, error: TaskError | None = None, adds: Sequence[TaskSpec] = (), **more: Any
    ) -> Playbook:
        """The attempt ended; exit_code other than 0 is an error that may be retried."""
        if more.get("exit_code") and error is None:
            error = TaskError("exit_code", f"exit {more['exit_code']}")
        fraction = more.pop("fraction", 0.0)
        outcome = Interpretation(error=error, **more)
        return self.told(events.AttemptEnded(self.seq(id), number, self.at, outcome, tuple(adds), fraction))

    def never_started(self, id: str, number: int) -> Playbook:
        return self.told(events.AttemptNeverStarted(self.seq(id), number, self.at, "no room"))

    def lost(self, id: str, number: int) -> Playbook:
        return self.told(events.AttemptLost(self.seq(id), number, self.at, "nobody saw it"))

    def reports(self, id: str, number: int, offset: int, *records: dict[str, Any], size: int = 10) -> Playbook:
        return self.told(events.AttemptReported(self.seq(id), number, self.at, offset, offset + size, records))

    def delay_ended(self, id: str) -> Playbook:
        return self.told(events.DelayEnded(self.seq(id), self.at))

    def cancel(self) -> Playbook:
        return self.told(events.CancelRequested(self.at))

    def resolve(self, id: str, resolution: events.Resolution) -> Playbook:
        return self.told(events.TaskResolved(self.seq(id), self.at, resolution))

    def later(self, seconds: float) -> Playbook:
        self.at += round(seconds * SECOND)
        return self

    def restarted(self) -> Playbook:
        """The daemon died: go on with a machine made of the rows."""
        self.machine, self.wishes = self.rows.rebuild()
        return self.told(events.SliceDue(self.at), keep_wishes=True)

    def told(self, event: events.Event, *, keep_wishes: bool = False) -> Playbook:
        wishes = self.machine.apply(event)
        self.wishes = self.wishes + wishes if keep_wishes else wishes
        expected, self.changes = self.machine.state.take()
        self.rows.commit(expected, self.changes)
        self._check()
        return self

    # --- what follows ------------------------------------------------------------------------------------------------

    def gives(self, *lines: str) -> Playbook:
        assert self.lines() == list(lines)
        return self

    def gives_nothing(self) -> Playbook:
        assert self.lines() == [] and self.changes == Changes()
        return self

    def feeds(self, *lines: str) -> Playbook:
        """The lines of the feed that the last fact added: `task.failed a`."""
        assert [f"{event.type} {event.task or ''}".strip() for event in self.changes.events] == list(lines)
        return self

    def is_at(self, **statuses: str) -> Playbook:
        assert {id: self.status(id) for id in statuses} == statuses
        return self

    def lines(self) -> list[str]:
        slots = [self._wish(wish) for wish in self.wishes if isinstance(wish, _SLOTS)]
        acts = [self._wish(wish) for wish in self.wishes if not isinstance(wish, _SLOTS)]
        tasks = [f"{self.id(change.seq)} {change.status.value}" for change in sorted(self.changes.tasks, key=_seq)]
        row = self.changes.workflow
        return slots + tasks + ([f"workflow {row.status.value}"] if row else []) + acts

    def status(self, id: str) -> str:
        return self.rows.tasks[self.seq(id)].status.value

    @property
    def workflow(self) -> str:
        return self.rows.workflow.status.value

    def event(self, type: str) -> EventRecord:
        """The last one of that type in the feed."""
        return next(event for event in reversed(self.rows.events) if event.type == type)

    def seq(self, id: str) -> int:
        return next(seq for seq, new in self.rows.new.items() if new.id == id)

    def id(self, seq: int) -> str:
        return self.rows.new[seq].id

    # --- checks ------------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        if not self.machine.slices_pending:
            check_machine(self.machine, self.rows)
            check_rest(self.machine, self.rows)
            self._check_rebuilt()

    def _check_rebuilt(self) -> None:
        """A restart here changes nothing, and wishes again for all that is still to be done."""
        other, wishes = self.rows.rebuild()
        wishes += drain(other, self.at)
        _, changes = other.state.take()
        assert changes == Changes(), "a restart decided something"
        check_machine(other, self.rows)
        ready = [seq for seq, task in self.rows.tasks.items() if task.status is TaskStatus.READY]
        assert [wish.seq for wish in wishes if isinstance(wish, commands.RequestSlot)] == ready
        waiting = {seq: t.due_at for seq, t in self.rows.tasks.items() if t.status is TaskStatus.WAITING}
        assert {wish.seq: wish.due_at for wish in wishes if isinstance(wish, commands.SetTimer)} == waiting
        cancelled = [(wish.seq, wish.number) for wish in wishes if isinstance(wish, commands.CancelAttempt)]
        running = [(seq, t.attempt) for seq, t in self.rows.tasks.items() if t.status is TaskStatus.RUNNING]
        assert cancelled == (running if self.rows.workflow.cancel_requested and not other.ended else [])
        assert not any(isinstance(wish, commands.StartAttempt) for wish in wishes), "a restart starts nothing by itself"

    def _wish(self, wish: commands.Command) -> str:
        match wish:
            case commands.RequestSlot(seq):
                return f"request {self.id(seq)}"
            case commands.ReleaseSlot(seq):
                return f"release {self.id(seq)}"
            case commands.WithdrawRequests():
                return "withdraw"
            case commands.StartAttempt(seq, number):
                return f"start {self.id(seq)} {number}"
            case commands.CancelAttempt(seq, number):
                return f"cancel {self.id(seq)} {number}"
            case commands.SetTimer(seq, due_at):
                return f"timer {self.id(seq)} {(due_at - self.at) / SECOND:g}s"
            case commands.ContinueLater():
                return "continue"


_SLOTS = (commands.RequestSlot, commands.ReleaseSlot, commands.WithdrawRequests)


def _seq(change: Any) -> int:
    return int(change.seq)


def _finish(work: Any) -> Any:
    while True:
        try:
            next(work)
        except StopIteration as done:
            return done.value


def with_status(machine: Machine, status: TaskStatus) -> list[int]:
    return [each.row.seq for each in machine.state.all_tasks() if each.status is status]
