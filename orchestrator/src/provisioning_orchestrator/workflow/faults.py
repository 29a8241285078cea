"""How faults are worded: values as a message shows them, keys as a JSON Pointer has them, fields that nobody knows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from .spec import Fault

SHOWN_CHARACTERS_MAX = 80


def shown(value: Any) -> str:
    """A JSON value in a message: one line, short, printable."""
    if value is None or isinstance(value, (dict, list)):
        return kind(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value[:SHOWN_CHARACTERS_MAX] if isinstance(value, str) else value)
    return text if len(text) <= SHOWN_CHARACTERS_MAX else text[: SHOWN_CHARACTERS_MAX - 3] + "…"


def kind(value: Any) -> str:
    """What JSON calls it."""
    if value is None:
        return "null"
    return {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}.get(type(value), "a number")


def escaped(name: str) -> str:
    """A key as a part of a JSON Pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def unknown_fields(doc: dict[str, Any], known: Sequence[str], pointer: str) -> list[Fault]:
    """A fault for each key that nobody knows, with the one that was probably meant."""
    faults = []
    for name in doc:
        if name not in known:
            close = get_close_matches(name[:64], known, n=1)
            hint = f"did you mean `{close[0]}`?" if close else f"known are {', '.join(known) or 'none'}"
            faults.append(Fault(f"{pointer}/{escaped(name)}", f"no field {shown(name)} is known here", hint))
    return faults


def is_number(value: Any) -> bool:
    """A JSON number: neither a boolean nor NaN nor infinite."""
    return (type(value) is int or type(value) is float) and math.isfinite(value)
