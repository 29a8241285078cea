"""The runner's copy of the redaction obeys the contract (the core's tests try it in depth)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provisioning_orchestrator.runner.redaction import Redactor


def test_the_cases_of_the_contract() -> None:
    files = (parent / "contract" / "examples" / "redaction.json" for parent in Path(__file__).resolve().parents)
    file = next((file for file in files if file.exists()), None)
    if file is None:
        pytest.skip("no contract/ above the tests: a wheel tested alone")
    examples = json.loads(file.read_text())
    redactor = Redactor(examples["secrets"])
    kept = {case["name"]: redactor.text(case["written"]) for case in examples["cases"]}
    assert kept == {case["name"]: case["kept"] for case in examples["cases"]}


def test_a_stream_holds_back_only_what_may_be_a_secret() -> None:
    redactor = Redactor({"s": "correct-horse"})
    assert redactor.part(b"a line\n") == (b"a line\n", 7)
    assert redactor.part(b"a line correct-hors") == (b"a line ", 7)
    assert redactor.part(b"correct-hors", final=True) == (b"correct-hors", 12)
