"""A document in YAML or JSON as plain data that still knows where each part stands, asked by JSON Pointer.

JSON is read as JSON: YAML's readers refuse some of it (tabs, emoji as pairs of escapes), and generated documents are
larger than any YAML by hand. Everything else is YAML 1.2, within the bounds of `yamlfile`.

A part's place is that of its name in its mapping, or of the item in its list: in block style the value begins a line
later. What is not in the text (a field that is missing) is where the nearest thing around it is.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from .yamlfile import DefinitionErrors, Problem, in_line, parse_yaml, plain, shown

VALUES_MAX = 200_000
PROBLEMS_MAX = 100
DIGITS_MAX = 100
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}")
_SPACE = re.compile(r"[ \t\n\r]*")
_SURROGATE = re.compile("[\ud800-\udfff]")

Place = tuple[int, int]
"""Line and column, from 1."""


@dataclass(frozen=True, slots=True)
class Document:
    """value: plain data. shown_as: the file in messages. find: the place of a path of names and indexes."""

    value: Any
    shown_as: str
    find: Callable[[list[str]], Place]

    def problem(self, pointer: str, message: str) -> Problem:
        """The fault at that JSON Pointer."""
        parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
        return Problem(self.shown_as, *self.find(parts), self._path(parts), message)

    def _path(self, parts: list[str]) -> str:
        """`tasks[2].params.infra`, as definitions say it."""
        path, value = "", self.value
        for part in parts:
            if isinstance(value, list):
                path += f"[{part}]"
                value = value[int(part)] if part.isdecimal() and int(part) < len(value) else None
            else:
                label = part if _PLAIN_NAME.fullmatch(part) else shown(part)
                path += f".{label}" if path else label
                value = value.get(part) if isinstance(value, dict) else None
        return path


def read_document(data: bytes, shown_as: str, *, json_only: bool = False) -> Document:
    """Raises DefinitionErrors: a syntax error alone, else all that no JSON could say at once."""
    if json_only or data.lstrip()[:1] in (b"{", b"["):
        try:
            return _read_json(data.decode("utf-8-sig"), shown_as)
        except json.JSONDecodeError as error:
            if json_only:
                problem = Problem(shown_as, error.lineno, error.colno, "", f"not JSON: {error.msg}")
                raise DefinitionErrors([problem]) from None
        except UnicodeDecodeError:
            pass  # said by the reader of YAML, with its place
    return _read_yaml(data, shown_as)


def _raise(document: Document, faults: Iterator[tuple[str, str]]) -> Document:
    found = [document.problem(pointer, message) for pointer, message in _first(faults)]
    if found:
        raise DefinitionErrors(sorted(found, key=lambda each: (each.line, each.column)))
    return document


def _first(faults: Iterator[tuple[str, str]]) -> list[tuple[str, str]]:
    return [fault for fault, _ in zip(faults, range(PROBLEMS_MAX), strict=False)]


def pointer_of(pointer: str, name: object) -> str:
    return f"{pointer}/{str(name).replace('~', '~0').replace('/', '~1')}"


# --- JSON ------------------------------------------------------------------------------------------------------------


class _Marked(str):
    """Stands where something was that is no value; its text says why."""


class _Twice(dict[str, Any]):
    """An object with names that came twice."""

    names: tuple[str, ...] = ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    twice = _Twice(made)
    twice.names = tuple(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
    return twice


def _integer(digits: str) -> Any:
    return int(digits) if len(digits) <= DIGITS_MAX else _Marked(f"a number of {len(digits)} digits")


def _float(digits: str) -> Any:
    number = float(digits)
    return number if math.isfinite(number) else _Marked(f"the number {shown(digits)} is out of range")


def _constant(name: str) -> Any:
    return _Marked(f"{name} is no JSON value; accepted: null, or text")


def _read_json(text: str, shown_as: str) -> Document:
    decoder = json.JSONDecoder(
        object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
    )
    try:
        value = decoder.decode(text)
    except RecursionError:
        raise DefinitionErrors([Problem(shown_as, 1, 1, "", "nested too deep")]) from None
    document = Document(value, shown_as, lambda parts: _place_in_json(text, decoder, parts))
    return _raise(document, _json_faults(value))


def _json_faults(value: Any) -> Iterator[tuple[str, str]]:
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        pointer, one = waiting.pop()
        if isinstance(one, dict):
            for name in one.names if isinstance(one, _Twice) else ():
                yield pointer_of(pointer, name), "the field is given twice"
            for name, below in one.items():
                if _SURROGATE.search(name):
                    yield pointer_of(pointer, name), "its name holds half of a pair of surrogates"
                waiting.append((pointer_of(pointer, name), below))
        elif isinstance(one, list):
            waiting += [(pointer_of(pointer, place), below) for place, below in enumerate(one)]
        elif isinstance(one, _Marked):
            yield pointer, str(one)
        elif isinstance(one, str) and _SURROGATE.search(one):
            yield pointer, "it holds half of a pair of surrogates"


def _place_in_json(text: str, decoder: json.JSONDecoder, parts: list[str]) -> Place:
    """Of a name that is given twice the last, which is the one that counts in JSON."""
    at = here = _skip(text, 0)
    for part in parts:
        found = _member(text, at, decoder, part)
        if found is None:
            break
        here, at = found
    return text.count("\n", 0, here) + 1, here - text.rfind("\n", 0, here)


def _member(text: str, at: int, decoder: json.JSONDecoder, part: str) -> tuple[int, int] | None:
    """Where the member's name (an item: it itself) begins, and where its value does. The text is JSON: it was read."""
    kind, found, place = text[at], None, 0
    if kind not in "{[":
        return None
    at = _skip(text, at + 1)
    while text[at] not in "}]":
        begin, name = at, str(place)
        if kind == "{":
            name, at = decoder.raw_decode(text, at)
            at = _skip(text, _skip(text, at) + 1)
        if name == part:
            found = begin, at
            if kind == "[":
                break
        at = _skip(text, decoder.raw_decode(text, at)[1])
        at, place = _skip(text, at + 1) if text[at] == "," else at, place + 1
    return found


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None
    return match.end()


