"""The machine by playbooks: what it is told, and all that follows. Every line also checks a restart at that point."""

from __future__ import annotations

from typing import Any

import pytest

from provisioning_orchestrator.testing.playbook import Playbook, task
from provisioning_orchestrator.workflow import events
from provisioning_orchestrator.workflow.events import Resolution
from provisioning_orchestrator.workflow.machine import LOST_MAX
from provisioning_orchestrator.workflow.outcome import Interpretation
from provisioning_orchestrator.workflow.records import TaskError
from provisioning_orchestrator.workflow.spec import EXPANSION_TASKS_MAX, RetryPolicy

PERMANENT = TaskError("quota", "no room", retryable=False)
TWICE = RetryPolicy(attempts_max=2, backoff="constant", delay_s=5, jitter=0)


# --- dependencies ----------------------------------------------------------------------------------------------------


def test_what_needs_nothing_asks_for_a_slot_at_once() -> None:
    Playbook(task("a"), task("b", "a"), task("c")).gives("request a", "request c")


def test_a_task_starts_when_it_gets_its_slot() -> None:
    book = Playbook(task("a"))
    book.slot("a").gives("a running", "workflow running", "start a 1").feeds("workflow.started", "task.started a")


def test_a_dependant_becomes_ready_when_all_it_needs_has_succeeded() -> None:
    book = Playbook(task("a"), task("b"), task("c", "a", "b"))
    book.slot("a")
    book.slot("b").gives("b running", "start b 1")
    book.ends("a", 1, exit_code=0).gives("release a", "a succeeded")
    book.ends("b", 1, exit_code=0).gives("release b", "request c", "b succeeded", "c ready")
    book.slot("c").ends("c", 1, exit_code=0).gives("release c", "c succeeded", "workflow succeeded")
    book.feeds("task.succeeded c", "workflow.succeeded")


def test_a_failed_task_skips_what_needs_it_near_and_far_and_the_rest_goes_on() -> None:
    book = Playbook(task("a"), task("b", "a"), task("c", "b"), task("x"), task("y", "x"))
    book.slot("a").slot("x")
    book.ends("a", 1, exit_code=1).gives("release a", "a failed", "b skipped", "c skipped")
    book.feeds("task.failed a", "task.skipped b", "task.skipped c")
    assert book.event("task.skipped").data == {"because": "b"}
    book.ends("x", 1, exit_code=0).gives("release x", "request y", "x succeeded", "y ready")
    book.slot("y").ends("y", 1, exit_code=0).gives("release y", "y succeeded", "workflow failed")
    assert book.event("workflow.failed").data["counts"] == {"succeeded": 2, "failed": 1, "skipped": 2}


def test_one_failed_need_is_enough_to_skip_whatever_the_others_do() -> None:
    book = Playbook(task("a"), task("b"), task("c", "a", "b"))
    book.slot("a").slot("b")
    book.ends("a", 1, exit_code=1).gives("release a", "a failed", "c skipped")
    book.ends("b", 1, exit_code=0).gives("release b", "b succeeded", "workflow failed")


def test_the_result_is_kept_and_partial_is_flagged_success() -> None:
    book = Playbook(task("a"), task("b", "a"))
    book.slot("a").ends("a", 1, exit_code=0, flagged=True, result=b'{"n":1}')
    book.gives("release a", "request b", "a succeeded", "b ready")
    assert book.rows.results == {1: b'{"n":1}'} and book.rows.tasks[1].flagged
    assert book.event("task.succeeded").data["partial"] is True
    book.slot("b").ends("b", 1, exit_code=0)
    assert book.workflow == "succeeded" and not book.rows.tasks[2].flagged


# --- late, repeated and misdirected facts ----------------------------------------------------------------------------


def test_a_repeated_end_changes_nothing() -> None:
    book = Playbook(task("a"), task("b", "a"))
    book.slot("a").ends("a", 1, exit_code=0)
    book.ends("a", 1, exit_code=0).gives_nothing()
    book.ends("a", 1, exit_code=1).gives_nothing()
    book.lost("a", 1).gives_nothing()
    book.never_started("a", 1).gives_nothing()


