"""Which living workflows were submitted by which tasks of others, and how many one task may have at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from ..ports import NotPossibleNow
from ..workflow.records import Parent

CHILDREN_MAX = 1_000


class Children:
    def __init__(self, most: int) -> None:
        self._most = most
        self._of: dict[str, dict[int, list[str]]] = {}  # parent's workflow → its task's seq → ids, in order
        self._submitting: Counter[tuple[str, int]] = Counter()

    @contextmanager
    def one_more(self, parent: Parent) -> Iterator[None]:
        """While a child is submitted, up to its add. Raises NotPossibleNow where that task has as many as it may."""
        task = (parent.workflow, parent.seq)
        if len(self.of_task(*task)) + self._submitting[task] >= self._most:
            raise NotPossibleNow(
                f"task {parent.task!r} of {parent.workflow} has {self._most} child workflows that have not ended, "
                "and may have no more (setting children_max): await some of them first"
            )
        self._submitting[task] += 1
        try:
            yield
        finally:
            self._submitting[task] -= 1
            if not self._submitting[task]:
                del self._submitting[task]

    def add(self, parent: Parent, child: str) -> None:
        self._of.setdefault(parent.workflow, {}).setdefault(parent.seq, []).append(child)

    def remove(self, parent: Parent, child: str) -> bool:
        """Whether that task has another one left."""
        tasks = self._of.get(parent.workflow, {})
        left = [other for other in tasks.get(parent.seq, ()) if other != child]
        if left:
            tasks[parent.seq] = left
        else:
            tasks.pop(parent.seq, None)
            if not tasks:
                self._of.pop(parent.workflow, None)
        return bool(left)

    def of(self, workflow: str) -> list[str]:
        return [child for children in self._of.get(workflow, {}).values() for child in children]

    def of_task(self, workflow: str, seq: int) -> list[str]:
        return self._of.get(workflow, {}).get(seq, [])