# --- YAML ------------------------------------------------------------------------------------------------------------


def _read_yaml(data: bytes, shown_as: str) -> Document:
    root = parse_yaml(data, shown_as).node
    document = Document(None, shown_as, lambda parts: _place_in_yaml(root, parts))
    faults: list[tuple[yaml.Node, str]] = []
    value = _plain(root, faults, [0])
    if faults:
        problems = [Problem(shown_as, *_start(node), "", message) for node, message in faults[:PROBLEMS_MAX]]
        raise DefinitionErrors(sorted(set(problems), key=lambda each: (each.line, each.column)))
    return Document(value, shown_as, document.find)


def _plain(node: yaml.Node | None, faults: list[tuple[yaml.Node, str]], count: list[int]) -> Any:
    """count: of the values so far; an alias counts for all that it repeats."""
    count[0] += 1
    if count[0] > VALUES_MAX:
        if count[0] == VALUES_MAX + 1 and node is not None:
            faults.append((node, f"more than {VALUES_MAX} values, with what aliases repeat; JSON may have more"))
        return None
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, faults, count)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(below, faults, count) for below in node.value]
    value = plain(node)
    if node is not None and type(value) not in (str, int, float, bool, type(None)):
        faults.append((node, f"{shown(node.value)} is tagged {shown(node.tag)}; accepted: what JSON has, without tags"))
    elif node is not None and isinstance(value, float) and not math.isfinite(value):
        faults.append((node, f"{node.value} is no JSON value; accepted: null, or text (put it in quotes)"))
    return value


def _mapping(node: yaml.MappingNode, faults: list[tuple[yaml.Node, str]], count: list[int]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for name, below in node.value:
        if not isinstance(name, yaml.ScalarNode):
            faults.append((name, "a field's name must be text"))
        elif name.value in fields:
            faults.append((name, f"the field {shown(name.value)} is already given{in_line(lines[name.value])}"))
        else:
            fields[name.value] = _plain(below, faults, count)
            lines[name.value] = _start(name)[0]
    return fields


def _place_in_yaml(root: yaml.Node | None, parts: list[str]) -> Place:
    node, here = root, root
    for part in parts:
        found: tuple[yaml.Node, yaml.Node] | None = None
        if isinstance(node, yaml.MappingNode):
            found = next(((name, below) for name, below in node.value if name.value == part), None)
        elif isinstance(node, yaml.SequenceNode) and part.isdecimal() and int(part) < len(node.value):
            found = (node.value[int(part)],) * 2
        if found is None:
            break
        here, node = found
    return _start(here)


def _start(node: yaml.Node | None) -> Place:
    return (node.start_mark.line + 1, node.start_mark.column + 1) if node is not None else (1, 1)