def test_the_end_of_an_earlier_attempt_does_not_end_the_running_one() -> None:
    book = Playbook(task("a", retry=RetryPolicy(3, "constant", 0, 0, 0)))
    book.slot("a").ends("a", 1, exit_code=1).slot("a").is_at(a="running")
    book.ends("a", 1, exit_code=0).gives_nothing()
    book.lost("a", 1).gives_nothing()
    book.never_started("a", 1).gives_nothing()
    book.reports("a", 1, 0, {"type": "progress"}).gives_nothing()
    book.ends("a", 2, exit_code=0).gives("release a", "a succeeded", "workflow succeeded")


def test_a_slot_that_nobody_needs_any_more_is_given_back() -> None:
    book = Playbook(task("a"), task("b", "a"))
    book.slot("b").gives("release b")
    book.cancel().is_at(a="cancelled")
    book.slot("a").gives("release a")


def test_facts_after_the_end_change_nothing() -> None:
    book = Playbook(task("a"))
    book.slot("a").ends("a", 1, exit_code=0)
    book.cancel().gives_nothing()
    book.delay_ended("a").gives_nothing()
    book.resolve("a", "failed").gives_nothing()
    book.told(events.SliceDue(book.at)).gives_nothing()


def test_a_task_that_is_not_there_is_a_bug_and_raises() -> None:
    book = Playbook(task("a"))
    for seq in (0, 2, -1):
        with pytest.raises(AssertionError, match="no task"):
            book.machine.apply(events.DelayEnded(seq, 0))


# --- reports ---------------------------------------------------------------------------------------------------------


def test_reports_go_to_the_feed_once_and_survive_a_restart() -> None:
    book = Playbook(task("a"))
    book.slot("a")
    created = {"type": "resource.created", "kind": "server", "id": "s-1", "attempt": 99, "task": "x"}
    book.reports("a", 1, 0, {"type": "progress", "message": "half"}, created)
    book.feeds("task.progress a", "resource.created a")
    assert book.event("resource.created").data == {"attempt": 1, "kind": "server", "id": "s-1"}
    book.reports("a", 1, 0, {"type": "progress"}).gives_nothing()
    book.restarted().reports("a", 1, 0, {"type": "progress"}).gives_nothing()
    book.reports("a", 1, 10, {"type": "odd"}).feeds("task.reported a")


@pytest.mark.parametrize("report", [{}, {"type": None}, {"type": ["x"]}, {"type": "progress", "data": 1, "type_": 2}])
def test_a_report_of_any_shape_is_taken(report: dict[str, object]) -> None:
    book = Playbook(task("a"))
    book.slot("a").reports("a", 1, 0, report)
    assert len(book.changes.events) == 1


# --- retry -----------------------------------------------------------------------------------------------------------


def test_a_failure_that_may_be_retried_waits_and_is_attempted_again() -> None:
    book = Playbook(task("a", retry=TWICE), task("b", "a"))
    book.slot("a").ends("a", 1, exit_code=1).gives("release a", "a waiting", "timer a 5s")
    book.feeds("task.retrying a")
    assert book.event("task.retrying").data["due_at"] == 5_000_000
    book.later(4.9).delay_ended("a").gives_nothing()
    book.later(0.1).delay_ended("a").gives("request a", "a ready")
    book.delay_ended("a").gives_nothing()
    book.slot("a").gives("a running", "start a 2")
    book.ends("a", 2, exit_code=1).gives("release a", "a failed", "b skipped", "workflow failed")


def test_a_permanent_failure_is_not_retried() -> None:
    book = Playbook(task("a", retry=TWICE))
    book.slot("a").ends("a", 1, error=PERMANENT).gives("release a", "a failed", "workflow failed")
    assert book.rows.tasks[1].error == PERMANENT


def test_an_operation_may_ask_for_a_longer_wait() -> None:
    book = Playbook(task("a", retry=TWICE))
    book.slot("a").ends("a", 1, error=TaskError("busy", "later", retry_after_s=60))
    book.gives("release a", "a waiting", "timer a 60s")
    book.restarted().gives("timer a 60s")


