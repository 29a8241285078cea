"""What really happened in a simulated world, and what must never have: the oracle of the simulation.

At every real start of an attempt, and once more at the end, the world is compared with the rows that are on the disk:

- an attempt starts at most once, after its start was committed, and never two of one task at a time;
- no more attempts run than there are slots; one starts only after what it needs has succeeded with all below it;
- the intent of a task is the same in all its attempts, and it is told the results of what it needs;
- a task that is not repeatable never runs again after an unseen end, unless a person said so;
- what was acknowledged (a submission, a cancel, a resolution) is there; one key makes one workflow;
- every task ends as its attempts truly ended, every report is in the feed once and in order, the feed has no gap.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from provisioning_orchestrator.ports import AttemptId, AttemptSpec, Exited, Vanished
from provisioning_orchestrator.workflow.machine import LOST_MAX
from provisioning_orchestrator.workflow.records import (
    WORKFLOW_ENDED,
    AttemptStatus,
    TaskStatus,
    WorkflowStatus,
)

from .fake_dispatch import FakeAttempt, FakeWorld
from .memory_disk import MemoryDisk, StoredWorkflow

SUCCEEDS = frozenset({"ok", "partial", "expand"})
RETRYABLE = frozenset({"fail", "busy", "signal", "hang"})


class Violation(SystemExit):
    """Something happened that must never happen."""


class Ledger:
    """clock: running time in seconds. With keep, the lines of the trace are kept, not only their hash."""

    def __init__(
        self, disk: MemoryDisk, world: FakeWorld, slots: int, clock: Callable[[], float], keep: bool = False
    ) -> None:
        self.lines: list[str] = []
        self.acknowledged: dict[str, str] = {}
        self._disk = disk
        self._world = world
        self._slots = slots
        self._clock = clock
        self._keep = keep
        self._hash = hashlib.sha256()
        self._intents: dict[tuple[str, int], str] = {}

    @property
    def trace(self) -> str:
        return self._hash.hexdigest()

    def note(self, what: str) -> None:
        line = f"{self._clock():.6f} {what}"
        self._hash.update(line.encode() + b"\n")
        if self._keep:
            self.lines.append(line)

    # --- while it happens --------------------------------------------------------------------------------------------

    def submitted(self, name: str, id: str) -> None:
        self.note(f"client {name}: acknowledged as {id}")
        _require(id in self._disk.workflows, f"{id} was acknowledged and is not on the disk")
        known = self.acknowledged.setdefault(name, id)
        _require(known == id, f"one key made two workflows: {known} and {id}")

    def cancelled(self, id: str) -> None:
        self.note(f"client: cancel of {id} acknowledged")
        row = self._disk.find(id).row
        _require(row.cancel_requested or row.ended_at is not None, f"the cancel of {id} was acknowledged and is lost")

    def resolved(self, id: str, seq: int, resolution: str) -> None:
        self.note(f"person: {id}/{seq} resolved as {resolution}")
        workflow = self._disk.find(id)
        task = workflow.new[seq].id
        told = any(event.type == "task.resolved" and event.task == task for event in workflow.events)
        _require(told or workflow.row.cancel_requested, f"the resolution of {id}/{seq} was acknowledged and is lost")

    def starting(self, spec: AttemptSpec) -> None:
        """An attempt begins to run now."""
        id = spec.id
        line = json.loads(spec.input)
        self.note(f"world: {id} starts ({line['task_id']})")
        _require(id not in self._world.attempts, f"{id} started twice")
        workflow = self._disk.find(id.workflow)
        self._check_committed(workflow, id)
        self._check_room(id)
        self._check_needs(workflow, id, line["results"])
        self._check_not_unseen(workflow, id)
        intent = self._intents.setdefault((id.workflow, id.task), line["intent"])
        _require(intent == line["intent"], f"{id} has another intent than the attempt before it")
        _require(line["attempt"] == id.number and line["workflow_id"] == id.workflow, f"{id} was told another id")

    def _check_committed(self, workflow: StoredWorkflow, id: AttemptId) -> None:
        row = workflow.attempts.get(id.task, {}).get(id.number)
        _require(row is not None, f"{id} starts before its start was committed")
        assert row is not None
        task = workflow.states[id.task]
        current = (row.status, task.status, task.attempt) == (AttemptStatus.RUNNING, TaskStatus.RUNNING, id.number)
        _require(current, f"{id} starts, but its task is {task.status.value} at attempt {task.attempt}")

    def _check_room(self, id: AttemptId) -> None:
        running = self._world.running()
        _require(len(running) < self._slots, f"{id} starts while {len(running)} run in {self._slots} slots")
        for other in running:
            _require(other[:2] != id[:2], f"{id} starts while {other} of the same task runs")

    def _check_needs(self, workflow: StoredWorkflow, id: AttemptId, results: dict[str, Any]) -> None:
        task = workflow.new[id.task]
        for need in task.needs:
            for seq in self._subtree(workflow, need):
                _require(
                    self._truly_succeeded(workflow, seq), f"{id} starts, but what it needs ({seq}) did not succeed"
                )
        told = {*task.needs, *([task.parent] if task.parent else [])}
        _require(
            results.keys() == {workflow.new[seq].id for seq in told}, f"{id} was told results of {sorted(results)}"
        )

    def _check_not_unseen(self, workflow: StoredWorkflow, id: AttemptId) -> None:
        before = self._world.attempts.get(AttemptId(id.workflow, id.task, id.number - 1))
        task = workflow.new[id.task]
        if before is None or not isinstance(before.verdict, Vanished) or task.repeatable:
            return
        again = any(
            e.type == "task.resolved" and e.task == task.id and e.data == {"as": "retry"} for e in workflow.events
        )
        _require(again, f"{id} runs again after an unseen end, though it is not repeatable and nobody said so")

    # --- at the end --------------------------------------------------------------------------------------------------

    def check_end(self) -> None:
        for id in self.acknowledged.values():
            _require(id in self._disk.workflows, f"{id} was acknowledged and is lost")
        _require(len(self._disk.workflows) == len(self.acknowledged), "there are more workflows than were sent")
        for id, workflow in self._disk.workflows.items():
            self._check_workflow(id, workflow)
        for attempt_id in self._world.attempts:
            row = self._disk.find(attempt_id.workflow).attempts.get(attempt_id.task, {}).get(attempt_id.number)
            _require(row is not None, f"{attempt_id} ran and is in no row")

    def _check_workflow(self, id: str, workflow: StoredWorkflow) -> None:
        _require(workflow.quarantined is None, f"{id} was set aside: {workflow.quarantined}")
        _require(workflow.row.status in WORKFLOW_ENDED, f"{id} has not ended")
        sequences = [event.sequence for event in workflow.events]
        _require(sequences == list(range(1, workflow.row.sequence + 1)), f"the feed of {id} has gaps")
        for seq in workflow.new:
            self._check_attempts(id, workflow, seq)
            expected = self._task_status(id, workflow, seq)
            found = workflow.states[seq].status
            _require(found in expected, f"{id}/{seq} is {found.value}; by its attempts: {expected or 'not ended'}")
        statuses = {state.status for state in workflow.states.values()}
        if workflow.row.cancel_requested and statuses & {TaskStatus.CANCELLED, TaskStatus.UNKNOWN}:
            expected_row = {WorkflowStatus.CANCELLED}
        elif statuses == {TaskStatus.SUCCEEDED}:
            expected_row = {WorkflowStatus.SUCCEEDED}
        else:
            expected_row = {WorkflowStatus.FAILED}
        if workflow.row.cancel_requested:
            # Unknown tasks of a cancelled workflow may have been resolved after its end, which stays as it was.
            expected_row.add(WorkflowStatus.CANCELLED)
        _require(workflow.row.status in expected_row, f"{id} ended {workflow.row.status.value}, not {expected_row}")

    def _check_attempts(self, id: str, workflow: StoredWorkflow, seq: int) -> None:
        rows = workflow.attempts.get(seq, {})
        _require(sorted(rows) == list(range(1, len(rows) + 1)), f"the attempts of {id}/{seq} have gaps: {sorted(rows)}")
        for number, row in rows.items():
            attempt = self._world.attempts.get(AttemptId(id, seq, number))
            truth = _truth(attempt)
            _require(row.status is truth, f"{id}/{seq}/{number} is {row.status.value}; in truth: {truth.value}")
            if attempt is None:
                continue
            told = [
                event.data["n"]
                for event in workflow.events
                if event.type == "task.progress"
                and event.task == workflow.new[seq].id
                and event.data["attempt"] == number
            ]
            made = [record["n"] for fact in attempt.reports(attempt.ended_at or 0.0) for record in fact.records]
            _require(told == made, f"{id}/{seq}/{number} reported {made}, the feed says {told}")
        if workflow.states[seq].status is TaskStatus.SUCCEEDED and rows and seq in workflow.results:
            last = self._world.attempts[AttemptId(id, seq, max(rows))]
            kept = json.loads(workflow.results[seq])
            _require(kept == _play(last)["result"], f"the result of {id}/{seq} is {kept}")

    def _task_status(self, id: str, workflow: StoredWorkflow, seq: int) -> set[TaskStatus]:
        """How the task may have ended, by its attempts and by what persons said."""
        task, rows = workflow.new[seq], workflow.attempts.get(seq, {})
        cancel = workflow.row.cancel_requested
        stopped = {TaskStatus.CANCELLED} if cancel else set()
        resolutions = {e.data["as"] for e in workflow.events if e.type == "task.resolved" and e.task == task.id}
        broken = any(
            self._truly_broken(workflow, below) for need in task.needs for below in self._subtree(workflow, need)
        )
        if not rows:
            return stopped | ({TaskStatus.SKIPPED} if broken else set())
        last = rows[max(rows)].status
        if last is AttemptStatus.NEVER_STARTED:
            return stopped
        if last is AttemptStatus.SUCCEEDED:
            return {TaskStatus.SUCCEEDED}
        if last is AttemptStatus.CANCELLED:
            return stopped
        if last is AttemptStatus.UNKNOWN:
            decided = {TaskStatus(each) for each in resolutions & {"succeeded", "failed"}}
            lost = sum(row.status is AttemptStatus.UNKNOWN for row in rows.values())
            kept = {TaskStatus.UNKNOWN} if cancel and (not task.repeatable or lost or cancel) else set()
            if task.repeatable and lost <= LOST_MAX and not cancel:
                return set()
            # Where it was put back to wait for its turn (repeatable, or "retry"), a later cancel ends it there.
            return decided | kept | (stopped if task.repeatable or "retry" in resolutions else set())
        counted = sum(row.status is not AttemptStatus.NEVER_STARTED for row in rows.values())
        retryable = _play(self._world.attempts[AttemptId(id, seq, max(rows))])["do"] in RETRYABLE
        if retryable and counted < task.retry.attempts_max:
            return stopped | ({TaskStatus.FAILED} if cancel else set())
        return {TaskStatus.FAILED}

    # --- the truth ---------------------------------------------------------------------------------------------------

    def _subtree(self, workflow: StoredWorkflow, top: int) -> list[int]:
        found = [top]
        for seq, task in workflow.new.items():  # children come after their parents
            if task.parent in found:
                found.append(seq)
        return found

    def _truly_succeeded(self, workflow: StoredWorkflow, seq: int) -> bool:
        if workflow.states[seq].status is not TaskStatus.SUCCEEDED:
            return False
        number = workflow.states[seq].attempt
        if _truth(self._world.attempts.get(AttemptId(workflow.row.id, seq, number))) is AttemptStatus.SUCCEEDED:
            return True
        return any(
            e.type == "task.resolved" and e.task == workflow.new[seq].id and e.data == {"as": "succeeded"}
            for e in workflow.events
        )

    def _truly_broken(self, workflow: StoredWorkflow, seq: int) -> bool:
        return workflow.states[seq].status in (TaskStatus.FAILED, TaskStatus.SKIPPED, TaskStatus.CANCELLED)


def _truth(attempt: FakeAttempt | None) -> AttemptStatus:
    """How the attempt ended in the world."""
    if attempt is None:
        return AttemptStatus.NEVER_STARTED
    verdict = attempt.verdict
    if verdict is None:
        return AttemptStatus.RUNNING
    if not isinstance(verdict, Exited):
        return AttemptStatus.UNKNOWN
    if verdict.exit_code == 0:
        return AttemptStatus.SUCCEEDED if _play(attempt)["do"] in SUCCEEDS else AttemptStatus.FAILED
    return AttemptStatus.CANCELLED if verdict.cancelled else AttemptStatus.FAILED


def _play(attempt: FakeAttempt) -> dict[str, Any]:
    """What it was to do, as the scenario has it; result: what a success says."""
    return play_of(attempt.spec)


def play_of(spec: AttemptSpec) -> dict[str, Any]:
    plays = json.loads(spec.input)["params"]["plays"]
    play: dict[str, Any] = plays[min(spec.id.number, len(plays)) - 1]
    return {**play, "result": [spec.id.task, spec.id.number]}


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise Violation(what)
