"""Attempts that wait for child workflows: how many live at a time, and that none of them waits for ever."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from provisioning_orchestrator.workflow.admission import DEPTH_MAX, Admission, Place


@dataclass
class Task:
    """plan: the sizes of the workflows that it submits. fails: how many of its attempts fail when these have ended.

    leaves: it ends without waiting for them.
    """

    plan: list[int]
    fails: int = 0
    leaves: bool = False
    running: bool = False
    ended: bool = False
    children: list[str] = field(default_factory=list)


class World:
    """Workflows of tasks that submit workflows; what the engine does with admission, without all the rest."""

    def __init__(self, seed: int, slots: int, loans_max: int, *, deep: int, wide: int, total: int) -> None:
        self.chance = random.Random(seed)
        self.admission = Admission(slots, loans_max)
        self.deep, self.wide, self.left = deep, wide, total
        self.workflows: dict[str, list[Task]] = {}
        self.parents: dict[str, Place | None] = {}
        self.levels: dict[str, int] = {}
        self.open: dict[str, int] = {}  # tasks that have not ended
        self.alive_most = 0
        self.refused = 0

    # --- the rows ----------------------------------------------------------------------------------------------------

    def submit(self, size: int, parent: Place | None = None) -> str:
        id = f"w{len(self.workflows)}"
        level = self.levels[id] = self.levels[parent[0]] + 1 if parent else 0
        self.parents[id] = parent
        self.workflows[id] = [self.task(level) for _ in range(size)]
        self.left -= size
        self.open[id] = size
        self.register(id)
        for seq in range(size):
            self.admission.request(id, seq)
        return id

    def task(self, level: int) -> Task:
        if level >= self.deep or self.left <= 0:
            return Task([])
        plan = [self.chance.randint(1, self.wide) for _ in range(self.chance.randint(0, self.wide))]
        return Task(plan, fails=self.chance.randint(0, 1), leaves=self.chance.random() < 0.15)

    def lives(self, id: str) -> bool:
        return self.open[id] > 0

    def open_children(self, id: str, seq: int) -> list[str]:
        return [child for child in self.workflows[id][seq].children if self.lives(child)]

    # --- what the engine does ----------------------------------------------------------------------------------------

    def register(self, id: str) -> None:
        parent = self.parents[id]
        self.admission.enter(id, parent)
        if parent is not None:
            self.admission.lend(*parent)

    def grant(self) -> None:
        while granted := self.admission.grants():
            for id, seq in granted:
                assert not self.workflows[id][seq].running
                self.workflows[id][seq].running = True
                if self.open_children(id, seq):
                    self.admission.lend(id, seq)
        self.check()

    def restart(self, slots: int, loans_max: int) -> None:
        """Another daemon, perhaps with other settings: everything is derived again from the rows."""
        self.admission = Admission(slots, loans_max)
        living = [id for id in self.workflows if self.lives(id)]
        for id in living:
            self.register(id)
        for id in living:
            for seq, task in enumerate(self.workflows[id]):
                if task.running:
                    self.admission.hold(id, seq)
                    if self.open_children(id, seq):
                        self.admission.lend(id, seq)
                elif not task.ended:
                    self.admission.request(id, seq)

    # --- what operations do ------------------------------------------------------------------------------------------

    def busy(self) -> list[Place]:
        """Attempts that can go on by themselves: they do not wait for a child."""
        found = []
        for id in [id for id in self.workflows if self.lives(id)]:
            for seq, task in enumerate(self.workflows[id]):
                submits = len(task.children) < len(task.plan)
                if task.running and (submits or task.leaves or not self.open_children(id, seq)):
                    found.append((id, seq))
        return found

    def go_on(self, id: str, seq: int) -> None:
        task = self.workflows[id][seq]
        if len(task.children) < len(task.plan):
            if self.admission.may_have_children(id, seq):
                task.children.append(self.submit(task.plan[len(task.children)], (id, seq)))
            else:
                self.refused += 1
                task.plan = task.plan[: len(task.children)]
            return
        task.running = False
        self.admission.release(id, seq)
        if task.fails:
            task.fails -= 1
            self.admission.request(id, seq)
            return
        task.ended = True
        self.open[id] -= 1
        if not self.lives(id):
            parent = self.parents[id]
            if parent is not None and not self.open_children(*parent):
                self.admission.reclaim(*parent)
            self.admission.forget(id)

    def check(self) -> None:
        self.alive_most = max(self.alive_most, self.admission.running)

    def until_all_ended(self, restarts: float = 0.0) -> None:
        self.grant()
        while any(self.lives(id) for id in self.workflows):
            busy = self.busy()
            assert busy, f"locked up: {self.admission.running} wait, {self.admission.waiting} want to start"
            self.go_on(*self.chance.choice(busy))
            if self.chance.random() < restarts:
                self.restart(self.chance.randint(1, 4), self.chance.randint(0, 3))
            self.grant()


def test_trees_deeper_and_wider_than_the_slots_always_end() -> None:
    for seed in range(60):
        chance = random.Random(seed)
        slots, loans_max, deep = chance.randint(1, 3), chance.randint(0, 2), chance.randint(1, 12)
        world = World(seed, slots, loans_max, deep=deep, wide=3, total=150)
        for _ in range(3):
            world.submit(5)
        world.until_all_ended()
        assert world.alive_most <= (slots + loans_max) * (deep + 1), seed


def test_they_end_whatever_restarts_and_changed_settings_come_between() -> None:
    for seed in range(60):
        world = World(seed, 4, 3, deep=random.Random(seed).randint(1, 12), wide=3, total=120)
        for _ in range(3):
            world.submit(5)
        world.until_all_ended(restarts=0.1)


def test_the_check_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bound on all loans together, the obvious one, locks up."""
    monkeypatch.setattr(Admission, "_has_room", lambda self, _: self.running < self.slots + self.loans_max)

    def trees() -> None:
        for seed in range(50):
            world = World(seed, 2, 2, deep=6, wide=3, total=150)
            world.submit(5)
            world.until_all_ended()

    with pytest.raises(AssertionError, match="locked up"):
        trees()