def test_without_a_delay_it_is_ready_at_once() -> None:
    book = Playbook(task("a", retry=RetryPolicy(2, "constant", 0, 0, 0)))
    book.slot("a").ends("a", 1, exit_code=1).gives("release a", "request a", "a ready")


def test_jitter_is_drawn_by_who_tells_the_fact() -> None:
    book = Playbook(task("a", retry=RetryPolicy(2, "constant", 10, 10, 0.5)))
    book.slot("a").ends("a", 1, exit_code=1, fraction=0.5).gives("release a", "a waiting", "timer a 7.5s")


def test_success_after_failures_forgets_the_error() -> None:
    book = Playbook(task("a", retry=TWICE))
    book.slot("a").ends("a", 1, exit_code=1).later(5).delay_ended("a").slot("a").ends("a", 2, exit_code=0)
    assert book.rows.tasks[1].error is None and book.workflow == "succeeded"
    assert [attempt.status.value for attempt in book.rows.attempts.values()] == ["failed", "succeeded"]


def test_never_started_attempts_do_not_count_and_wait_ever_longer() -> None:
    book = Playbook(task("a"))
    book.slot("a").never_started("a", 1).gives("release a", "request a", "a ready")
    number = 1
    for delay in (1, 2, 4, 8, 16, 30, 30):
        number += 1
        book.slot("a").never_started("a", number).gives("release a", "a waiting", f"timer a {delay}s")
        book.later(delay).delay_ended("a").gives("request a", "a ready")
    book.slot("a").ends("a", number + 1, exit_code=1).gives("release a", "a failed", "workflow failed")
    assert (book.rows.tasks[1].attempt, book.rows.tasks[1].counted) == (9, 1)


def test_a_started_attempt_ends_the_row_of_never_started_ones() -> None:
    book = Playbook(task("a", repeatable=True, retry=RetryPolicy(9, "constant", 0, 0, 0)))
    book.slot("a").never_started("a", 1).slot("a").never_started("a", 2).is_at(a="waiting")
    book.later(1).delay_ended("a").slot("a").ends("a", 3, exit_code=1).is_at(a="ready")
    book.slot("a").never_started("a", 4).is_at(a="ready")
    book.slot("a").lost("a", 5).is_at(a="ready")
    book.slot("a").never_started("a", 6).is_at(a="ready")


# --- unknown ---------------------------------------------------------------------------------------------------------


def test_an_unseen_end_of_a_task_that_is_not_repeatable_waits_for_a_person() -> None:
    book = Playbook(task("a", retry=TWICE), task("b", "a"), task("c"))
    book.slot("a").lost("a", 1).gives("release a", "a unknown").feeds("task.unknown a")
    book.is_at(b="blocked")
    book.slot("c").ends("c", 1, exit_code=0)
    assert book.workflow == "running"
    book.restarted().gives()


def test_an_unseen_end_of_a_repeatable_task_is_run_again() -> None:
    book = Playbook(task("a", repeatable=True))
    book.slot("a").lost("a", 1).gives("release a", "request a", "a ready").feeds("task.requeued a")
    book.slot("a").gives("a running", "start a 2")


def test_a_repeatable_task_whose_end_is_never_seen_is_left_to_a_person_at_last() -> None:
    book = Playbook(task("a", repeatable=True))
    for number in range(1, LOST_MAX + 1):
        book.slot("a").lost("a", number).is_at(a="ready")
    book.slot("a").lost("a", LOST_MAX + 1).is_at(a="unknown")
    book.resolve("a", "retry").is_at(a="ready")
    book.slot("a").lost("a", LOST_MAX + 2).is_at(a="ready")


def test_a_person_decides_that_it_succeeded() -> None:
    book = Playbook(task("a"), task("b", "a"))
    book.slot("a").lost("a", 1).resolve("a", "succeeded").gives("request b", "a succeeded", "b ready")
    book.feeds("task.resolved a")
    assert book.event("task.resolved").data == {"as": "succeeded"}


