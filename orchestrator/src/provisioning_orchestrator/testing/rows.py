"""A keeper of one workflow's rows, and what a machine must be by them: the reference that machines are compared with.

The open counts and flags are computed here the naive way, by their definitions, from the rows alone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from provisioning_orchestrator.workflow.birth import at_once, initial_change, rebuilt
from provisioning_orchestrator.workflow.commands import Command
from provisioning_orchestrator.workflow.events import SliceDue
from provisioning_orchestrator.workflow.machine import Machine
from provisioning_orchestrator.workflow.records import (
    TASK_ENDED,
    AttemptChange,
    Changes,
    EventRecord,
    NewTask,
    Snapshot,
    TaskStatus,
    WorkflowRow,
)

BROKEN = frozenset({TaskStatus.FAILED, TaskStatus.SKIPPED, TaskStatus.CANCELLED})


class Rows:
    """The rows of one workflow, as a store keeps them."""

    def __init__(self, row: WorkflowRow, tasks: list[NewTask], events: list[EventRecord]) -> None:
        self.workflow = row
        self.new = {task.seq: task for task in tasks}
        self.tasks = {task.seq: initial_change(task) for task in tasks}
        self.attempts: dict[tuple[int, int], AttemptChange] = {}
        self.results: dict[int, bytes] = {}
        self.events = list(events)

    def commit(self, expected: int, changes: Changes) -> None:
        """Apply the changes; asserts what a store would refuse."""
        assert self.workflow.sequence == expected, f"expected sequence {expected}, it is {self.workflow.sequence}"
        for sequence, event in enumerate(changes.events, expected + 1):
            assert event.sequence == sequence, f"{event.type} has sequence {event.sequence}, {sequence} is next"
        self.workflow = replace(changes.workflow or self.workflow, sequence=expected + len(changes.events))
        for task in changes.added:
            assert task.seq == len(self.new) + 1, f"seq {task.seq} leaves a gap"
            self.new[task.seq] = task
            self.tasks[task.seq] = initial_change(task)
        for change in changes.tasks:
            assert change.seq in self.new
            self.tasks[change.seq] = change
        for attempt in changes.attempts:
            self.attempts[attempt.seq, attempt.number] = attempt
        self.results.update(changes.results)
        self.events.extend(changes.events)

    def snapshot(self) -> Snapshot:
        running = [self.attempts[seq, t.attempt] for seq, t in self.tasks.items() if t.status is TaskStatus.RUNNING]
        return Snapshot(self.workflow, tuple((self.new[seq], self.tasks[seq]) for seq in self.new), tuple(running))

    def rebuild(self) -> tuple[Machine, list[Command]]:
        """The machine that a restart makes of these rows, and its first wishes."""
        return at_once(rebuilt(self.snapshot()))

    def children(self, seq: int) -> list[int]:
        return [other for other, task in self.new.items() if task.parent == seq]


def check_machine(machine: Machine, rows: Rows) -> None:
    """Assert that a machine without pending slices is what its rows say, to the last count."""
    state = machine.state
    assert state.row == rows.workflow
    assert len(state.tasks) - 1 == len(rows.new) == rows.workflow.tasks_total
    assert state.open_count == sum(task.status not in TASK_ENDED for task in rows.tasks.values())
    counted = Counter(task.status for task in rows.tasks.values())
    assert {status: count for status, count in state.status_counts.items() if count} == dict(counted)
    assert state.running == {attempt.seq: attempt for attempt in rows.snapshot().attempts}
    complete, broken = _subtrees(rows)
    for task in state.all_tasks():
        seq = task.row.seq
        assert (task.row, task.change()) == (rows.new[seq], rows.tasks[seq])
        assert (task.complete, task.broken) == (complete[seq], broken[seq]), f"flags of {task.row.id}"
        assert task.open_needs == sum(not complete[need] for need in task.row.needs), f"open needs of {task.row.id}"
        assert task.open_children == sum(not complete[child] for child in rows.children(seq))
        assert sorted(task.dependents) == [other for other, new in rows.new.items() if seq in new.needs]


def check_rest(machine: Machine, rows: Rows) -> None:
    """Assert what must hold of a workflow in which no slice is pending: nobody waits for nothing, the end has come."""
    complete, broken = _subtrees(rows)
    for seq, task in rows.tasks.items():
        if task.status is TaskStatus.BLOCKED:
            assert any(not complete[need] for need in rows.new[seq].needs), f"{seq} is blocked by nothing"
            assert not any(broken[need] for need in rows.new[seq].needs), f"{seq} needs what has failed"
        assert (task.status is TaskStatus.WAITING) == (task.due_at is not None)
    if rows.workflow.cancel_requested:
        stopped = {TaskStatus.BLOCKED, TaskStatus.READY, TaskStatus.WAITING}
        assert not any(task.status in stopped for task in rows.tasks.values())
    open_tasks = {task.status for task in rows.tasks.values()} - TASK_ENDED
    if rows.workflow.cancel_requested:
        open_tasks.discard(TaskStatus.UNKNOWN)
    assert machine.ended == (not open_tasks), f"ended: {machine.ended}, open: {open_tasks}"


def drain(machine: Machine, at: int) -> list[Command]:
    """Tell it that its slices are due until none is left."""
    commands = machine.apply(SliceDue(at))
    while machine.slices_pending:
        commands += machine.apply(SliceDue(at))
    return commands


def _subtrees(rows: Rows) -> tuple[dict[int, bool], dict[int, bool]]:
    complete: dict[int, bool] = {}
    broken: dict[int, bool] = {}
    for seq in sorted(rows.new, reverse=True):  # children have larger seqs than their parents
        children = rows.children(seq)
        broken[seq] = rows.tasks[seq].status in BROKEN or any(broken[child] for child in children)
        succeeded = rows.tasks[seq].status is TaskStatus.SUCCEEDED
        complete[seq] = succeeded and all(complete[child] for child in children)
    return complete, broken
