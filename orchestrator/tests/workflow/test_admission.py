"""Who may run: slots, turns, and what a workflow that goes gives back."""

from __future__ import annotations

import random

import pytest

from provisioning_orchestrator.workflow.admission import Admission


def test_ten_run_and_the_eleventh_waits() -> None:
    admission = Admission(10)
    for seq in range(1, 12):
        admission.request("w", seq)
    assert admission.grants() == [("w", seq) for seq in range(1, 11)]
    assert (admission.running, admission.waiting) == (10, 1)
    assert admission.grants() == []
    admission.release("w", 3)
    assert admission.grants() == [("w", 11)]
    assert (admission.running, admission.waiting) == (10, 0)


def test_workflows_are_served_in_turn() -> None:
    admission = Admission(5)
    for seq in range(1, 100_001):
        admission.request("huge", seq)
    admission.request("small", 1)
    admission.request("tiny", 1)
    assert admission.grants() == [("huge", 1), ("small", 1), ("tiny", 1), ("huge", 2), ("huge", 3)]


def test_a_small_workflow_waits_for_one_turn_behind_a_huge_one() -> None:
    admission = Admission(1)
    for seq in range(1, 1_001):
        admission.request("huge", seq)
    assert admission.grants() == [("huge", 1)]
    admission.request("small", 7)
    admission.release("huge", 1)
    assert admission.grants() == [("huge", 2)]
    admission.release("huge", 2)
    assert admission.grants() == [("small", 7)]


def test_what_runs_already_holds_its_slot_even_if_there_are_too_few() -> None:
    admission = Admission(2)
    for seq in (1, 2, 3):
        admission.hold("w", seq)
    admission.hold("w", 3)
    admission.request("w", 4)
    assert admission.running == 3 and admission.grants() == []
    admission.release("w", 1)
    assert admission.grants() == []
    admission.release("w", 2)
    assert admission.grants() == [("w", 4)]


def test_a_release_that_comes_twice_gives_one_slot() -> None:
    admission = Admission(1)
    for seq in (1, 2, 3):
        admission.request("w", seq)
    assert admission.grants() == [("w", 1)]
    admission.release("w", 1)
    admission.release("w", 1)
    admission.release("other", 1)
    assert admission.grants() == [("w", 2)]
    assert admission.running == 1


def test_withdrawn_requests_are_not_granted_and_held_slots_are_kept() -> None:
    admission = Admission(1)
    for workflow in ("a", "b"):
        for seq in (1, 2):
            admission.request(workflow, seq)
    assert admission.grants() == [("a", 1)]
    admission.withdraw("a")
    admission.withdraw("a")
    assert (admission.running, admission.waiting) == (1, 2)
    admission.release("a", 1)
    assert admission.grants() == [("b", 1)]


def test_after_a_withdrawal_new_requests_are_granted() -> None:
    admission = Admission(1)
    admission.request("a", 1)
    admission.withdraw("a")
    admission.request("a", 2)
    assert admission.grants() == [("a", 2)]


def test_a_forgotten_workflow_gives_all_its_slots_back() -> None:
    admission = Admission(2)
    for seq in (1, 2, 3):
        admission.request("a", seq)
    assert admission.grants() == [("a", 1), ("a", 2)]
    admission.request("b", 1)
    admission.forget("a")
    assert (admission.running, admission.waiting) == (0, 1)
    admission.release("a", 1)
    assert admission.grants() == [("b", 1)]
    assert (admission.running, admission.waiting) == (1, 0)


def test_at_least_one_slot_is_needed() -> None:
    with pytest.raises(AssertionError):
        Admission(0)


def test_random_traffic_never_exceeds_the_slots_and_forgets_nobody() -> None:
    for seed in range(300):
        chance = random.Random(seed)
        slots = chance.randint(1, 4)
        admission = Admission(slots)
        asked: set[tuple[str, int]] = set()
        held: set[tuple[str, int]] = set()
        for seq in range(60):
            workflow = chance.choice("abc")
            kind = chance.random()
            if kind < 0.5:
                admission.request(workflow, seq)
                asked.add((workflow, seq))
            elif kind < 0.85 and held:
                one = chance.choice(sorted(held))
                admission.release(*one)
                held.discard(one)
            elif kind < 0.92:
                admission.withdraw(workflow)
                asked = {one for one in asked if one[0] != workflow}
            elif kind < 0.95:
                admission.forget(workflow)
                asked = {one for one in asked if one[0] != workflow}
                held = {one for one in held if one[0] != workflow}
            for one in admission.grants():
                asked.remove(one)
                held.add(one)
            assert (admission.running, admission.waiting) == (len(held), len(asked))
            assert len(held) == min(slots, len(held) + len(asked))


def test_a_lent_slot_does_not_count_until_it_is_reclaimed() -> None:
    admission = Admission(1)
    admission.request("parent", 1)
    assert admission.grants() == [("parent", 1)]
    admission.request("child", 1)
    assert admission.grants() == []
    admission.lend("parent", 1)
    assert admission.grants() == [("child", 1)]
    admission.reclaim("parent", 1)
    admission.release("child", 1)
    admission.request("other", 1)
    assert admission.grants() == []
    admission.release("parent", 1)
    assert admission.grants() == [("other", 1)]


def test_a_loan_ends_with_the_attempt_and_nobody_lends_what_he_does_not_hold() -> None:
    admission = Admission(1)
    admission.lend("w", 1)
    admission.hold("w", 1)
    admission.request("w", 2)
    assert admission.grants() == [], "what is not held cannot be lent"
    admission.lend("w", 1)
    admission.release("w", 1)
    assert admission.grants() == [("w", 2)]
    admission.request("w", 3)
    assert admission.grants() == [], "the loan ended with its attempt"
    admission.lend("w", 2)
    admission.forget("w")
    admission.request("v", 1)
    admission.request("v", 2)
    assert admission.grants() == [("v", 1)]
