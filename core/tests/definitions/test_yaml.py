"""YAML by the rules of 1.2, with every fault at its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provisioning_core.yamlfile import Cursor, DefinitionErrors, read_yaml


def read(tmp_path: Path, text: str | bytes) -> Cursor:
    file = tmp_path / "file.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_yaml(file, "file.yaml")


def fault(tmp_path: Path, text: str | bytes) -> str:
    with pytest.raises(DefinitionErrors) as caught:
        read(tmp_path, text)
    assert len(caught.value.problems) == 1
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("NO", "NO"),
        ("12:30:45", "12:30:45"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("2026-11-23", "2026-11-23"),
        ("=", "="),
        ("012", 12),
        ("0o14", 12),
        ("0x1F", 31),
        ("-7", -7),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".inf", float("inf")),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("''", ""),
        ("'012'", "012"),
        ('"no"', "no"),
        ("!!str 12", "12"),
    ],
)
def test_scalars_follow_yaml_1_2(tmp_path: Path, text: str, value: object) -> None:
    at = read(tmp_path, f"a: {text}").record(["a"])
    assert at is not None
    found = at["a"].value() if "a" in at else None
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!!binary", "!own", "!!int"])
def test_a_tag_runs_nothing_and_is_no_text(tmp_path: Path, tag: str) -> None:
    fields = read(tmp_path, f"a: {tag} 'touch pwned'").record(["a"]) or {}
    assert fields["a"].text(re.compile(".*"), "text") is None
    assert "expected text" in fields["a"].problems[0].message


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("a: [b\n", "file.yaml:2:1", "did not find expected"),
        ("a: b: c", "file.yaml:1:5", "mapping values are not allowed"),
        ("x: 1\n\ta: 1", "file.yaml:2:1", "tab character"),
        ("a: *b", "file.yaml:1:4", "undefined alias"),
        ("--- 1\n--- 2", "file.yaml:2:1", "another document"),
        ("ab: \x01c", "file.yaml:1:5", "U+0001"),
        ("é: 1\nab\x00", "file.yaml:2:3", "U+0000"),
        (b"ok: 1\nab: \xff", "file.yaml:2:5", "0xff is not UTF-8"),
        ("a: &x [1, *x]", "file.yaml:1:11", "stands inside of what it repeats"),
    ],
)
def test_a_syntax_error_names_its_place(tmp_path: Path, text: str | bytes, where: str, what: str) -> None:
    message = fault(tmp_path, text)
    assert message.startswith(where + "  ")
    assert what in message


def test_brackets_without_end_are_refused_at_once(tmp_path: Path) -> None:
    """The composer would recurse until the process ends."""
    assert "nested more than 50" in fault(tmp_path, "[" * 200_000)


def test_multiplying_aliases_are_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 x"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 20)}]" for n in range(1, 8)]
    assert "more than 100 aliases" in fault(tmp_path, "\n".join(lines))


def test_a_file_of_more_than_a_mebibyte_is_refused(tmp_path: Path) -> None:
    assert "1048576 bytes" in fault(tmp_path, "a: " + "x" * 1024 * 1024)


def test_repeated_unknown_and_missing_fields_are_all_noted_with_suggestions(tmp_path: Path) -> None:
    at = read(tmp_path, "name: a\nname: b\nlabls: {}\n3: x\n[1]: y\n")
    at.record(["name", "labels", "plan"], required=["plan"])
    with pytest.raises(DefinitionErrors) as caught:
        at.finish()
    text = str(caught.value).splitlines()
    assert text == [
        "file.yaml:1:1  the field 'plan' is missing",
        "file.yaml:2:1  name: the field 'name' is already given in line 1",
        "file.yaml:3:1  labls: unknown field 'labls'; known: name, labels, plan. Did you mean 'labels'?",
        "file.yaml:4:1  3: unknown field '3'; known: name, labels, plan.",
        "file.yaml:5:1  a field's name must be text",
    ]


def test_a_message_escapes_what_would_move_the_terminal(tmp_path: Path) -> None:
    at = read(tmp_path, r'"a\e[31m\n": 1')
    at.record(["name"])
    assert at.problems[0].message.isprintable()
    assert r"\x1b[31m" in at.problems[0].message


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.text(alphabet=st.sampled_from("ab:-[]{}&*!|>'\"\n\t #,0.~?%@`\\\x00é🦀"), max_size=40) | st.binary(max_size=40)
)
def test_no_file_ends_in_a_traceback(tmp_path: Path, text: str | bytes) -> None:
    try:
        at = read(tmp_path, text)
        at.record(["a", "b"], required=["a"])
        at.items()
        at.finish()
    except DefinitionErrors as error:
        problems = error.problems
        assert problems
        assert all(problem.line > 0 and problem.column > 0 and problem.message for problem in problems)