def test_parents_that_wait_are_as_many_processes_as_one_depth_holds() -> None:
    admission = Admission(10, 20)
    admission.enter("parents")
    for seq in range(1000):
        admission.request("parents", seq)
    children = []
    while granted := admission.grants():
        for place in granted:  # each submits a child, whose task waits for a retry's delay
            children.append(f"child{place[1]}")
            admission.enter(children[-1], place)
            admission.lend(*place)
    assert admission.running == 30, "10 slots and 20 loans"
    assert admission.why("parents").startswith("one of 30 attempts of workflows that are nobody's children to end (30")
    for child in children:
        admission.request(child, 1)
    assert len(admission.grants()) == 10, "their children have a depth of their own"
    assert admission.why(children[-1]) == "one of 10 slots, all in use (30 more attempts wait for children)"
    admission.release(children[0], 1)
    admission.forget(children[0])
    assert admission.grants() == [(children[10], 1)], "while it is full above"


def chain(admission: Admission, length: int) -> str:
    """w0's task submitted w1, whose task submitted w2 …, all alive; the last one."""
    for number in range(length + 1):
        admission.enter(f"w{number}", (f"w{number - 1}", 1) if number else None)
        if number:
            admission.lend(f"w{number - 1}", 1)
        admission.request(f"w{number}", 1)
        assert admission.grants() == [(f"w{number}", 1)]
    return f"w{length}"


def test_no_depth_takes_room_from_another() -> None:
    admission = Admission(1, 0)
    last = chain(admission, DEPTH_MAX)
    assert admission.running == DEPTH_MAX + 1
    assert not admission.may_have_children(last, 1)
    assert admission.may_have_children(f"w{DEPTH_MAX - 1}", 1)
    admission.request("w0", 2)
    admission.release(last, 1)
    assert admission.grants() == [] and "at most 1 (slots) + 0 (loans_max)" in admission.why("w0")


def test_a_task_may_submit_its_successor_and_end_for_ever() -> None:
    admission = Admission(1, 0)
    for number in range(5 * DEPTH_MAX):
        admission.enter(f"w{number}", (f"w{number - 1}", 1) if number else None)
        if number:
            admission.lend(f"w{number - 1}", 1)
        admission.request(f"w{number}", 1)
        assert admission.grants() == [(f"w{number}", 1)]
        if number:
            admission.release(f"w{number - 1}", 1)
            admission.forget(f"w{number - 1}")
        assert admission.may_have_children(f"w{number}", 1), number


def test_who_is_no_childs_child_any_more_is_served_as_such() -> None:
    admission = Admission(1, 0)
    chain(admission, 1)
    admission.enter("other", ("w0", 1))
    admission.request("other", 1)
    admission.request("other", 2)
    admission.release("w1", 1)
    admission.lend("w0", 1)
    assert admission.grants() == [("other", 1)]
    admission.lend("other", 1)
    assert admission.grants() == [], "there is one of its depth"
    admission.release("w0", 1)
    admission.forget("w0")
    assert admission.grants() == [("other", 2)]


def test_settings_that_shrink_lock_nobody_up() -> None:
    world = World(7, 50, 50, deep=3, wide=3, total=600)
    for _ in range(3):
        world.submit(30)
    world.grant()
    for _ in range(400):
        world.go_on(*world.chance.choice(world.busy()))
        world.grant()
    before = world.admission.running
    assert before > 50
    world.restart(1, 0)
    world.until_all_ended()


def test_depths_are_counted_rightly_after_any_traffic() -> None:
    for seed in range(60):
        world = World(seed, 3, 2, deep=8, wide=3, total=80)
        world.submit(4)
        world.until_all_ended(restarts=0.05)
        admission = world.admission
        assert not any(admission._alive.values())
        left = (admission._held, admission._lent, admission._requests, admission._turns, admission._queued_at)
        assert not any(left) and not admission._parents
        assert not any(admission._children.values())
