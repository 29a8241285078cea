"""`secret://name`: what a definition, a parameter or a setting holds in place of a value, as its whole text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

SCHEME = "secret://"
NAME = re.compile(r"(?=.{1,128}\Z)[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")
NAME_WORDS = "letters, digits, `.`, `_`, `-`, in parts divided by `/`, at most 128 characters"
REFERENCE = re.compile(SCHEME + NAME.pattern)
REFERENCE_WORDS = "secret://NAME, as in `provisioning secret set NAME`"


def is_reference(value: object) -> bool:
    """Whether it is meant as one: also a badly formed one, which `reference_fault` explains."""
    return isinstance(value, str) and value.startswith(SCHEME)


def name_of(reference: str) -> str:
    return reference.removeprefix(SCHEME)


def reference_fault(value: str) -> str | None:
    """What is wrong with a text that begins with `secret://`; None for nothing (and for any other text)."""
    if not is_reference(value) or REFERENCE.fullmatch(value):
        return None
    return f"{value[:200]!r} is no reference to a secret: a name is {NAME_WORDS}"


def references_in(value: Any) -> list[str]:
    """All texts in plain data that are meant as references, each once, in order. Not the keys of objects."""
    return list(dict.fromkeys(text for text in _texts(value) if is_reference(text)))


def _texts(value: Any) -> Iterator[str]:
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            stack.extend(reversed(list(one.values())))
        elif isinstance(one, list | tuple):
            stack.extend(reversed(one))
