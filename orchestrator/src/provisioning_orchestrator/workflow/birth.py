"""Where machines come from: a new submission, or the rows of one after a restart.

Everything that a machine keeps beside its rows is derived here: the dependents index, the open counts, what is complete
or broken, and the wishes that were not yet acted on. So a crash at any point between two commits loses nothing.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from .commands import Command, RequestSlot, SetTimer
from .expansion import describe, new_task
from .machine import Machine
from .propagation import Propagation
from .records import (
    TASK_ENDED,
    EventRecord,
    NewTask,
    Parent,
    Snapshot,
    TaskChange,
    TaskStatus,
    WorkflowRow,
    WorkflowStatus,
)
from .spec import TaskSpec
from .state import WorkflowState

SUBMITTED_SHOWN_MAX = 100
SLICE = 2_000
_FAILED_STATES = frozenset({TaskStatus.FAILED, TaskStatus.SKIPPED, TaskStatus.CANCELLED})

Birth = Generator[None, None, tuple[Machine, list[Command]]]


def new_rows(
    workflow: str, name: str, intent: str, at: int, specs: Sequence[TaskSpec], parent: Parent | None = None
) -> Generator[None, None, tuple[WorkflowRow, list[NewTask], EventRecord]]:
    """The rows of a checked submission. Yields between slices, so that a huge one does not stall the others."""
    seqs = {spec.id: position for position, spec in enumerate(specs, start=1)}
    tasks = []
    for position, spec in enumerate(specs, start=1):
        tasks.append(new_task(spec, seqs))
        if position % SLICE == 0:
            yield
    row = WorkflowRow(
        workflow, name, intent, WorkflowStatus.QUEUED, at, tasks_total=len(tasks), sequence=1, parent=parent
    )
    shown = [describe(task, specs[task.seq - 1].needs) for task in tasks[:SUBMITTED_SHOWN_MAX]]
    data: dict[str, Any] = {"total": len(tasks), "tasks": shown}
    if parent is not None:
        data["parent"] = {"workflow_id": parent.workflow, "task": parent.task}
    return row, tasks, EventRecord(1, at, "workflow.submitted", None, data)


def fresh(row: WorkflowRow, tasks: Sequence[NewTask]) -> Birth:
    """The machine of a workflow that was just submitted, and its first wishes."""
    state = WorkflowState(row)
    for position, task in enumerate(tasks, start=1):
        state.add(task)
        if position % SLICE == 0:
            yield
    return (yield from _finish(state))


def rebuilt(snapshot: Snapshot) -> Birth:
    """The machine as it stood after its last commit, and the wishes that follow from its rows.

    Running attempts are in `machine.state.running`: whoever rebuilds must ask what became of them.
    """
    state = WorkflowState(snapshot.workflow)
    for position, (row, change) in enumerate(snapshot.tasks, start=1):
        state.restore(state.add(row), change)
        if position % SLICE == 0:
            yield
    for attempt in snapshot.attempts:
        state.running[attempt.seq] = attempt
    return (yield from _finish(state))


def at_once(birth: Birth) -> tuple[Machine, list[Command]]:
    """Without slices: for tests and small workflows."""
    while True:
        try:
            next(birth)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]


def _finish(state: WorkflowState) -> Birth:
    yield from _derive_subtrees(state)
    yield from _derive_needs(state)
    propagation = Propagation(state)
    for seq in range(1, len(state.tasks)):
        _resume(state, propagation, seq)
        if seq % SLICE == 0:
            yield
    commands, state.commands = state.commands, []
    return Machine(state, propagation), commands


def _derive_subtrees(state: WorkflowState) -> Generator[None, None, None]:
    # A child's seq is always larger than its parent's: going backwards, the children come first.
    for seq in range(len(state.tasks) - 1, 0, -1):
        task = state.task(seq)
        task.broken = task.broken or task.status in _FAILED_STATES
        task.complete = task.status is TaskStatus.SUCCEEDED and task.open_children == 0 and not task.broken
        if task.row.parent:
            parent = state.task(task.row.parent)
            parent.broken = parent.broken or task.broken
            parent.open_children += not task.complete
        if seq % SLICE == 0:
            yield


def _derive_needs(state: WorkflowState) -> Generator[None, None, None]:
    for seq in range(1, len(state.tasks)):
        state.link_needs(state.task(seq))
        if seq % SLICE == 0:
            yield


def _resume(state: WorkflowState, propagation: Propagation, seq: int) -> None:
    """What was wished for this task and may not have been done."""
    task = state.task(seq)
    if state.row.cancel_requested:
        if task.status not in TASK_ENDED:
            propagation.resume(task)
    elif task.status is TaskStatus.READY:
        state.command(RequestSlot(seq))
    elif task.status is TaskStatus.WAITING and task.due_at is not None:
        state.command(SetTimer(seq, task.due_at))
    elif task.status is TaskStatus.BLOCKED and (task.open_needs == 0 or propagation.broken_need(task) is not None):
        propagation.resume(task)


def initial_change(task: NewTask) -> TaskChange:
    """The changing part of a row that was just inserted."""
    return TaskChange(task.seq, task.status, 0, 0, 0, 0, None, 0, False, None)
