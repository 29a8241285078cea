"""Documents in YAML and JSON whose parts know where they stand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from provisioning_core.pointers import VALUES_MAX, Document, read_document
from provisioning_core.yamlfile import DefinitionErrors

YAML = b"""\
# a comment
name: site
tasks:
  - id: a
    operation: command/run
    params: {argv: [uname, -a], "odd/na~me": 1}
  - id: b
    needs:
      - a
      - c
"""
JSON = b"""{
\t"name": "site",
\t"tasks": [
\t\t{"id": "a", "params": {"text": "}]\\"\\ud83d\\ude00", "odd/na~me": 1}},
\t\t{"id": "b", "needs": ["a", "c"]}
\t]
}
"""


def _at(document: Document, pointer: str) -> str:
    return str(document.problem(pointer, "x"))


@pytest.mark.parametrize(
    ("pointer", "place"),
    [
        ("", "f:2:1  x"),
        ("/name", "f:2:1  name: x"),
        ("/tasks/0", "f:4:5  tasks[0]: x"),
        ("/tasks/0/operation", "f:5:5  tasks[0].operation: x"),
        ("/tasks/0/params/argv/1", "f:6:28  tasks[0].params.argv[1]: x"),
        ("/tasks/0/params/odd~1na~0me", "f:6:33  tasks[0].params.'odd/na~me': x"),
        ("/tasks/1/needs/1", "f:10:9  tasks[1].needs[1]: x"),
        ("/tasks/1/params/infra", "f:7:5  tasks[1].params.infra: x"),
        ("/tasks/9", "f:3:1  tasks[9]: x"),
        ("/tasks/x/y/z", "f:3:1  tasks[x].y.z: x"),
    ],
)
def test_a_pointer_into_yaml_is_a_line_and_a_column(pointer: str, place: str) -> None:
    assert _at(read_document(YAML, "f"), pointer) == place


@pytest.mark.parametrize(
    ("pointer", "place"),
    [
        ("", "f:1:1  x"),
        ("/name", "f:2:2  name: x"),
        ("/tasks/0/params/odd~1na~0me", "f:4:54  tasks[0].params.'odd/na~me': x"),
        ("/tasks/1/needs/1", "f:5:30  tasks[1].needs[1]: x"),
        ("/tasks/1/params/infra", "f:5:3  tasks[1].params.infra: x"),
        ("/tasks/9", "f:3:2  tasks[9]: x"),
        ("/name/x", "f:2:2  name.x: x"),
    ],
)
def test_a_pointer_into_json_is_a_line_and_a_column(pointer: str, place: str) -> None:
    document = read_document(JSON, "f")
    assert document.value == json.loads(JSON)
    assert _at(document, pointer) == place


def test_values_are_those_of_yaml_1_2() -> None:
    document = read_document(b"{a: no, b: 0o14, c: 12:30:45, d: 2026-11-24, e: ~, f: 1.50, g: '1.50', 7: x}", "f")
    wanted = {"a": "no", "b": 12, "c": "12:30:45", "d": "2026-11-24", "e": None, "f": 1.5, "g": "1.50", "7": "x"}
    assert document.value == wanted


def _faults(data: bytes, **options: Any) -> list[str]:
    with pytest.raises(DefinitionErrors) as caught:
        read_document(data, "f", **options)
    return str(caught.value).splitlines()


def test_what_no_json_could_say_is_told_at_once() -> None:
    found = _faults(b"a: 1\na: 2\nb: .nan\nc: !!python/name:os.system x\n? [k]\n: v\nd: -.inf\n")
    assert [line.partition("  ")[0] for line in found] == ["f:2:1", "f:3:4", "f:4:4", "f:5:3", "f:7:4"]
    assert "already given in line 1" in found[0]
    assert "tagged" in found[2]


def test_json_that_could_be_understood_in_two_ways_is_refused_with_its_places() -> None:
    digits = b"1" * 5000
    found = _faults(b'{"a": 1,\n "a": 2,\n "b": NaN,\n "c": 1e999,\n "d": "\\ud800",\n "e": ' + digits + b"}")
    assert [line.partition("  ")[0] for line in found] == ["f:2:2", "f:3:2", "f:4:2", "f:5:2", "f:6:2"]
    assert "twice" in found[0]


@pytest.mark.parametrize("data", [b'{"a": [1, 2}', b"", b"{a: 1}", b"name: x"])
def test_a_file_that_says_it_is_json_has_to_be(data: bytes) -> None:
    assert "not JSON" in _faults(data, json_only=True)[0]


@pytest.mark.parametrize(
    "data", [b"[" * 200_000, b"{" * 5000, b'{"a":' * 200_000, b"- " * 5000, b"\xff\xfe{", b"a: \x00", b"a: &x [*x]"]
)
def test_hostile_text_is_a_fault_and_no_crash(data: bytes) -> None:
    assert _faults(data)[0].startswith("f:1:")


def test_aliases_that_multiply_are_bounded() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)]
    assert f"more than {VALUES_MAX} values" in _faults("\n".join(lines).encode())[0]
