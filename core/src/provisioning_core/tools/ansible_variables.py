"""Variables for Ansible. Those with secrets go apart, marked `!unsafe`: a value with `{{` in it stays what it is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..secrets import is_reference, references_in, resolve_param
from .references import write


def variable_options(variables: Mapping[str, Any], plain: Path, secret: Path) -> Iterator[str]:
    """Options of `ansible-playbook` that give them. plain, secret: directories for what refers to no secret, and for
    what does. Raises as `resolve_param`."""
    hidden = {name: value for name, value in variables.items() if references_in(value)}
    shown = {name: value for name, value in variables.items() if name not in hidden}
    yield "--extra-vars"
    yield f"@{write(plain / 'variables.json', json.dumps(shown))}"
    if hidden:
        yield "--extra-vars"
        yield f"@{write(secret / 'secrets.yaml', in_yaml(hidden))}"


def in_yaml(value: Any) -> str:
    """Plain data as one line of YAML, which is nearly JSON; each reference is its value, never a template."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(name)}: {in_yaml(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(in_yaml, value))}]"
    if isinstance(value, str):
        return f"!unsafe {_text(resolve_param(value))}" if is_reference(value) else _text(value)
    if isinstance(value, float):
        digits, e, exponent = repr(value).partition("e")
        return digits + ("" if "." in digits else ".0") + e + exponent  # 1e+16 is a text in YAML 1.1
    return json.dumps(value)


def _text(text: str) -> str:
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(char: str) -> str:
    """JSON writes two escapes for what is one in YAML."""
    if char in '"\\':
        return "\\" + char
    if " " <= char <= "~":
        return char
    return f"\\u{ord(char):04x}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08x}"
