"""A parameter of a taskserv: its type, what it accepts, and what is wrong with a value.

    port:  {type: integer, default: 80, min: 1, max: 65535, description: where it listens}
    title: {type: text, pattern: '[a-z]+', max: 40}          max: characters
    level: {type: text, choices: [low, high], default: low}
    token: {type: text, secret: true, required: true}        given as secret://NAME; its value is never logged
    names: {type: list, items: {type: text}, max: 10}        max: entries
    users: {type: map, values: {type: text, secret: true}}   any name to a value
    rule:  {type: record, fields: {from: {type: text, required: true}}}

A parameter without `default` that is not `required` is null where it is not given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

from ..errors import UsageError
from ..secrets.reference import REFERENCE_WORDS, is_reference, reference_fault
from ..yamlfile import Cursor, shown, suggestion

Type = Literal["text", "integer", "number", "boolean", "list", "map", "record"]
TYPES: tuple[Type, ...] = ("text", "integer", "number", "boolean", "list", "map", "record")
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
NAME_WORDS = "1 to 63 of a-z, 0-9 and _, beginning with a letter"
TEXT = re.compile(r"[^\x00]{0,10000}", re.DOTALL)
ENTRIES_MAX = 1000
_KNOWN = ("type", "description", "required", "default", "secret", "min", "max", "pattern", "choices", "items")
_FIELDS = (*_KNOWN, "values", "fields")
_OF_TYPE: Mapping[Type, tuple[str, ...]] = {
    "text": ("secret", "min", "max", "pattern", "choices"),
    "integer": ("min", "max", "choices"),
    "number": ("min", "max"),
    "boolean": (),
    "list": ("items", "min", "max"),
    "map": ("values", "min", "max", "pattern"),
    "record": ("fields",),
}


Steps = tuple[str | int, ...]
"""To a value inside of others: names, and places in lists."""


@dataclass(frozen=True, slots=True)
class Fault:
    """steps: to the value that is not good. named: the last name itself is what is wrong."""

    steps: Steps
    message: str
    named: bool = False

    def __str__(self) -> str:
        return f"{path_of(self.steps)}: {self.message}" if self.steps else self.message


def path_of(steps: Steps) -> str:
    return "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in steps).removeprefix(".")


@dataclass(frozen=True, slots=True)
class Parameter:
    """min, max: of a number itself, of a text's characters, of the entries of a list or map.

    pattern: what a text, or each name of a map, must match in full. inner: of a list's items or a map's values.
    """

    name: str
    type: Type
    description: str = ""
    required: bool = False
    default: Any = None
    secret: bool = False
    min: float | None = None
    max: float | None = None
    pattern: re.Pattern[str] | None = None
    choices: tuple[Any, ...] = ()
    inner: Parameter | None = None
    fields: tuple[Parameter, ...] = field(default=())

    @property
    def accepted(self) -> str:
        """In words, for people."""
        if self.choices:
            return ", ".join(str(choice) for choice in self.choices)
        words = {"integer": "a whole number", "number": "a number", "boolean": "true or false", "text": "text"}
        text = words.get(self.type, f"a {self.type}")
        if self.type == "list" and self.inner:
            text = f"a list, each {self.inner.accepted}"
        if self.type == "record":
            text = f"a mapping with {', '.join(each.name for each in self.fields)}"
        unit = {"text": " characters", "list": " entries", "map": " entries"}.get(self.type, "")
        low, high = (f"{bound:g}" if bound is not None else None for bound in (self.min, self.max))
        if low is not None and high is not None:
            text += f" from {low} to {high}" if not unit else f" of {low} to {high}{unit}"
        elif low is not None or high is not None:
            text += f" of at least {low}{unit}" if low is not None else f" of at most {high}{unit}"
        return text + (f" like {self.pattern.pattern}" if self.pattern else "")

    def faults(self, value: Any, steps: Steps) -> Iterator[Fault]:
        """All that is wrong with a value, each with its place. A secret's value is not in them."""
        if value is None:
            if self.required:
                yield Fault(steps, f"is required; accepted: {self.accepted}")
            return
        if self.secret:
            if not is_reference(value):
                yield Fault(steps, f"is a secret: a definition holds {REFERENCE_WORDS}, never the value itself")
            elif fault := reference_fault(value):
                yield Fault(steps, fault)
            return
        check = {"list": self._list_faults, "map": self._map_faults, "record": self._record_faults}.get(self.type)
        if check is not None:
            yield from check(value, steps)
        elif not self._fits(value):
            guess = suggestion(value, [str(each) for each in self.choices]) if isinstance(value, str) else ""
            yield Fault(steps, f"{shown(value)} is not accepted; accepted: {self.accepted}.{guess}".removesuffix("."))

    def completed(self, value: Any) -> Any:
        """The value with the defaults filled in, also those inside of it."""
        if value is None:
            value = self.default
        if self.type == "list" and isinstance(value, list) and self.inner:
            return [self.inner.completed(each) for each in value]
        if self.type == "map" and isinstance(value, dict) and self.inner:
            return {name: self.inner.completed(each) for name, each in value.items()}
        if self.type == "record" and isinstance(value, dict):
            return {each.name: each.completed(value.get(each.name)) for each in self.fields}
        return value

    def revealed(self, value: Any, reveal: Callable[[str], str]) -> Any:
        """The complete value with what its secrets refer to in their places. Raises what reveal raises, UsageError."""
        if value is None:
            return None
        if self.secret:
            shown_value = reveal(value)
            if not self._fits(shown_value):
                raise UsageError(f"what {value} holds is not accepted; accepted: {self.accepted}", code="bad_secret")
            return shown_value
        if self.type == "list" and self.inner:
            return [self.inner.revealed(each, reveal) for each in value]
        if self.type == "map" and self.inner:
            return {name: self.inner.revealed(each, reveal) for name, each in value.items()}
        if self.type == "record":
            return {each.name: each.revealed(value.get(each.name), reveal) for each in self.fields}
        return value

    @property
    def holds_secrets(self) -> bool:
        """It is one, or there are some inside of it."""
        below = [*self.fields, *([self.inner] if self.inner else [])]
        return self.secret or any(each.holds_secrets for each in below)

    def _fits(self, value: Any) -> bool:
        if self.type == "boolean":
            return isinstance(value, bool)
        if self.type == "text":
            good = isinstance(value, str) and TEXT.fullmatch(value) is not None and self._in_range(len(value))
            good = good and (self.pattern is None or self.pattern.fullmatch(value) is not None)
        else:
            kinds = int if self.type == "integer" else (int, float)
            good = isinstance(value, kinds) and not isinstance(value, bool) and self._in_range(value)
        return good and (not self.choices or value in self.choices)

    def _in_range(self, size: float) -> bool:
        return (self.min is None or size >= self.min) and (self.max is None or size <= self.max)

    def _list_faults(self, value: Any, steps: Steps) -> Iterator[Fault]:
        if not isinstance(value, list) or len(value) > ENTRIES_MAX or not self._in_range(len(value)):
            yield Fault(steps, f"{shown(value)} is not accepted; accepted: {self.accepted}")
            return
        assert self.inner is not None
        for place, each in enumerate(value):
            yield from self.inner.faults(each, (*steps, place))

    def _map_faults(self, value: Any, steps: Steps) -> Iterator[Fault]:
        if not isinstance(value, dict) or len(value) > ENTRIES_MAX or not self._in_range(len(value)):
            got = type(value).__name__
            yield Fault(steps, f"a mapping is expected, got {got}; accepted: {self.accepted}")
            return
        assert self.inner is not None
        for name, each in value.items():
            if self.pattern is not None and not self.pattern.fullmatch(str(name)):
                message = f"the name {shown(name)} is not accepted; accepted: {self.pattern.pattern}"
                yield Fault((*steps, name), message, named=True)
            yield from self.inner.faults(each, (*steps, name))

    def _record_faults(self, value: Any, steps: Steps) -> Iterator[Fault]:
        if not isinstance(value, dict):
            yield Fault(steps, f"{shown(value)} is not accepted; accepted: {self.accepted}")
            return
        yield from record_faults(self.fields, value, steps)


