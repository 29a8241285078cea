"""Direct mode: the orchestrator's operations, expansions and keys without the orchestrator, one task after the other.

No retry, no recovery: what is killed stays as it is until the same command comes again. The rest: contract/playbooks.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4, uuid5

from .attempt import Where, run_attempt
from .directview import DirectEvent as DirectEvent
from .directview import DirectOutcome as DirectOutcome
from .directview import DirectTask as DirectTask
from .expansion import expansion_faults
from .library import Interpreters, find_operation
from .outcome import Failure, Outcome


def run_direct(
    library_roots: Sequence[Path],
    operation: str,
    params: Mapping[str, Any],
    *,
    workspace: Path,
    on_event: Callable[[DirectEvent], None] = lambda _: None,
    interpreters: Interpreters | None = None,
) -> DirectOutcome:
    """Run an operation and all that grows from it. Raises NotFoundError, UsageError where it cannot be found."""
    root = {"id": "root", "operation": find_operation(library_roots, operation).name, "params": params}
    return DirectRun(library_roots, workspace, on_event, interpreters or Interpreters()).run([root])


@dataclass
class DirectRun:
    """For one `.run` of checked tasks, given as in a submission."""

    library_roots: Sequence[Path]
    workspace: Path
    on_event: Callable[[DirectEvent], None]
    interpreters: Interpreters
    intent: UUID = field(default_factory=uuid4)
    tasks: list[DirectTask] = field(default_factory=list)

    def run(self, docs: Sequence[Mapping[str, Any]]) -> DirectOutcome:
        with tempfile.TemporaryDirectory(prefix="provisioning-direct-") as directory:
            groups = [self._add(docs, None)]  # a stack of our own: deep expansions are no deep call stack
            while groups:
                task = next(groups[-1], None)
                if task is None:
                    groups.pop()
                elif not all(need.sound for need in task.needs):
                    self._end(task, "skipped")
                elif self._attempt(task, Path(directory) / str(task.seq)):
                    groups.append(self._add(task.outcome.tasks, task))
        status = "succeeded" if all(task.sound for task in self.tasks) else "failed"
        return DirectOutcome(f"direct_{self.intent.hex}", status, tuple(self.tasks))

    def _add(self, docs: Sequence[Mapping[str, Any]], parent: DirectTask | None) -> Iterator[DirectTask]:
        """Enter the tasks, and give them so that each comes after those that it needs."""
        prefix, first = f"{parent.seq}." if parent else "", len(self.tasks) + 1
        new = {doc["id"]: DirectTask(seq, prefix + doc["id"], doc, parent) for seq, doc in enumerate(docs, first)}
        for task in new.values():
            task.needs = [new[id] for id in dict.fromkeys(task.doc.get("needs") or ())]
        self.tasks += new.values()
        if parent and new:
            self.on_event(DirectEvent("tasks.added", parent, {"tasks": list(new.values())}))
        return iter(TopologicalSorter({task: task.needs for task in new.values()}).static_order())

    def _attempt(self, task: DirectTask, directory: Path) -> bool:
        """Whether it succeeded."""
        task.status = "running"
        self.on_event(DirectEvent("task.started", task, {}))
        operation = find_operation(self.library_roots, task.doc["operation"])
        around = [*task.needs, task.parent] if task.parent else task.needs
        identity = {"task_id": task.id, "attempt": 1, "key": task.doc.get("key"), "operation": operation.name}
        wish = {"workflow_id": f"direct_{self.intent.hex}", "intent": str(uuid5(self.intent, task.id))}
        data = {"params": task.doc.get("params") or {}, "results": {other.id: other.outcome.result for other in around}}
        timeout_s = task.doc.get("timeout_s") or operation.timeout_s
        where = Where(directory, self.workspace, self.interpreters, timeout_s)
        report = lambda event: self.on_event(DirectEvent("task.reported", task, event))  # noqa: E731
        task.outcome, log = run_attempt(operation, identity | wish | data, where, report)
        if faults := expansion_faults(task.outcome.tasks, lambda name: find_operation(self.library_roots, name)):
            task.outcome = Outcome(Failure("bad_expansion", "; ".join(faults), retryable=False))
        self._end(task, "failed" if task.outcome.failure else "succeeded", log=log)
        return task.sound

    def _end(self, task: DirectTask, status: str, **data: Any) -> None:
        task.status = status
        above: DirectTask | None = task if status != "succeeded" else None
        while above and above.sound:
            above.sound, above = False, above.parent
        self.on_event(DirectEvent(f"task.{status}", task, data))
