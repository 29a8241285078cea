"""Which sets of tasks are taken, and what is said of the others."""

from __future__ import annotations

import random
import re
import time
from itertools import pairwise

import pytest

from provisioning_orchestrator.workflow.graph import FAULTS_MAX, check_graph, find_cycle
from provisioning_orchestrator.workflow.spec import TaskSpec

HUGE = 100_000


def task(id: str, *needs: str) -> TaskSpec:
    return TaskSpec(id, "play", needs=needs)


def test_a_dag_has_no_faults() -> None:
    assert check_graph([task("d", "b", "c"), task("b", "a"), task("c", "a", "a"), task("a")]) == []


def test_no_tasks_are_a_dag() -> None:
    assert check_graph([]) == []


def test_a_duplicate_id_names_its_first_place() -> None:
    (fault,) = check_graph([task("a"), task("b"), task("a")])
    assert fault.pointer == "/tasks/2/id"
    assert "'a'" in fault.detail and "/tasks/0" in fault.detail


def test_a_missing_need_suggests_what_may_be_meant() -> None:
    (fault,) = check_graph([task("web-1"), task("b", "web-1", "web-l")])
    assert fault.pointer == "/tasks/1/needs/1"
    assert "'b'" in fault.detail and "'web-l'" in fault.detail
    assert fault.hint == "did you mean 'web-1'?"


def test_a_missing_need_that_resembles_nothing_still_says_what_to_do() -> None:
    (fault,) = check_graph([task("a", "zzz")])
    assert fault.hint


def test_a_self_dependency_is_named() -> None:
    (fault,) = check_graph([task("b"), task("a", "b", "a")])
    assert (fault.pointer, fault.detail) == ("/tasks/1/needs/1", "task 'a' needs itself")


def test_a_cycle_is_named_by_its_path() -> None:
    (fault,) = check_graph([task("z"), task("a", "z", "c"), task("b", "a"), task("c", "b"), task("y", "c")])
    path = re.search(r"3 tasks: (.*)", fault.detail)
    assert path is not None
    names = path[1].split(" → ")
    assert names[0] == names[-1] and set(names) == {"a", "b", "c"}
    needs = {"a": ("z", "c"), "b": ("a",), "c": ("b",)}
    assert all(need in needs[name] for name, need in pairwise(names))


def test_all_faults_come_at_once() -> None:
    faults = check_graph([task("a", "a"), task("a"), task("b", "nope")])
    assert [fault.pointer for fault in faults] == ["/tasks/1/id", "/tasks/0/needs/0", "/tasks/2/needs/0"]


def test_faults_are_bounded() -> None:
    assert len(check_graph([task(f"t{n}", "nope") for n in range(1_000)])) == FAULTS_MAX
    assert len(check_graph([task("t") for _ in range(1_000)])) == FAULTS_MAX


def test_the_pointer_begins_where_the_tasks_stand() -> None:
    (fault,) = check_graph([task("a", "a")], pointer="/result/tasks")
    assert fault.pointer == "/result/tasks/0/needs/0"


@pytest.mark.parametrize("forwards", [True, False])
def test_a_chain_of_100000_is_an_ordinary_workflow(forwards: bool) -> None:
    tasks = [task("t0")] + [task(f"t{n}", f"t{n - 1}") for n in range(1, HUGE)]
    assert check_graph(tasks if forwards else tasks[::-1]) == []


def test_100000_tasks_with_300000_edges_are_checked_in_seconds() -> None:
    chance = random.Random(1)
    tasks = [task(f"t{n}", *{f"t{chance.randrange(n)}" for _ in range(min(n, 3))}) for n in range(HUGE)]
    assert sum(len(each.needs) for each in tasks) > 299_000
    before = time.process_time()
    assert check_graph(tasks) == []
    assert time.process_time() - before < 5


def test_a_cycle_of_50000_is_found_and_shown_short() -> None:
    tasks = [task(f"t{n}", f"t{(n + 1) % 50_000}") for n in range(50_000)]
    (fault,) = check_graph(tasks)
    assert "50000 tasks" in fault.detail and "more …" in fault.detail and len(fault.detail) < 500


def test_a_cycle_is_found_exactly_where_there_is_one() -> None:
    """Against a plain depth-first search, over many small random graphs."""
    for seed in range(2_000):
        chance = random.Random(seed)
        count = chance.randint(1, 7)
        needs = [[n for n in range(count) if n != m and chance.random() < 0.25] for m in range(count)]
        cycle = find_cycle(needs)
        assert (cycle is not None) == any(_reaches(needs, need, m) for m in range(count) for need in needs[m])
        if cycle is not None:
            assert len(set(cycle)) == len(cycle)
            assert all(b in needs[a] for a, b in zip(cycle, [*cycle[1:], cycle[0]], strict=True))


def _reaches(needs: list[list[int]], start: int, goal: int, seen: frozenset[int] = frozenset()) -> bool:
    if start == goal:
        return True
    return any(_reaches(needs, need, goal, seen | {start}) for need in needs[start] if need not in seen)
