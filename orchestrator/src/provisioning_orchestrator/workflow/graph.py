"""Is it a DAG? All that is wrong with the edges of a set of tasks; iterative: a chain of 100,000 is ordinary."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from .spec import Fault, TaskSpec

PATH_SHOWN_MAX = 12
FAULTS_MAX = 100


def check_graph(tasks: Sequence[TaskSpec], pointer: str = "/tasks") -> list[Fault]:
    """All faults (at most FAULTS_MAX): duplicate ids, missing and self-dependencies; else one cycle, by its path.

    pointer: the JSON Pointer of the array that the tasks stand in.
    """
    index: dict[str, int] = {}
    faults: list[Fault] = []
    for position, task in enumerate(tasks):
        first = index.setdefault(task.id, position)
        if first != position:
            faults.append(
                Fault(f"{pointer}/{position}/id", f"task id {task.id!r} is already used by {pointer}/{first}")
            )
    for position, task in enumerate(tasks):
        for place, need in enumerate(task.needs):
            if need == task.id:
                faults.append(Fault(f"{pointer}/{position}/needs/{place}", f"task {task.id!r} needs itself"))
            elif need not in index:
                faults.append(_missing(f"{pointer}/{position}/needs/{place}", task.id, need, index, len(faults)))
        if len(faults) >= FAULTS_MAX:
            break
    if faults:
        return faults[:FAULTS_MAX]
    cycle = find_cycle([[index[need] for need in task.needs] for task in tasks])
    if cycle is None:
        return []
    names = [tasks[position].id for position in cycle]
    shown = _path([*names, names[0]])
    return [Fault(f"{pointer}/{cycle[0]}/needs", f"a cycle of {len(names)} tasks: {shown}")]


def find_cycle(needs: Sequence[Sequence[int]]) -> list[int] | None:
    """The positions along one cycle (each needs the next, the last the first), or None for a DAG. O(nodes + edges)."""
    open_needs = [len(set(of)) for of in needs]
    dependents: list[list[int]] = [[] for _ in needs]
    for position, of in enumerate(needs):
        for need in set(of):
            dependents[need].append(position)
    free = [position for position, count in enumerate(open_needs) if count == 0]
    while free:
        for dependent in dependents[free.pop()]:
            open_needs[dependent] -= 1
            if open_needs[dependent] == 0:
                free.append(dependent)
    start = next((position for position, count in enumerate(open_needs) if count), None)
    if start is None:
        return None
    # Every node that is left needs at least one that is left: following any such need must come round.
    order: dict[int, int] = {}
    path: list[int] = []
    while start not in order:
        order[start] = len(path)
        path.append(start)
        start = next(need for need in needs[start] if open_needs[need])
    return path[order[start] :]


def _missing(pointer: str, task: str, need: str, index: dict[str, int], found_before: int) -> Fault:
    # Looking for a similar name costs a pass over all of them: only worth it for the first few.
    close = get_close_matches(need, index, n=1) if found_before < 10 and len(index) <= 10_000 else []
    hint = f"did you mean {close[0]!r}?" if close else "name a task of this workflow"
    return Fault(pointer, f"task {task!r} needs {need!r}, which is not there", hint)


def _path(names: list[str]) -> str:
    if len(names) <= PATH_SHOWN_MAX:
        return " → ".join(names)
    half = PATH_SHOWN_MAX // 2
    return " → ".join([*names[:half], f"… {len(names) - 2 * half} more …", *names[-half:]])
