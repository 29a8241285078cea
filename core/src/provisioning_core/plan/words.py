"""A plan in words, one line per change, as progress, prompts and `infra plan` show it.

+ server web-3                       created
~ server web-1  plan: 1cpu-1gb -> 2cpu-4gb (restart)
-/+ server db-1  image: debian-12 -> debian-13 (replace)
- server old-1                       deleted
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..inventory import DIGEST
from .model import Action, Change, FieldChange, Plan

SIGNS: Mapping[Action, str] = {
    "create": "+", "start": "~", "update": "~", "replace": "-/+", "delete": "-", "exists": "=",
}  # fmt: skip
COUNTED: Mapping[Action, str] = {
    "create": "to create",
    "start": "to start",
    "update": "to change",
    "replace": "to replace",
    "delete": "to delete",
    "exists": "there already",
}
COMPLETED = "to complete"  # of those that are started: what was never seen to be made to its end
DIGEST_SHOWN = len("sha256:") + 8
VALUE_MAX = 40


def summary(plan: Plan) -> str:
    """`2 to create, 1 to change, 3 there already`."""
    counts = {words: plan.count(action) for action, words in COUNTED.items()}
    counts[COMPLETED] = sum(each.action == "start" and _lacks(each) == "creating" for each in plan.changes)
    counts[COUNTED["start"]] -= counts[COMPLETED]
    return ", ".join(f"{count} {words}" for words, count in counts.items() if count) or "nothing"


def change_words(change: Change) -> str:
    """`server web-1  plan: 1cpu-1gb -> 2cpu-4gb (restart)`."""
    parts = ", ".join(field_words(each) for each in change.fields)
    parts = start_words(change) if change.action == "start" else parts
    return f"{change.kind} {change.name}" + (f"  {parts}" if parts else "")


def start_words(change: Change) -> str:
    """Of a server that is there as it is to be, and can't be used yet."""
    state = _lacks(change)
    return "unfinished: to be completed" if state == "creating" else f"{state}: to be started"


def _lacks(change: Change) -> str:
    """The state that a server is to be brought out of."""
    return next((str(each.before) for each in change.fields if each.path == "state"), "stopped")


def field_words(field: FieldChange) -> str:
    if field.path == "state" and field.before == "error":
        return f"broken ({field.before} at the provider): to be made again (replace)"
    effect = {"in_place": "", "restart": " (restart)", "replace": " (replace)"}[field.effect]
    if field.path == "network" and field.before == field.after:
        return f"network {field.after} is replaced{effect}"
    return f"{field.path}: {value_words(field.before)} -> {value_words(field.after)}{effect}"


def value_words(value: Any) -> str:
    """Short, on one line; a digest by its beginning."""
    if value is None or value in ([], {}):
        return "none"
    if isinstance(value, str):
        text = value[:DIGEST_SHOWN] if DIGEST.fullmatch(value) else value if value else '""'
    elif isinstance(value, list) and all(isinstance(each, Mapping) and "protocol" in each for each in value):
        text = "+".join(_rule_words(each) for each in value)
    elif isinstance(value, list):
        text = ",".join(value_words(each) for each in value)
    elif isinstance(value, Mapping):
        text = " ".join(f"{name}={value_words(part)}" for name, part in value.items() if part is not None)
    else:
        text = json.dumps(value)
    return text if len(text) <= VALUE_MAX else text[: VALUE_MAX - 1] + "…"


def _rule_words(rule: Mapping[str, Any]) -> str:
    """`tcp/80-90 from 10.0.0.0/8`."""
    ports = list(dict.fromkeys(rule.get("ports") or ()))
    what = str(rule["protocol"]) + (f"/{'-'.join(map(str, ports))}" if ports else "")
    return f"{what} from {rule['source']}" if rule.get("source") else what
