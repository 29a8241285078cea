"""Parameters against a sidecar's schema: the plain part of JSON Schema that people write by hand.

Checked: type, enum, const, required, properties, additionalProperties, items, minimum, maximum, minLength, maxLength,
pattern. Every other keyword is let pass: the operation itself has the last word on its parameters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .faults import escaped, shown, unknown_fields
from .spec import Fault

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "integer": (int,),
    "number": (int, float),
}


def check_params(value: Any, schema: Any, pointer: str) -> list[Fault]:
    """All faults of the value. Recurses as deep as the schema does, which is a file of the library's."""
    return list(_check(value, schema, pointer))


def _check(value: Any, schema: Any, pointer: str) -> Iterator[Fault]:
    if not isinstance(schema, dict):
        return
    types = schema.get("type")
    if types is not None and not any(_is(value, name) for name in ([types] if isinstance(types, str) else types)):
        wanted = types if isinstance(types, str) else " or ".join(types)
        yield Fault(pointer, f"{shown(value)} is not of type {wanted}")
        return
    if "enum" in schema and not any(_equal(value, one) for one in schema["enum"]):
        yield Fault(pointer, f"{shown(value)} is not allowed here", f"one of {_listed(schema['enum'])}")
    if "const" in schema and not _equal(value, schema["const"]):
        yield Fault(pointer, f"{shown(value)} is not allowed here", f"only {shown(schema['const'])}")
    if isinstance(value, dict):
        yield from _object(value, schema, pointer)
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _check(item, schema.get("items"), f"{pointer}/{position}")
    elif isinstance(value, str):
        yield from _string(value, schema, pointer)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        if "minimum" in schema and value < schema["minimum"]:
            yield Fault(pointer, f"{shown(value)} is too small", f"at least {schema['minimum']}")
        if "maximum" in schema and value > schema["maximum"]:
            yield Fault(pointer, f"{shown(value)} is too large", f"at most {schema['maximum']}")


def _object(value: dict[str, Any], schema: dict[str, Any], pointer: str) -> Iterator[Fault]:
    properties = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield Fault(pointer, f"the field `{name}` is missing")
    more = schema.get("additionalProperties", True)
    for name, item in value.items():
        at = f"{pointer}/{escaped(name)}"
        if name in properties:
            yield from _check(item, properties[name], at)
        elif more is False:
            yield from unknown_fields({name: item}, list(properties), pointer)
        else:
            yield from _check(item, more, at)


def _string(value: str, schema: dict[str, Any], pointer: str) -> Iterator[Fault]:
    if len(value) < schema.get("minLength", 0):
        yield Fault(pointer, f"{shown(value)} is too short", f"at least {schema['minLength']} characters")
    if "maxLength" in schema and len(value) > schema["maxLength"]:
        yield Fault(pointer, f"{shown(value)} is too long", f"at most {schema['maxLength']} characters")
    pattern = schema.get("pattern")
    if pattern is not None and not _matches(pattern, value):
        yield Fault(pointer, f"{shown(value)} does not match", f"it must match {pattern}")


def _matches(pattern: str, value: str) -> bool:
    try:
        return re.search(pattern, value) is not None
    except re.error:  # the library's fault, and none of the caller's
        return True


def _is(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES.get(name, (object,)))


def _equal(value: Any, other: Any) -> bool:
    return isinstance(value, bool) == isinstance(other, bool) and bool(value == other)


def _listed(values: list[Any]) -> str:
    return ", ".join(shown(value) for value in values[:12]) or "none"
