"""Bytes → JSON value, strictly: what two readers could understand differently is refused, and nothing raises but
`BadJson`.

Refused: anything but UTF-8, a byte order mark, NaN and infinities (1e999 is one), integers beyond ±2⁶³ and of thousands
of digits, a key twice in one object, lone surrogates, NUL in any string, nesting beyond a limit, strings beyond a
limit.

The standard library's scanner does the work in C with a hook per object, so that a large body, read in a thread, lets
the event loop through between any two objects. What the hooks find is marked in place; only then is the value walked to
say where it is.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..workflow.faults import escaped, shown
from ..workflow.spec import Fault

INTEGER_MAX = 2**63 - 1
INTEGER_MIN = -(2**63)
DEPTH_MAX = 64
STRING_CHARACTERS_MAX = 1024 * 1024
VALUES_MAX = 5_000_000
FAULTS_MAX = 100

_SUSPICIOUS = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_SURROGATE = re.compile("[\ud800-\udfff]")


class BadJson(Exception):
    """faults: where and what, where it can be said."""

    def __init__(self, detail: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.faults = tuple(faults)


class _Marked:
    """Stands where something unacceptable was."""

    def __init__(self, detail: str, hint: str) -> None:
        self.detail = detail
        self.hint = hint


class _MarkedObject(dict[str, Any]):
    """An object with a key that came twice."""

    twice: tuple[str, ...] = ()


def decode(body: bytes, *, depth_max: int = DEPTH_MAX, string_max: int = STRING_CHARACTERS_MAX) -> Any:
    """The value. depth_max: containers within containers. string_max: characters of one string. Raises BadJson."""
    text = _text(body)
    hooks = _Hooks()
    try:
        value = hooks.decoder.decode(text)
    except RecursionError:
        raise BadJson(f"the body is nested deeper than {depth_max} levels") from None
    except json.JSONDecodeError as error:
        raise BadJson(f"the body is no JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    levels, long = _survey(value, depth_max, string_max if len(text) > string_max else None)
    if levels > depth_max:
        raise BadJson(f"the body is nested deeper than {depth_max} levels")
    if hooks.marked or long or _SUSPICIOUS.search(text):
        faults = list(_faults(value, string_max))
        if faults:
            raise BadJson(f"{faults[0].pointer or 'the body'}: {faults[0].detail}", faults)
    return value


def _text(body: bytes) -> str:
    if not body.strip():
        raise BadJson("the body is empty; a JSON value is expected")
    if body.startswith(b"\xef\xbb\xbf"):
        raise BadJson("the body begins with a byte order mark; send UTF-8 without one")
    # Each comma, bracket and brace makes at most one value: this bounds the memory before it is taken.
    if len(body) > VALUES_MAX and body.count(b",") + body.count(b"[") + body.count(b"{") > VALUES_MAX:
        raise BadJson(f"the body holds more than {VALUES_MAX} values")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadJson(f"the body is not UTF-8: byte {error.start} is 0x{body[error.start]:02x}") from None


class _Hooks:
    def __init__(self) -> None:
        self.marked = False
        self.decoder = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_int=self._integer,
            parse_float=self._float,
            parse_constant=self._constant,
        )

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) == len(pairs):
            return made
        self.marked = True
        marked = _MarkedObject(made)
        counts = Counter(name for name, _ in pairs)
        marked.twice = tuple(name for name, count in counts.items() if count > 1)
        return marked

    def _integer(self, digits: str) -> Any:
        if len(digits) < 19:
            return int(digits)
        if len(digits) <= 20:
            number = int(digits)
            if INTEGER_MIN <= number <= INTEGER_MAX:
                return number
        self.marked = True
        return _Marked(f"the number {_cut(digits)} is out of range", f"from {INTEGER_MIN} to {INTEGER_MAX}")

    def _float(self, digits: str) -> Any:
        number = float(digits)
        if math.isfinite(number):
            return number
        self.marked = True
        return _Marked(f"the number {_cut(digits)} is out of range", "at most 1.797e308")

    def _constant(self, name: str) -> Any:
        self.marked = True
        return _Marked(f"{name} is no JSON value", "null, or a string")


def _survey(value: Any, depth_max: int, string_max: int | None) -> tuple[int, bool]:
    """How many containers are within each other (at most depth_max + 1), and whether a string is longer than
    string_max.

    Level by level, so that nothing can be too deep for it, and in pure bytecode, so that other threads get their turns.
    """
    level = [value] if isinstance(value, (dict, list)) else []
    levels, long = 0, isinstance(value, str) and string_max is not None and len(value) > string_max
    while level and levels <= depth_max:
        levels += 1
        if string_max is not None and not long:
            long = any(type(one) is str and len(one) > string_max for container in level for one in _parts(container))
            long = long or any(len(name) > string_max for one in level if isinstance(one, dict) for name in one)
        level = [
            one
            for container in level
            for one in (container.values() if isinstance(container, dict) else container)
            if isinstance(one, (dict, list))
        ]
    return levels, long


def _parts(container: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return container.values() if isinstance(container, dict) else container


def _faults(value: Any, string_max: int) -> Iterator[Fault]:
    """Everything that was marked, and every string that is not acceptable, in no particular order."""
    found = 0
    open_values: list[tuple[str, Any]] = [("", value)]
    while open_values and found < FAULTS_MAX:
        pointer, one = open_values.pop()
        fault: Fault | None = None
        if isinstance(one, dict):
            if isinstance(one, _MarkedObject):
                found += len(one.twice)
                yield from (
                    Fault(f"{pointer}/{escaped(name)}", f"the key {shown(name)} is there twice") for name in one.twice
                )
            for name, inner in one.items():
                fault = _string_fault(name, f"{pointer}/{escaped(name)}", "a key", string_max)
                if fault:
                    found += 1
                    yield fault
                open_values.append((f"{pointer}/{escaped(name)}", inner))
        elif isinstance(one, list):
            open_values.extend((f"{pointer}/{place}", inner) for place, inner in enumerate(one))
        elif isinstance(one, str):
            fault = _string_fault(one, pointer, "a string", string_max)
            if fault:
                found += 1
                yield fault
        elif isinstance(one, _Marked):
            found += 1
            yield Fault(pointer, one.detail, one.hint)


def _string_fault(text: str, pointer: str, what: str, string_max: int) -> Fault | None:
    if len(text) > string_max:
        return Fault(pointer[:256], f"{what} of {len(text)} characters", f"at most {string_max}")
    if "\0" in text:
        return Fault(pointer, f"{what} holds NUL (U+0000)", "programs can't be given a NUL; leave it out")
    if _SURROGATE.search(text):
        return Fault(pointer, f"{what} holds half of a surrogate pair", "write the character itself, in UTF-8")
    return None


def _cut(digits: str) -> str:
    return digits if len(digits) <= 40 else f"{digits[:20]}… ({len(digits)} digits)"
