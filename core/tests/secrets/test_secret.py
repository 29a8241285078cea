"""A secret hides itself, and a reference is the whole text or none."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from pathlib import Path

import pytest

from provisioning_core.secrets import Secret, is_reference, name_of, reference_fault, references_in
from provisioning_core.secrets.secret import length_fault

VALUE = "hunter2-hunter2"


def test_no_way_of_printing_shows_it(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret(VALUE, "db")
    logging.getLogger().warning("%s %r", secret, {"a": [secret]})
    shown = [str(secret), repr(secret), f"{secret:>40}", "%s" % secret, str([secret]), caplog.text]  # noqa: UP031
    assert not [text for text in shown if VALUE in text]
    assert secret.reveal() == VALUE


@pytest.mark.parametrize("way", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps])
def test_it_is_not_serialised(way: object) -> None:
    with pytest.raises(TypeError) as refused:
        way(Secret(VALUE, "db"))  # type: ignore[operator]
    assert VALUE not in "".join(traceback.format_exception(refused.value))


def test_it_equals_only_a_secret_of_the_same_value() -> None:
    assert Secret(VALUE, "db") == Secret(VALUE, "other") != Secret("another value", "db")
    assert Secret(VALUE, "db") != VALUE


@pytest.mark.parametrize("text", ["secret://db", "secret://wuji/db-password", "secret://A.b_c-1"])
def test_what_is_a_reference(text: str) -> None:
    assert is_reference(text) and reference_fault(text) is None and name_of(text) == text[9:]


BAD = [
    "secret://",
    "secret://a b",
    "secret:///a",
    "secret://a/",
    "secret://../a",
    "secret://a\n",
    "secret://" + 129 * "x",
]


@pytest.mark.parametrize("text", BAD)
def test_what_is_meant_as_one_and_is_none_is_a_fault(text: str) -> None:
    fault = reference_fault(text)
    assert is_reference(text) and fault is not None and "letters, digits" in fault


@pytest.mark.parametrize("value", ["see secret://db", "SECRET://db", "", 7, None, ["secret://db"]])
def test_what_is_none(value: object) -> None:
    assert not is_reference(value)


def test_references_are_found_wherever_they_are_but_not_in_keys() -> None:
    params = {"a": "secret://x", "b": [{"c": "secret://y"}, "secret://x"], "secret://key": 1, "d": "no secret://z"}
    assert references_in(params) == ["secret://x", "secret://y"]
    deep: object = "secret://deep"
    for _ in range(10_000):
        deep = [deep]
    assert references_in(deep) == ["secret://deep"]


def test_names_are_those_of_the_contract() -> None:
    examples = json.loads((Path(__file__).parents[3] / "contract" / "examples" / "references.json").read_text())
    longest = "a" * examples["longest"]
    assert [name for name in (*examples["good"], longest) if reference_fault(f"secret://{name}")] == []
    assert [name for name in (*examples["bad"], longest + "a") if not reference_fault(f"secret://{name}")] == []


@pytest.mark.parametrize("value", ["000000\n\n\n", " a | b | c | d", "short\x1b[0m\x1b[1m"])
def test_a_value_of_little_but_blanks_is_refused(value: str) -> None:
    """Compared are texts without blanks: it would be found by chance, or not at all."""
    assert "without blanks and bars it has" in (length_fault(value) or "")
