"""The machine-readable forms of a result: JSON, YAML, JSON lines, names. What is in them only grows within 1.x."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

API_VERSION = "provisioning/v1"
UI_VERSION = "1.0"
VERSION_LINE = {"type": "version", "ui": UI_VERSION}

# JSON may hold these as they are, but a terminal acts on them; inside a string the escape means the same.
_ACTED_ON = "[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"


def collection(kind: str, items: Sequence[Mapping[str, Any]], about: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """about: fields of the collection itself."""
    return {"apiVersion": API_VERSION, "kind": kind, **(about or {}), "items": list(items)}


def single(kind: str, item: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": kind, **item}


def render(document: Mapping[str, Any], form: str, name_field: str) -> str:
    """form: json, yaml, jsonl or name. A collection gives a line an item in the last two."""
    items = document.get("items", [document])
    if form == "json":
        return _harmless(json.dumps(document, indent=2, ensure_ascii=False))
    if form == "yaml":
        import yaml  # here: costs a third of the start-up time, and few ask for it

        return str(yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True)).rstrip("\n")
    if form == "jsonl":
        return "\n".join(line(item) for item in (VERSION_LINE, *items))
    return "\n".join(str(item.get(name_field, "")) for item in items)


def line(item: Mapping[str, Any]) -> str:
    return _harmless(json.dumps(item, ensure_ascii=False, separators=(",", ":")))


def _harmless(text: str) -> str:
    return (
        text
        if text.isascii() and "\x7f" not in text
        else re.sub(_ACTED_ON, lambda match: f"\\u{ord(match.group()):04x}", text)
    )
