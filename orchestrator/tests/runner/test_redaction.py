"""The runner's copy of the redaction, and its rule of names, obey the contract (the core's tests try them in depth)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provisioning_orchestrator.runner.redaction import Redactor
from provisioning_orchestrator.runner.request import Wanted
from provisioning_orchestrator.runner.resolving import Unavailable, resolve


def examples_of(name: str) -> dict[str, Any]:
    files = (parent / "contract" / "examples" / name for parent in Path(__file__).resolve().parents)
    file = next((file for file in files if file.exists()), None)
    if file is None:
        pytest.skip("no contract/ above the tests: a wheel tested alone")
    examples: dict[str, Any] = json.loads(file.read_text())
    return examples


def test_names_of_secrets_are_those_of_the_contract() -> None:
    examples = examples_of("references.json")
    longest = "a" * examples["longest"]
    for name in (*examples["good"], longest):
        with pytest.raises(Unavailable, match="resolves no secrets"):
            resolve(Wanted([name], [], 1.0, "", []), {}, lambda: False)
    for name in (*examples["bad"], longest + "a"):
        with pytest.raises(Unavailable, match="is no reference to a secret"):
            resolve(Wanted([name], [], 1.0, "", []), {}, lambda: False)


def test_the_cases_of_the_contract() -> None:
    examples = examples_of("redaction.json")
    redactor = Redactor(examples["secrets"])
    kept = {case["name"]: redactor.text(case["written"]) for case in examples["cases"]}
    assert kept == {case["name"]: case["kept"] for case in examples["cases"]}


def test_a_stream_holds_back_only_what_may_be_a_secret() -> None:
    redactor = Redactor({"s": "correct-horse"})
    assert redactor.part(b"a line\n") == (b"a line\n", 7)
    assert redactor.part(b"a line correct-hors") == (b"a line ", 7)
    assert redactor.part(b"correct-hors", final=True) == (b"correct-hors", 12)