def record_faults(fields: tuple[Parameter, ...], value: Mapping[str, Any], steps: Steps = ()) -> Iterator[Fault]:
    """Of named values: unknown ones, missing ones and wrong ones."""
    known = [each.name for each in fields]
    for name in value:
        if name not in known:
            words = ", ".join(known) or "none"
            message = f"there is no parameter {shown(name)}; there are: {words}.{suggestion(str(name), known)}"
            yield Fault((*steps, name), message.removesuffix("."), named=True)
    for each in fields:
        yield from each.faults(value.get(each.name), (*steps, each.name))


def read_parameters(at: Cursor) -> tuple[Parameter, ...]:
    """`parameters:` of a manifest, and `fields:` of a record: a mapping of names to what each is."""
    found = []
    for name, named, below in at.entries() or []:
        if not NAME.fullmatch(name):
            named.fail(f"the name {shown(name)} is not accepted; accepted: {NAME_WORDS}")
        elif (parameter := _read(name, below)) is not None:
            found.append(parameter)
    return tuple(found)


def _read(name: str, at: Cursor) -> Parameter | None:
    fields = at.record(_FIELDS, required=("type",))
    if fields is None or "type" not in fields:
        return None
    given = fields["type"].value()
    if given not in TYPES:
        guess = suggestion(str(given), TYPES)
        fields["type"].fail(f"{shown(given)} is no type; accepted: {', '.join(TYPES)}.{guess}".removesuffix("."))
        return None
    type_ = cast(Type, given)
    before = len(at.problems)
    for extra in set(fields) - {"type", "description", "required", "default", *_OF_TYPE[type_]}:
        fields[extra].fail(f"goes with no {type_}; accepted: {', '.join(_OF_TYPE[type_]) or 'nothing more'}")
    inner_name = {"list": "items", "map": "values"}.get(type_)
    if inner_name and inner_name not in fields:
        at.fail(f"the field {inner_name!r} is missing: what a {type_} holds")
    parameter = Parameter(
        name,
        type_,
        description=_text(fields.get("description")),
        required=_flag(fields.get("required")),
        secret=_flag(fields.get("secret")),
        min=_number(fields.get("min")),
        max=_number(fields.get("max")),
        pattern=read_pattern(fields.get("pattern")),
        choices=tuple(each.value() for each in fields["choices"].items()) if "choices" in fields else (),
        inner=_read(name, fields[inner_name]) if inner_name and inner_name in fields else None,
        fields=read_parameters(fields["fields"]) if "fields" in fields else (),
    )
    if "default" not in fields or len(at.problems) > before:
        return parameter if len(at.problems) == before else None
    default = fields["default"].plain()
    for fault in parameter.faults(default, ("the default",)):
        fields["default"].fail(str(fault))
    return replace(parameter, default=default)


def _text(at: Cursor | None) -> str:
    return (at.text(TEXT, "text") or "") if at else ""


def _flag(at: Cursor | None) -> bool:
    if at is None:
        return False
    value = at.value()
    if not isinstance(value, bool):
        at.fail(f"expected true or false, got {at.kind()}")
    return value is True


def _number(at: Cursor | None) -> float | None:
    if at is None:
        return None
    value = at.value()
    if not isinstance(value, int | float) or isinstance(value, bool):
        at.fail(f"expected a number, got {at.kind()}")
        return None
    return value


def read_pattern(at: Cursor | None) -> re.Pattern[str] | None:
    """A regular expression; None, and noted, where it is none."""
    text = at.text(TEXT, "a regular expression") if at else None
    if at is None or text is None:
        return None
    try:
        return re.compile(text)
    except re.error as error:
        at.fail(f"{shown(text)} is no regular expression: {error}")
        return None
