"""Workflows of 100,000 tasks: bounded work for every fact, and no recursion anywhere."""

from __future__ import annotations

import time
import tracemalloc
from collections import Counter
from itertools import pairwise

import pytest

from provisioning_orchestrator.testing.playbook import born, task
from provisioning_orchestrator.testing.rows import Rows, drain
from provisioning_orchestrator.workflow import commands, events
from provisioning_orchestrator.workflow.machine import Machine
from provisioning_orchestrator.workflow.outcome import Interpretation
from provisioning_orchestrator.workflow.propagation import SLICE
from provisioning_orchestrator.workflow.spec import TaskSpec

HUGE = 100_000
OK = Interpretation(exit_code=0)
FAILED = Interpretation(signal=9, error=None, cancelled=True)


class Mass:
    """A huge workflow whose every commit is looked at."""

    def __init__(self, specs: list[TaskSpec]) -> None:
        self.machine, self.wishes, self.rows = born(specs)
        self.largest = 0
        self.longest_s = 0.0
        self.slices = 0

    def tell(self, event: events.Event) -> None:
        """Apply it, and its slices as the driver would; a commit after each of them."""
        self._apply(event)
        while self.machine.slices_pending:
            assert isinstance(self.wishes[-1], commands.ContinueLater)
            self.slices += 1
            self._apply(events.SliceDue(0))

    def _apply(self, event: events.Event) -> None:
        before = time.process_time()
        self.wishes = self.machine.apply(event)
        expected, changes = self.machine.state.take()
        self.longest_s = max(self.longest_s, time.process_time() - before)
        self.largest = max(self.largest, len(changes.tasks))
        self.rows.commit(expected, changes)

    def succeed(self, seq: int, *adds: TaskSpec) -> None:
        self.tell(events.SlotGranted(seq, 0))
        self.tell(events.AttemptEnded(seq, 1, 0, OK, adds))

    def counts(self) -> dict[str, int]:
        return dict(Counter(task.status.value for task in self.rows.tasks.values()))

    def assert_sliced(self) -> None:
        assert self.slices >= HUGE // SLICE - 1
        assert self.largest <= SLICE + 1
        assert self.longest_s < 0.5


def fan() -> list[TaskSpec]:
    return [task("top"), *(task(f"t{n}", "top") for n in range(HUGE))]


def chain() -> list[TaskSpec]:
    return [task("t0"), *(task(f"t{n}", f"t{n - 1}") for n in range(1, HUGE))]


@pytest.mark.slow
def test_a_mass_becomes_ready_in_slices() -> None:
    mass = Mass(fan())
    mass.succeed(1)
    assert mass.counts() == {"succeeded": 1, "ready": HUGE}
    mass.assert_sliced()


@pytest.mark.slow
@pytest.mark.parametrize("specs", [fan, chain], ids=["fan", "chain"])
def test_a_mass_is_skipped_in_slices_and_the_workflow_ends(specs: object) -> None:
    mass = Mass(specs())  # type: ignore[operator]
    mass.tell(events.SlotGranted(1, 0))
    mass.tell(events.AttemptEnded(1, 1, 0, FAILED))
    assert mass.counts() == {"cancelled": 1, "skipped": len(mass.rows.tasks) - 1}
    mass.assert_sliced()
    assert mass.machine.ended and mass.rows.workflow.status.value == "failed"


@pytest.mark.slow
@pytest.mark.parametrize("specs", [fan, chain], ids=["fan", "chain"])
def test_a_mass_is_cancelled_in_slices_and_the_workflow_ends(specs: object) -> None:
    mass = Mass(specs())  # type: ignore[operator]
    mass.tell(events.CancelRequested(0))
    assert mass.counts() == {"cancelled": len(mass.rows.tasks)}
    mass.assert_sliced()
    assert mass.machine.ended and mass.rows.workflow.status.value == "cancelled"


