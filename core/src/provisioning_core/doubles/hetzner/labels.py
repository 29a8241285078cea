"""Labels and their selectors, as the API takes them: `key`, `!key`, `key==value`, `key!=value`, `key in (a,b)`, …"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .refusal import invalid

_PART = r"[a-zA-Z0-9]([a-zA-Z0-9._-]{0,61}[a-zA-Z0-9])?"
_KEY = re.compile(rf"([a-zA-Z0-9]([a-zA-Z0-9._-]{{0,251}}[a-zA-Z0-9])?/)?{_PART}")
_VALUE = re.compile(rf"({_PART})?")
_TERM = re.compile(
    rf"\s*(?:(?P<absent>!)\s*(?P<no>{_KEY.pattern})"
    rf"|(?P<key>{_KEY.pattern})\s*(?:(?P<how>==|=|!=)\s*(?P<value>[^\s,()]*)|(?P<set>in|notin)\s*\((?P<values>[^()]*)\))?)\s*"
)


def check_labels(labels: Any) -> dict[str, str]:
    """Raises Refusal (`invalid_input`)."""
    if labels is None:
        return {}
    if not isinstance(labels, dict):
        raise invalid("labels", "not an object")
    for key, value in labels.items():
        if not _KEY.fullmatch(key) or not isinstance(value, str) or not _VALUE.fullmatch(value):
            raise invalid("labels", f"invalid label {key!r}: {value!r}")
    return dict(labels)


def matches(labels: Mapping[str, str], selector: str) -> bool:
    """Raises Refusal for what is no selector."""
    terms = re.split(r",(?![^(]*\))", selector)
    return all(_holds(labels, term) for term in terms)


def _holds(labels: Mapping[str, str], term: str) -> bool:
    found = _TERM.fullmatch(term)
    if found is None:
        raise invalid("label_selector", f"cannot parse {term!r}")
    if found["absent"]:
        return found["no"] not in labels
    value = labels.get(found["key"])
    if found["set"]:
        among = value in [each.strip() for each in found["values"].split(",")]
        return among if found["set"] == "in" else not among
    if found["how"] is None:
        return value is not None
    return (value == found["value"]) == (found["how"] != "!=")
