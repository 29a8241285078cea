"""Tasks as JSON values → TaskSpecs."""

from __future__ import annotations

from typing import Any

import pytest

from provisioning_orchestrator.ports import AmbiguousOperation, Operation, UnknownOperation
from provisioning_orchestrator.workflow.spec import ONCE, REPEATABLE, RetryPolicy, TaskSpec
from provisioning_orchestrator.workflow.taskdoc import UnknownOperationFault, read_task, read_tasks

SCHEMA = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"type": "string"}, "size": {"enum": ["s", "m"]}, "count": {"type": "integer"}},
    "additionalProperties": False,
}
KNOWN = {
    "a/plain": Operation("a/plain", ""),
    "a/finder": Operation("a/finder", "", repeatable=True),
    "a/slow": Operation("a/slow", "", timeout_s=900.0, retry=RetryPolicy(attempts_max=7)),
    "a/strict": Operation("a/strict", "", params_schema=SCHEMA),
}


def describe(name: str) -> Operation:
    if name == "a/twice":
        raise AmbiguousOperation("a/twice is there as create.py and create.nu")
    if name not in KNOWN:
        raise UnknownOperation(name, ["a/plain"])
    return KNOWN[name]


def good(**fields: Any) -> TaskSpec:
    spec, faults = read_task({"id": "x", "operation": "a/plain", **fields}, "/t", describe, submitted=True)
    assert faults == []
    assert spec is not None
    return spec


def faults_of(doc: Any, submitted: bool = True) -> list[tuple[str, str, str | None]]:
    spec, faults = read_task(doc, "/t", describe, submitted=submitted)
    assert (spec is None) == bool(faults)
    return [(fault.pointer, fault.detail, fault.hint) for fault in faults]


def test_what_a_task_leaves_out_is_filled_from_the_contract() -> None:
    assert good() == TaskSpec("x", "a/plain", b"{}", (), None, False, 300.0, ONCE)


def test_a_repeatable_operation_gets_three_attempts() -> None:
    assert good(operation="a/finder").retry == REPEATABLE
    assert good(repeatable=True).retry == REPEATABLE
    assert good(operation="a/finder", repeatable=False).retry == ONCE


def test_the_sidecar_is_asked_before_the_contract_and_after_the_task() -> None:
    slow = good(operation="a/slow")
    assert (slow.timeout_s, slow.retry.attempts_max) == (900.0, 7)
    own = good(operation="a/slow", timeout_s=5, retry={"attempts_max": 2})
    assert (own.timeout_s, own.retry) == (5, RetryPolicy(attempts_max=2))


def test_a_retry_fills_what_it_leaves_out_and_knows_fixed_and_boolean_jitter() -> None:
    assert good(retry={}).retry == REPEATABLE
    assert good(retry={"backoff": "fixed"}).retry.backoff == "constant"
    assert good(retry={"jitter": True}).retry.jitter == 0.2
    assert good(retry={"jitter": False}).retry.jitter == 0.0
    assert good(retry={"jitter": 1}).retry.jitter == 1.0


def test_params_keep_every_character() -> None:
    params = {"name": "o'brien\n--help $(id) 😀 \x1b[31m", "n": 9007199254740993}
    assert good(params=params).params == (
        b'{"name":"o\'brien\\n--help $(id) \xf0\x9f\x98\x80 \\u001b[31m","n":9007199254740993}'
    )


def test_needs_are_a_set() -> None:
    assert good(needs=["b", "a", "b"]).needs == ("b", "a")


def test_all_faults_of_a_task_come_at_once_with_what_was_probably_meant() -> None:
    doc = {
        "id": "no spaces",
        "opertion": "a/plain",
        "needs": "b",
        "key": 7,
        "params": [],
        "repeatable": "yes",
        "timeout_s": 0,
        "retry": {"attempts_max": 0, "backoff": "exponental", "delay_s": -1, "jitter": 2, "tries": 3},
    }
    found = faults_of(doc)
    assert sorted(pointer for pointer, _, _ in found) == [
        "/t",
        "/t/id",
        "/t/key",
        "/t/needs",
        "/t/opertion",
        "/t/params",
        "/t/repeatable",
        "/t/retry/attempts_max",
        "/t/retry/backoff",
        "/t/retry/delay_s",
        "/t/retry/jitter",
        "/t/retry/tries",
        "/t/timeout_s",
    ]
    hints = {pointer: hint for pointer, _, hint in found}
    assert hints["/t/opertion"] == "did you mean `operation`?"
    assert hints["/t/retry/backoff"] == "did you mean 'exponential'?"


@pytest.mark.parametrize("doc", [None, [], "x", 1, True])
def test_what_is_no_object_is_no_task(doc: Any) -> None:
    assert [pointer for pointer, _, _ in faults_of(doc)] == ["/t"]


@pytest.mark.parametrize("id", ["", "a b", "a/b", "é", "a\n", "x" * 65, 7, None, ["a"]])
def test_an_id_outside_the_pattern_is_refused(id: Any) -> None:
    assert [pointer for pointer, _, _ in faults_of({"id": id, "operation": "a/plain"})] == ["/t/id"]


def test_ids_of_expansions_are_refused_at_submission_only() -> None:
    assert [pointer for pointer, _, _ in faults_of({"id": "12.web", "operation": "a/plain"})] == ["/t/id"]
    assert faults_of({"id": "12.web", "operation": "a/plain"}, submitted=False) == []
    assert good(id="12web.x").id == "12web.x"


@pytest.mark.parametrize("number", [True, float("nan"), float("inf"), "5", 1e12, -1])
def test_a_timeout_is_a_finite_number_above_zero(number: Any) -> None:
    doc = {"id": "x", "operation": "a/plain", "timeout_s": number}
    assert [pointer for pointer, _, _ in faults_of(doc)] == ["/t/timeout_s"]


def test_an_unknown_operation_is_a_fault_of_its_own_kind() -> None:
    specs, faults = read_tasks(
        [{"id": "x", "operation": "a/none"}, {"id": "y", "operation": "a/twice"}], "/tasks", describe
    )
    assert specs == []
    assert [(type(fault) is UnknownOperationFault, fault.pointer) for fault in faults] == [
        (True, "/tasks/0/operation"),
        (False, "/tasks/1/operation"),
    ]
    assert "did you mean 'a/plain'?" in faults[0].detail


def test_params_are_held_against_the_schema_of_the_sidecar() -> None:
    def pointers(params: Any) -> list[str]:
        return [p for p, _, _ in faults_of({"id": "x", "operation": "a/strict", "params": params})]

    assert pointers({"name": "web", "size": "m", "count": 2}) == []
    assert pointers({"nme": "web", "size": "xl", "count": True}) == [
        "/t/params",
        "/t/params/nme",
        "/t/params/size",
        "/t/params/count",
    ]
    assert [p for p, _, _ in faults_of({"id": "x", "operation": "a/strict"})] == ["/t/params"]


def test_the_number_of_faults_is_limited() -> None:
    specs, faults = read_tasks([None] * 5_000, "/tasks", describe)
    assert (specs, len(faults)) == ([], 100)