@pytest.mark.slow
@pytest.mark.parametrize("what", ["ready", "skip", "cancel"])
def test_a_restart_between_any_two_slices_goes_on_where_it_stood(what: str) -> None:
    mass = Mass([task("top"), *(task(f"t{n}", "top") for n in range(5 * SLICE))])
    if what != "cancel":
        mass.machine.apply(events.SlotGranted(1, 0))
    event: events.Event = events.CancelRequested(0)
    if what != "cancel":
        event = events.AttemptEnded(1, 1, 0, OK if what == "ready" else FAILED)
    mass._apply(event)
    restarts = 0
    requested: set[int] = set()
    while True:
        requested |= {wish.seq for wish in mass.wishes if isinstance(wish, commands.RequestSlot)}
        mass.machine, wishes = mass.rows.rebuild()
        pending = mass.machine.slices_pending
        mass._apply(events.SliceDue(0))
        mass.wishes = wishes + mass.wishes
        restarts += 1
        if mass.machine.ended or not pending or restarts > 20:
            break
    assert 3 <= restarts <= 20
    assert mass.largest <= SLICE + 1
    if what == "ready":
        assert mass.counts() == {"succeeded": 1, "ready": 5 * SLICE} and len(requested) == 5 * SLICE
    else:
        assert mass.machine.ended


@pytest.mark.slow
def test_a_chain_of_100000_runs_through() -> None:
    mass = Mass(chain())
    before = time.process_time()
    for seq in range(1, HUGE + 1):
        mass.succeed(seq)
    assert mass.machine.ended and mass.rows.workflow.status.value == "succeeded"
    assert time.process_time() - before < 30
    assert mass.longest_s < 0.5


@pytest.mark.slow
def test_a_submission_of_100000_with_300000_edges_is_born_in_seconds() -> None:
    specs = [task(f"t{n}", *{f"t{(n * k) // 4}" for k in (1, 2, 3) if n}) for n in range(HUGE)]
    before = time.process_time()
    machine, _, rows = born(specs)
    rows.rebuild()
    assert time.process_time() - before < 10
    assert sum(len(each.dependents) for each in machine.state.all_tasks()) > 290_000


def deepen(machine: Machine, rows: Rows, levels: int) -> None:
    """Each task adds one: `levels` deep."""
    for _ in range(levels):
        seq = len(machine.state.tasks) - 1
        machine.apply(events.SlotGranted(seq, 0))
        machine.apply(events.AttemptEnded(seq, 1, 0, OK, (task("t"),)))
        _, changes = machine.state.take()
        rows.workflow = changes.workflow or rows.workflow  # the rows themselves are not kept: memory is measured


def test_memory_per_level_of_a_deep_expansion_is_flat() -> None:
    machine, _, rows = born([task("top"), task("after", "top")])
    machine.apply(events.SlotGranted(1, 0))
    machine.apply(events.AttemptEnded(1, 1, 0, OK, (task("t"),)))
    deepen(machine, rows, 200)
    tracemalloc.start()
    try:
        sizes = [tracemalloc.get_traced_memory()[0]]
        for _ in range(4):
            deepen(machine, rows, 500)
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    growth = [(after - before) / 500 for before, after in pairwise(sizes)]
    assert max(growth) < 4_096, "bytes per level"
    assert max(growth) < 1.5 * min(growth)


@pytest.mark.slow
def test_an_expansion_100000_deep_completes_in_slices_up_to_its_top() -> None:
    machine, _, rows = born([task("top"), task("after", "top")])
    machine.apply(events.SlotGranted(1, 0))
    machine.apply(events.AttemptEnded(1, 1, 0, OK, (task("t"),)))
    deepen(machine, rows, HUGE - 10)
    last = len(machine.state.tasks) - 1
    assert machine.state.task(last).row.depth == HUGE - 9
    machine.apply(events.SlotGranted(last, 0))
    wishes = machine.apply(events.AttemptEnded(last, 1, 0, OK))
    assert wishes == [commands.ReleaseSlot(last), commands.ContinueLater()]
    assert commands.RequestSlot(2) in drain(machine, 0)


@pytest.mark.slow
def test_an_expansion_that_is_too_deep_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provisioning_orchestrator.workflow.expansion.DEPTH_MAX", 3)
    machine, _, rows = born([task("top")])
    deepen(machine, rows, 3)
    machine.apply(events.SlotGranted(4, 0))
    machine.apply(events.AttemptEnded(4, 1, 0, OK, (task("t"),)))
    error = machine.state.task(4).error
    assert error is not None and error.code == "bad_expansion" and "3 deep" in error.message