def test_a_person_decides_that_it_failed() -> None:
    book = Playbook(task("a"), task("b", "a"))
    book.slot("a").lost("a", 1).resolve("a", "failed").gives("a failed", "b skipped", "workflow failed")
    error = book.rows.tasks[1].error
    assert error is not None and (error.code, error.retryable) == ("resolved", False)


def test_a_person_wants_it_run_again() -> None:
    book = Playbook(task("a"))
    book.slot("a").lost("a", 1).resolve("a", "retry").gives("request a", "a ready")
    book.slot("a").gives("a running", "start a 2")
    book.ends("a", 2, exit_code=1).gives("release a", "a failed", "workflow failed")


@pytest.mark.parametrize("resolution", ["succeeded", "failed", "retry"])
def test_only_an_unknown_task_can_be_resolved(resolution: Resolution) -> None:
    book = Playbook(task("a"), task("b", "a"))
    book.resolve("a", resolution).gives_nothing()
    book.slot("a").resolve("a", resolution).gives_nothing()
    book.resolve("b", resolution).gives_nothing()


# --- cancel ----------------------------------------------------------------------------------------------------------


def test_cancel_stops_running_tasks_and_starts_none() -> None:
    book = Playbook(task("a"), task("b"), task("c", "a"), task("d", retry=TWICE))
    book.slot("a").slot("d").ends("d", 1, exit_code=1).is_at(d="waiting")
    book.cancel().gives("withdraw", "b cancelled", "c cancelled", "d cancelled", "workflow running", "cancel a 1")
    book.cancel().gives_nothing()
    book.delay_ended("d").gives_nothing()
    book.ends("a", 1, signal=15, cancelled=True).gives("release a", "a cancelled", "workflow cancelled")


def test_cancel_before_anything_started_ends_the_workflow_at_once() -> None:
    book = Playbook(task("a"), task("b", "a"))
    book.cancel().gives("withdraw", "a cancelled", "b cancelled", "workflow cancelled")
    assert book.rows.workflow.started_at is None and book.rows.workflow.ended_at == book.at


def test_what_succeeds_in_spite_of_the_cancel_has_succeeded() -> None:
    book = Playbook(task("a"))
    book.slot("a").cancel().ends("a", 1, exit_code=0, result=b"1")
    book.gives("release a", "a succeeded", "workflow succeeded")


def test_what_fails_during_a_cancel_is_not_retried() -> None:
    book = Playbook(task("a", retry=TWICE))
    book.slot("a").cancel().ends("a", 1, exit_code=1).gives("release a", "a failed", "workflow failed")


def test_what_never_started_during_a_cancel_is_cancelled() -> None:
    book = Playbook(task("a"))
    book.slot("a").cancel().never_started("a", 1).gives("release a", "a cancelled", "workflow cancelled")


@pytest.mark.parametrize("repeatable", [True, False])
def test_cancel_ends_the_workflow_and_lists_what_is_unknown(repeatable: bool) -> None:
    book = Playbook(task("a", repeatable=repeatable), task("b", "a"), task("c"))
    book.slot("a").slot("c").cancel().is_at(b="cancelled")
    book.lost("a", 1).gives("release a", "a unknown")
    book.ends("c", 1, exit_code=0).gives("release c", "c succeeded", "workflow cancelled")
    assert book.event("workflow.cancelled").data["unknown"] == ["a"]


def test_cancel_of_a_workflow_that_waits_for_a_person_ends_it() -> None:
    book = Playbook(task("a"), task("b", "a"))
    book.slot("a").lost("a", 1).cancel()
    book.gives("withdraw", "b cancelled", "workflow cancelled")


@pytest.mark.parametrize("resolution", ["succeeded", "failed"])
def test_what_a_person_finds_out_after_the_cancel_is_kept(resolution: Resolution) -> None:
    book = Playbook(task("a"), task("b", "a"))
    book.slot("a").lost("a", 1).cancel()
    book.resolve("a", resolution).gives(f"a {resolution}").feeds("task.resolved a")
    assert book.workflow == "cancelled" and book.status("b") == "cancelled"


