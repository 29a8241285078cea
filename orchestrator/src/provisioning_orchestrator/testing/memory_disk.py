"""What the memory store has made durable: rows as they would be on a disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from provisioning_orchestrator.ports import NotFound
from provisioning_orchestrator.workflow.records import AttemptChange, EventRecord, NewTask, TaskChange, WorkflowRow


@dataclass(slots=True)
class StoredWorkflow:
    """The durable rows of one workflow. number: 1, 2, 3 … in order of submission."""

    number: int
    row: WorkflowRow
    new: dict[int, NewTask] = field(default_factory=dict)
    states: dict[int, TaskChange] = field(default_factory=dict)
    attempts: dict[int, dict[int, AttemptChange]] = field(default_factory=dict)
    results: dict[int, bytes] = field(default_factory=dict)
    events: list[EventRecord] = field(default_factory=list)
    seq_of: dict[str, int] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    quarantined: str | None = None

    def add(self, tasks: Sequence[NewTask]) -> None:
        for task in tasks:
            self.new[task.seq] = task
            self.states[task.seq] = TaskChange(task.seq, task.status, 0, 0, 0, 0, None, 0, False, None)
            self.seq_of[task.id] = task.seq
            self.counts[task.status.value] += 1

    def change(self, state: TaskChange) -> None:
        self.counts[self.states[state.seq].status.value] -= 1
        self.counts[state.status.value] += 1
        self.states[state.seq] = state


@dataclass(slots=True)
class MemoryDisk:
    """What survives a crash."""

    workflows: dict[str, StoredWorkflow] = field(default_factory=dict)
    idempotency: dict[tuple[str, str, str], tuple[str, str]] = field(default_factory=dict)
    numbers: int = 0
    fence: int = 0
    clean: bool = True

    def find(self, workflow: str) -> StoredWorkflow:
        try:
            return self.workflows[workflow]
        except KeyError:
            raise NotFound(f"no workflow {workflow!r}") from None
