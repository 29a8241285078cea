"""Which living workflows were submitted by which tasks of others."""

from __future__ import annotations

from ..workflow.records import Parent


class Children:
    def __init__(self) -> None:
        self._of: dict[str, dict[int, list[str]]] = {}  # parent's workflow → its task's seq → ids, in order

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

    def unfinished(self, workflow: str, seq: int) -> bool:
        return bool(self._of.get(workflow, {}).get(seq))