def test_a_retry_is_not_decided_for_a_workflow_that_is_cancelled() -> None:
    book = Playbook(task("a"), task("c"))
    book.slot("a").slot("c").lost("a", 1).cancel()
    book.resolve("a", "retry").gives_nothing()
    book.ends("c", 1, cancelled=True, signal=15)
    assert book.workflow == "cancelled"


def test_a_restart_in_the_middle_of_a_cancel_cancels_again() -> None:
    book = Playbook(task("a"), task("b", "a"))
    book.slot("a").cancel().restarted().gives("cancel a 1")


def test_an_expansion_that_comes_during_a_cancel_is_cancelled_with_it() -> None:
    book = Playbook(task("a"), task("b", "a"), task("x"))
    book.slot("a").slot("x").cancel()
    book.ends("a", 1, exit_code=0, adds=[task("c"), task("d", "c")])
    book.is_at(a="succeeded", b="cancelled", **{"1.c": "cancelled", "1.d": "cancelled"})
    assert "withdraw" in book.lines() and "start" not in "".join(book.lines())
    book.ends("x", 1, cancelled=True, signal=15).is_at(x="cancelled")
    assert book.workflow == "cancelled"


# --- expansion -------------------------------------------------------------------------------------------------------


def test_an_expansion_is_entered_under_its_parent_and_holds_its_dependants() -> None:
    book = Playbook(task("z"), task("a"), task("b", "a"))
    book.slot("a").ends("a", 1, exit_code=0, adds=[task("x"), task("y", "x")])
    book.gives("release a", "request 2.x", "a succeeded", "workflow running")
    book.feeds("tasks.added a", "task.succeeded a")
    added = book.event("tasks.added").data
    assert (added["parent"], added["total"]) == ("a", 2)
    assert [each["id"] for each in added["tasks"]] == ["2.x", "2.y"] and added["tasks"][1]["needs"] == ["2.x"]
    assert book.rows.workflow.tasks_total == 5 and book.rows.tasks[2].expanded == 2
    assert (book.rows.new[4].parent, book.rows.new[4].depth) == (2, 1)
    book.slot("2.x").ends("2.x", 1, exit_code=0).gives("release 2.x", "request 2.y", "2.x succeeded", "2.y ready")
    book.slot("2.y").ends("2.y", 1, exit_code=0).gives("release 2.y", "request b", "b ready", "2.y succeeded")


def test_a_failure_deep_below_skips_what_needs_the_top() -> None:
    book = Playbook(task("a"), task("b", "a"), task("c"))
    book.slot("a").ends("a", 1, exit_code=0, adds=[task("x"), task("w", "x"), task("free")])
    book.slot("1.x").ends("1.x", 1, exit_code=0, adds=[task("y")])
    book.slot("4.y").ends("4.y", 1, exit_code=1)
    book.gives("release 4.y", "b skipped", "1.w skipped", "4.y failed")
    book.is_at(a="succeeded", **{"1.x": "succeeded", "1.free": "ready"})
    for each in ("1.free", "c"):
        book.slot(each).ends(each, 1, exit_code=0)
    assert book.workflow == "failed"


def test_dependants_wait_for_an_unknown_task_below_what_they_need() -> None:
    book = Playbook(task("a"), task("b", "a"))
    book.slot("a").ends("a", 1, exit_code=0, adds=[task("x")])
    book.slot("1.x").lost("1.x", 1).is_at(b="blocked")
    book.resolve("1.x", "succeeded").gives("request b", "b ready", "1.x succeeded")


def test_an_empty_expansion_is_none() -> None:
    book = Playbook(task("a"), task("b", "a"))
    book.slot("a").ends("a", 1, exit_code=0, adds=[]).gives("release a", "request b", "a succeeded", "b ready")


