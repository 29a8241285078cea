"""Tasks that a task's result adds: they are entered under `<parent's sequence>.<local id>`, or nothing is."""

from __future__ import annotations

from collections.abc import Sequence

from .commands import RequestSlot
from .graph import check_graph
from .records import NewTask, TaskError, TaskStatus
from .spec import DEPTH_MAX, EXPANSION_TASKS_MAX, TaskSpec
from .state import TaskState, WorkflowState

SHOWN_MAX = 100


def expand(state: WorkflowState, parent: TaskState, children: Sequence[TaskSpec], at: int) -> TaskError | None:
    """Add the children to the workflow; the error where they can't be, and then nothing was added."""
    fault = _fault(parent, children)
    if fault is not None:
        return TaskError("bad_expansion", fault, retryable=False)
    first = len(state.tasks)
    seqs = {child.id: first + position for position, child in enumerate(children)}
    added = [state.expand(new_task(child, seqs, parent=parent)) for child in children]
    for task in added:
        state.link_needs(task)
        if task.status is TaskStatus.READY:
            state.command(RequestSlot(task.row.seq))
    parent.expanded = len(added)
    state.set_workflow(tasks_total=state.row.tasks_total + len(added))
    shown = [describe(task.row, [state.task(need).row.id for need in task.row.needs]) for task in added[:SHOWN_MAX]]
    state.record(at, "tasks.added", parent, parent=parent.row.id, total=len(added), tasks=shown)
    return None


def describe(task: NewTask, needs: Sequence[str]) -> dict[str, object]:
    """A task as the feed shows it when it appears."""
    return {"id": task.id, "operation": task.operation, "needs": list(needs), "key": task.key}


def new_task(spec: TaskSpec, seqs: dict[str, int], *, parent: TaskState | None = None) -> NewTask:
    """The row of a task. seqs: the ids that its needs may name → their seqs, its own included."""
    needs = tuple(dict.fromkeys(seqs[need] for need in spec.needs))
    return NewTask(
        seq=seqs[spec.id],
        id=f"{parent.row.seq}.{spec.id}" if parent else spec.id,
        operation=spec.operation,
        params=spec.params,
        needs=needs,
        parent=parent.row.seq if parent else 0,
        depth=parent.row.depth + 1 if parent else 0,
        key=spec.key,
        repeatable=spec.repeatable,
        timeout_s=spec.timeout_s,
        retry=spec.retry,
        status=TaskStatus.BLOCKED if needs else TaskStatus.READY,
    )


def _fault(parent: TaskState, children: Sequence[TaskSpec]) -> str | None:
    if len(children) > EXPANSION_TASKS_MAX:
        return f"{len(children)} tasks in one expansion; at most {EXPANSION_TASKS_MAX} are taken"
    if parent.row.depth + 1 > DEPTH_MAX:
        return f"expansions are {DEPTH_MAX} deep already; no deeper ones are taken"
    faults = check_graph(children)
    if faults:
        return "; ".join(f"{fault.pointer}: {fault.detail}" for fault in faults[:5])
    return None
