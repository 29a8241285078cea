"""How the end of an attempt is read, by the examples that the core's direct mode reads as well."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from provisioning_orchestrator.workflow.outcome import interpret
from provisioning_orchestrator.workflow.spec import EXPANSION_TASKS_MAX

EXAMPLES = Path(__file__).parents[3] / "contract" / "examples"
CASES = json.loads((EXAMPLES / "outcomes.json").read_text(encoding="utf-8"))["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_an_end_is_read_as_the_contract_says(case: dict[str, Any]) -> None:
    outcome = interpret(
        exit_code=case.get("exit_code"),
        signal=case.get("signal"),
        result=_file(case),
        timed_out=case.get("timed_out", False),
    )
    expect = case["expect"]
    assert ("failed" if outcome.error else "succeeded") == expect["status"]
    if outcome.error is not None:
        assert (outcome.error.code, outcome.error.retryable) == (expect["code"], expect["retryable"])
        if "message" in expect:
            assert outcome.error.message == expect["message"]
        if "retry_after_s" in expect:
            assert outcome.error.retry_after_s == expect["retry_after_s"]
    else:
        assert outcome.flagged == expect["partial"]
        if "result" in expect:
            assert outcome.result is not None and json.loads(outcome.result) == expect["result"]
    if "tasks" in expect:
        assert len(outcome.tasks) == expect["tasks"]


def _file(case: dict[str, Any]) -> bytes | None:
    if "result_file_base64" in case:
        return base64.b64decode(case["result_file_base64"])
    if "result_file_parts" in case:
        return "".join(text * times for text, times in case["result_file_parts"]).encode()
    text = case["result_file"]
    return None if text is None else text.encode()


def test_an_operation_that_cannot_be_run_is_a_permanent_failure() -> None:
    outcome = interpret(exit_code=None, signal=None, result=None, refused="no interpreter")
    assert outcome.error is not None and (outcome.error.code, outcome.error.retryable) == ("not_runnable", False)


def test_a_cancelled_attempt_that_still_succeeded_has_succeeded() -> None:
    outcome = interpret(exit_code=0, signal=None, result=b'{"result": 1}', cancelled=True)
    assert (outcome.error, outcome.cancelled, outcome.result) == (None, False, b"1")


def test_a_cancelled_attempt_is_no_failure() -> None:
    outcome = interpret(exit_code=None, signal=15, result=None, cancelled=True)
    assert outcome.error is None and outcome.cancelled


@pytest.mark.parametrize(
    "end",
    [
        {"exit_code": 1, "signal": None},
        {"exit_code": 0, "signal": None},
        {"exit_code": None, "signal": 9},
        {"exit_code": None, "signal": 9, "timed_out": True},
        {"exit_code": None, "signal": 15, "cancelled": True},
    ],
)
def test_resources_are_read_however_the_attempt_ended(end: dict[str, Any]) -> None:
    document = {"status": "error", "error": {"code": "x"}, "resources": [{"kind": "server", "id": "s-1"}]}
    assert interpret(**end, result=json.dumps(document).encode()).resources == ({"kind": "server", "id": "s-1"},)


@pytest.mark.parametrize("after", ["1" + "0" * 400, "1e300", "999999999"])
def test_an_operation_can_put_its_next_attempt_off_by_a_day_at_most(after: str) -> None:
    document = '{"error": {"code": "busy", "retry_after_s": ' + after + "}}"
    outcome = interpret(exit_code=1, signal=None, result=document.encode())
    assert outcome.error is not None and outcome.error.retry_after_s == 86_400.0


@pytest.mark.parametrize("bad", ['"\\ud800"', "1e999"])
@pytest.mark.parametrize("place", ['{"resources": [{"id": %s}]}', '{"error": {"message": %s}}', '{"tasks": [%s]}'])
def test_what_could_not_be_kept_is_refused_wherever_it_stands(place: str, bad: str) -> None:
    outcome = interpret(exit_code=0, signal=None, result=(place % bad).encode())
    assert outcome.error is not None and (outcome.error.code, outcome.error.retryable) == ("bad_result", False)


def test_a_number_of_5000_digits_is_a_bad_result() -> None:
    outcome = interpret(exit_code=0, signal=None, result=b'{"result": ' + b"9" * 5000 + b"}")
    assert outcome.error is not None and outcome.error.code == "bad_result"


def test_an_oversized_file_is_a_bad_result() -> None:
    outcome = interpret(exit_code=0, signal=None, result=None, result_oversized=True)
    assert outcome.error is not None and outcome.error.code == "bad_result"


def test_an_oversized_expansion_names_the_limits() -> None:
    document = {"tasks": [0] * (EXPANSION_TASKS_MAX + 1)}
    outcome = interpret(exit_code=0, signal=None, result=json.dumps(document).encode())
    assert outcome.error is not None and outcome.error.code == "bad_expansion" and not outcome.error.retryable
    assert "10000 tasks" in outcome.error.message and "10001" in outcome.error.message


def test_a_message_of_any_length_is_cut() -> None:
    document = {"error": {"code": "c" * 10_000, "message": "m" * 1_000_000}}
    outcome = interpret(exit_code=1, signal=None, result=json.dumps(document).encode())
    assert outcome.error is not None and len(outcome.error.message) == 4_000 and len(outcome.error.code) == 100