@pytest.mark.parametrize(
    ("children", "named"),
    [
        ([task("x"), task("x")], "'x' is already used"),
        ([task("x", "nope")], "'nope'"),
        ([task("x", "x")], "needs itself"),
        ([task("x", "y"), task("y", "x")], "cycle"),
        ([task(f"t{n}") for n in range(EXPANSION_TASKS_MAX + 1)], "at most 10000"),
    ],
)
def test_a_bad_expansion_is_a_permanent_failure_and_adds_nothing(children: list[object], named: str) -> None:
    book = Playbook(task("a", retry=TWICE, repeatable=True), task("b", "a"))
    book.slot("a").ends("a", 1, exit_code=0, result=b"1", adds=children)  # type: ignore[arg-type]
    book.gives("release a", "a failed", "b skipped", "workflow failed")
    error = book.rows.tasks[1].error
    assert error is not None and (error.code, error.retryable) == ("bad_expansion", False) and named in error.message
    assert len(book.rows.new) == 2 and book.rows.results == {}


def test_a_failed_attempt_adds_nothing() -> None:
    book = Playbook(task("a"))
    book.slot("a").ends("a", 1, error=PERMANENT, adds=[task("x")])
    assert len(book.rows.new) == 1


def test_a_resource_that_was_announced_and_is_named_in_the_result_is_in_the_feed_once() -> None:
    book = Playbook(task("a"))
    created = {"type": "resource.created", "kind": "server", "id": "s-1"}
    book.slot("a").reports("a", 1, 0, created)
    book.ends("a", 1, resources=({"kind": "server", "id": "s-1"}, {"kind": "server", "id": "s-2"}))

    assert [each.data["id"] for each in book.rows.events if each.type == "resource.created"] == ["s-1", "s-2"]


def test_the_resources_of_a_result_are_in_the_feed_however_it_ended() -> None:
    resource = ({"kind": "server", "id": "s-1"},)
    ends: list[dict[str, Any]] = [{"exit_code": 0}, {"exit_code": 1}, {"signal": 15, "cancelled": True}]
    for how in ends:
        book = Playbook(task("a"))
        book.slot("a").ends("a", 1, resources=resource, **how)
        assert book.event("resource.created").data == {"attempt": 1, "kind": "server", "id": "s-1"}


# --- the rest --------------------------------------------------------------------------------------------------------


def test_a_workflow_without_tasks_ends_at_the_first_fact() -> None:
    book = Playbook.__new__(Playbook)
    with pytest.raises(AssertionError):
        book.__init__()  # type: ignore[misc]  # it has not ended although nothing is open
    book.told(events.SliceDue(0)).gives("workflow succeeded")


@pytest.mark.parametrize(
    ("seen_at", "kept"), [(None, 20_000_000), (15_000_000, 15_000_000), (0, 10_000_000), (99_000_000, 20_000_000)]
)
def test_an_attempt_ended_when_its_host_says_but_not_before_its_start_nor_after_now(
    seen_at: int | None, kept: int
) -> None:
    book = Playbook(task("a"))
    book.later(10).slot("a").later(10)
    book.told(events.AttemptEnded(1, 1, book.at, Interpretation(exit_code=0), ended_at=seen_at))
    (attempt,) = book.rows.attempts.values()
    assert (attempt.started_at, attempt.ended_at) == (10_000_000, kept)
    assert book.rows.workflow.ended_at == 20_000_000


def test_attempts_are_kept_with_how_they_ended() -> None:
    book = Playbook(task("a", repeatable=True, retry=RetryPolicy(9, "constant", 0, 0, 0)))
    book.slot("a").ends("a", 1, exit_code=3, note="2 bytes cut")
    book.slot("a").later(1).ends("a", 2, error=TaskError("signal", "s"), signal=9)
    book.slot("a").later(1).lost("a", 3)
    book.slot("a").never_started("a", 4)
    book.slot("a").later(1).ends("a", 5, exit_code=0)
    kept = [(a.status.value, a.exit_code, a.signal, a.note) for a in book.rows.attempts.values()]
    assert kept == [
        ("failed", 3, None, "2 bytes cut"),
        ("failed", None, 9, None),
        ("unknown", None, None, "nobody saw it"),
        ("never_started", None, None, "no room"),
        ("succeeded", 0, None, None),
    ]
    assert all(a.ended_at is not None and a.ended_at >= a.started_at for a in book.rows.attempts.values())
