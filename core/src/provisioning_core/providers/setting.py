"""What can be set for a cloud, checked: a table of what each setting accepts, and all faults in one error."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..errors import UsageError
from ..yamlfile import shown, suggestion
from .loopback import is_loopback


class Accepted(NamedTuple):
    """words: what is expected, for people."""

    accepts: Callable[[Any], bool]
    words: str


def check_settings(cloud: str, settings: Mapping[str, Any], accepted: Mapping[str, Accepted]) -> None:
    """Raises UsageError (`bad_settings`) with all that is wrong."""
    known = list(accepted)
    wrong: list[str] = []
    for name, value in settings.items():
        if name not in accepted:
            wrong.append(f"{shown(name)} is not known.{suggestion(name, known)}".removesuffix("."))
        elif not accepted[name].accepts(value):
            wrong.append(f"{name}: {shown(value)} is not accepted; {accepted[name].words} is expected")
    if wrong:
        text = f"settings of {cloud}: {'; '.join(wrong)}"
        raise UsageError(text, code="bad_settings", hint=f"known: {', '.join(known)}")


def text(words: str) -> Accepted:
    return Accepted(_is_text, words)


def matching(pattern: re.Pattern[str], words: str) -> Accepted:
    return Accepted(lambda value: isinstance(value, str) and bool(pattern.fullmatch(value)), words)


def texts(words: str) -> Accepted:
    return Accepted(lambda value: isinstance(value, list) and all(map(_is_text, value)), words)


def table(words: str) -> Accepted:
    """Of text to text."""
    return Accepted(lambda value: isinstance(value, dict) and all(map(_is_text, [*value, *value.values()])), words)


def whole(low: int, high: int) -> Accepted:
    return Accepted(lambda value: type(value) is int and low <= value <= high, f"a whole number from {low} to {high}")


def endpoint(variable: str) -> Accepted:
    """A workspace's file may name a double only: it must not send somebody's credentials elsewhere."""
    return Accepted(is_loopback, f"a loopback address (any other by {variable})")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_network(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(ipaddress.ip_network(value))
    except ValueError:
        return False


def _is_seconds(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 86_400


NETWORK = Accepted(_is_network, "a network like 203.0.113.0/24")
SECONDS = Accepted(_is_seconds, "a number of seconds")
SWITCH = Accepted(lambda value: isinstance(value, bool), "true or false")
PORT = whole(1, 65_535)
