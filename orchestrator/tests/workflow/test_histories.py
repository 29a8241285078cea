"""Random histories of one machine: legal, late, repeated and misdirected facts, restarts anywhere, slices of any size.

After every commit the machine is what its rows say, and one rebuilt from them decides the same.
"""

from __future__ import annotations

import random
from copy import deepcopy

import pytest

from provisioning_orchestrator.testing.playbook import born, task
from provisioning_orchestrator.testing.rows import check_machine, check_rest, drain
from provisioning_orchestrator.workflow import commands, events
from provisioning_orchestrator.workflow.outcome import Interpretation
from provisioning_orchestrator.workflow.records import (
    TASK_ENDED,
    AttemptStatus,
    Changes,
    TaskError,
    TaskStatus,
    WorkflowStatus,
)
from provisioning_orchestrator.workflow.spec import RetryPolicy, TaskSpec

FACTS_MAX = 400
STOPPED = {TaskStatus.SKIPPED: TaskStatus.CANCELLED}


class History:
    """One workflow's life, drawn from a seed. told: all facts so far, to tell some of them again."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.at = 0
        self.machine, self.wishes, self.rows = born(self._specs(self.chance.randint(1, 9)))
        self.told: list[events.Event] = []
        self.begun: set[tuple[int, int]] = set()
        self.cancels = self.chance.random() < 0.3
        self.restarts = self.chance.choice([0.0, 0.05, 0.3])

    def live(self) -> None:
        for _ in range(FACTS_MAX):
            if self.machine.ended and not self.machine.slices_pending:
                break
            self.at += self.chance.randint(0, 2_000_000)
            self._tell(self._fact())
            if self.chance.random() < self.restarts:
                self._restart()
        self._finish()

    def _finish(self) -> None:
        """Everything ends well from here on; the workflow must come to its end."""
        for _ in range(5_000):
            if self.machine.ended:
                break
            self.at += 60_000_000
            self._tell(self._next_fact(well=True))
        assert self.machine.ended, "it never ended"
        self._check_end()

    # --- facts -------------------------------------------------------------------------------------------------------

    def _fact(self) -> events.Event:
        kind = self.chance.random()
        if kind < 0.15 and self.told:
            return self.chance.choice(self.told)
        if kind < 0.25:
            return self._misdirected()
        if kind < 0.28 and self.cancels:
            return events.CancelRequested(self.at)
        return self._next_fact(well=False)

    def _misdirected(self) -> events.Event:
        seq = self.chance.randint(1, len(self.rows.new))
        number = self.chance.randint(0, 4)
        current = self.rows.tasks[seq]
        late = current.status is not TaskStatus.RUNNING or number != current.attempt
        if not late or self.chance.random() < 0.4:
            unasked: list[events.Event] = [
                events.SlotGranted(seq, self.at),
                events.DelayEnded(seq, self.at),
                events.SliceDue(self.at),
            ]
            return self.chance.choice(unasked)
        stale: list[events.Event] = [
            events.AttemptEnded(seq, number, self.at, Interpretation(exit_code=0), (task("late"),)),
            events.AttemptLost(seq, number, self.at, "late"),
            events.AttemptNeverStarted(seq, number, self.at, "late"),
            events.AttemptReported(seq, number, self.at, 0, 5, ({"type": "progress"},)),
        ]
        return self.chance.choice(stale)

    def _next_fact(self, *, well: bool) -> events.Event:
        """One of those that the world could tell now."""
        if self.machine.slices_pending and (well or self.chance.random() < 0.6):
            return events.SliceDue(self.at)
        open_tasks = [
            (seq, change)
            for seq, change in self.rows.tasks.items()
            if change.status not in TASK_ENDED and change.status is not TaskStatus.BLOCKED
        ]
        if not open_tasks:
            return events.SliceDue(self.at)
        seq, change = self.chance.choice(open_tasks)
        match change.status:
            case TaskStatus.READY:
                return events.SlotGranted(seq, self.at)
            case TaskStatus.WAITING:
                return events.DelayEnded(seq, max(self.at, change.due_at or 0))
            case TaskStatus.UNKNOWN:
                resolutions: list[events.Resolution] = ["succeeded"] if well else ["succeeded", "failed", "retry"]
                return events.TaskResolved(seq, self.at, self.chance.choice(resolutions))
        return self._end(seq, change.attempt, well=well)

    def _end(self, seq: int, number: int, *, well: bool) -> events.Event:
        cancelling = self.rows.workflow.cancel_requested
        kind = 0.0 if well else self.chance.random()
        if kind < 0.5:
            depth, total = self.rows.new[seq].depth, len(self.rows.new)
            adds = self._specs(self.chance.randint(1, 3)) if not well and depth < 3 and total < 30 else []
            if self.chance.random() < 0.6:
                adds = []
            outcome = Interpretation(exit_code=0, flagged=self.chance.random() < 0.2, result=b"1")
            return events.AttemptEnded(seq, number, self.at, outcome, tuple(adds), 0.5)
        if kind < 0.7:
            error = TaskError("exit_code", "1", retryable=self.chance.random() < 0.7)
            return events.AttemptEnded(seq, number, self.at, Interpretation(error=error, exit_code=1), (), 0.5)
        if kind < 0.8:
            return events.AttemptNeverStarted(seq, number, self.at, "no room")
        if kind < 0.9 or not cancelling:
            return events.AttemptLost(seq, number, self.at, "unseen")
        return events.AttemptEnded(seq, number, self.at, Interpretation(signal=15, cancelled=True))

    def _specs(self, count: int) -> list[TaskSpec]:
        density = self.chance.choice([0.1, 0.3, 0.6])
        return [
            task(
                f"t{n}",
                *(f"t{m}" for m in range(n) if self.chance.random() < density),
                repeatable=self.chance.random() < 0.5,
                retry=RetryPolicy(self.chance.randint(1, 3), "constant", self.chance.choice([0, 5]), 300, 0),
            )
            for n in range(count)
        ]

    # --- what is checked ---------------------------------------------------------------------------------------------

    def _tell(self, event: events.Event, *, restarted: bool = False) -> None:
        idle = self._is_idle(event) and not restarted  # a slice's rest may be nothing but the end of the workflow
        self.wishes = self.machine.apply(event)
        expected, changes = self.machine.state.take()
        if idle:
            assert changes == Changes(), f"{event} is late or repeated, and yet it changed something"
            allowed = (commands.ReleaseSlot,) if isinstance(event, events.SlotGranted) else ()
            assert all(isinstance(wish, allowed) for wish in self.wishes)
        self.rows.commit(expected, changes)
        self.told.append(event)
        for wish in self.wishes:
            if isinstance(wish, commands.StartAttempt):
                assert (wish.seq, wish.number) not in self.begun, "an attempt started twice"
                self.begun.add((wish.seq, wish.number))
                assert not self.rows.workflow.cancel_requested, "an attempt started after the cancel"
                assert self.rows.attempts[wish.seq, wish.number].status is AttemptStatus.RUNNING
        assert isinstance(self.wishes[-1], commands.ContinueLater) if self.machine.slices_pending else True
        self._check()

    def _is_idle(self, event: events.Event) -> bool:
        """Whether it must change nothing: it is late, repeated, or about nobody."""
        if self.machine.slices_pending:
            return False
        if isinstance(event, events.CancelRequested):
            return self.machine.ended or self.rows.workflow.cancel_requested
        if isinstance(event, events.SliceDue):
            return True
        current = self.rows.tasks[event.seq]
        if isinstance(event, events.SlotGranted):
            return current.status is not TaskStatus.READY
        if isinstance(event, events.DelayEnded):
            return current.status is not TaskStatus.WAITING or event.at < (current.due_at or 0)
        if isinstance(event, events.TaskResolved):
            return current.status is not TaskStatus.UNKNOWN
        if isinstance(event, events.AttemptReported):
            known = self.machine.state.running.get(event.seq)
            return known is None or known.number != event.number or known.reports_offset != event.offset
        return current.status is not TaskStatus.RUNNING or current.attempt != event.number

    def _check(self) -> None:
        rebuilt, _ = self.rows.rebuild()
        if not self.machine.slices_pending:
            check_machine(self.machine, self.rows)
            check_rest(self.machine, self.rows)
            drain(rebuilt, self.at)
            assert rebuilt.state.take()[1] == Changes(), "a restart decided something"
            check_machine(rebuilt, self.rows)
            return
        # What is pending comes to the same end, with and without a restart (a cancel may reach what a failure would).
        living = deepcopy(self.machine)
        drain(living, self.at)
        drain(rebuilt, self.at)
        for one, other in zip(living.state.all_tasks(), rebuilt.state.all_tasks(), strict=True):
            if self.rows.workflow.cancel_requested:
                assert STOPPED.get(one.status, one.status) == STOPPED.get(other.status, other.status)
            else:
                assert one.status is other.status
            assert (one.complete, one.broken, one.open_needs) == (other.complete, other.broken, other.open_needs)
        assert living.ended == rebuilt.ended

    def _restart(self) -> None:
        self.machine, _ = self.rows.rebuild()
        self._tell(events.SliceDue(self.at), restarted=True)

    def _check_end(self) -> None:
        rows = self.rows
        assert [event.sequence for event in rows.events] == list(range(1, rows.workflow.sequence + 1))
        assert rows.workflow.ended_at is not None
        statuses = {change.status for change in rows.tasks.values()}
        cancelled = rows.workflow.cancel_requested and statuses & {TaskStatus.CANCELLED, TaskStatus.UNKNOWN}
        if cancelled:
            assert rows.workflow.status is WorkflowStatus.CANCELLED
        elif statuses == {TaskStatus.SUCCEEDED}:
            assert rows.workflow.status is WorkflowStatus.SUCCEEDED
        else:
            assert rows.workflow.status is WorkflowStatus.FAILED
        for seq, change in rows.tasks.items():
            numbers = sorted(number for of, number in rows.attempts if of == seq)
            assert numbers == list(range(1, change.attempt + 1))
            mine = [rows.attempts[seq, number] for number in numbers]
            never = sum(attempt.status is AttemptStatus.NEVER_STARTED for attempt in mine)
            assert change.counted == len(mine) - never
            if change.status is TaskStatus.SKIPPED:
                assert not mine
            if change.status is TaskStatus.CANCELLED:
                assert rows.workflow.cancel_requested


SEEDS = 200


def live_all() -> None:
    for seed in range(SEEDS):
        History(seed).live()


@pytest.mark.slow
@pytest.mark.parametrize("slice_rows", [1_000, 5, 2])
def test_machines_are_what_their_rows_say_whatever_happens(slice_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provisioning_orchestrator.workflow.propagation.SLICE", slice_rows)
    for seed in range(SEEDS):
        try:
            History(seed).live()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, slices of {slice_rows}") from error


@pytest.mark.parametrize(
    "fault",
    ["accepts_stale", "counts_never_started", "forgets_to_release", "starts_twice", "skips_nobody", "forgets_children"],
)
def test_the_histories_find_a_fault(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these would be a bug; the histories must see every one of them."""
    from provisioning_orchestrator.workflow.machine import Machine
    from provisioning_orchestrator.workflow.propagation import Propagation

    if fault == "accepts_stale":
        monkeypatch.setattr(Machine, "_close", lambda self, seq, number: self.state.task(seq))
    elif fault == "counts_never_started":
        right = Machine._never_started

        def never_started(self: Machine, event: events.AttemptNeverStarted) -> None:
            self.state.task(event.seq).counted += 1
            right(self, event)

        monkeypatch.setattr(Machine, "_never_started", never_started)
    elif fault == "forgets_to_release":
        monkeypatch.setattr(Propagation, "_climb", lambda self, what, parent: None)
    elif fault == "starts_twice":

        def granted(self: Machine, event: events.SlotGranted) -> None:
            self.state.command(commands.StartAttempt(event.seq, self.state.task(event.seq).attempt))

        monkeypatch.setattr(Machine, "_granted", granted)
    elif fault == "skips_nobody":
        monkeypatch.setattr(Propagation, "_skip", lambda self, task, cause, at: None)
    else:
        monkeypatch.setattr(Propagation, "completed", lambda self, task: setattr(task, "complete", True))
    with pytest.raises((AssertionError, KeyError)):
        live_all()
