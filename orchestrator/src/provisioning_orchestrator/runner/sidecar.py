"""What a library says of an operation beside its code: `create.toml` next to `create.py`. Keys: contract/task.json."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, cast, get_args

from provisioning_orchestrator.ports import OrchestratorError
from provisioning_orchestrator.workflow.spec import REPEATABLE, Backoff, RetryPolicy


class BrokenSidecar(OrchestratorError, ValueError):
    """A sidecar cannot be used; the message names the file and every key that is wrong."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """None: not said."""

    repeatable: bool = False
    timeout_s: float | None = None
    retry: RetryPolicy | None = None
    params: dict[str, Any] | None = None


def parse_sidecar(path: str, content: bytes) -> Sidecar:
    """path: for messages. Raises BrokenSidecar with all faults at once."""
    try:
        table = tomllib.loads(content.decode("utf-8"))
    except ValueError as error:  # UnicodeDecodeError and TOMLDecodeError (which gives line and column)
        raise BrokenSidecar(f"reading the sidecar {path}: {error}") from error
    faults: list[str] = []
    values = _checked(table, "", _KEYS, faults)
    retry = _retry(values, faults) if "retry" in values else None
    if faults:
        raise BrokenSidecar(f"reading the sidecar {path}: " + "; ".join(faults))
    return Sidecar(
        repeatable=values.get("repeatable", False),
        timeout_s=float(values["timeout_s"]) if "timeout_s" in values else None,
        retry=retry,
        params=values.get("params"),
    )


def _retry(values: dict[str, Any], faults: list[str]) -> RetryPolicy:
    given = _checked(values["retry"], "retry.", _RETRY_KEYS, faults)
    base = REPEATABLE  # who writes the table wants a retry; a submission's partial table is filled the same way
    return RetryPolicy(
        attempts_max=given.get("attempts_max", base.attempts_max),
        backoff=cast(Backoff, given.get("backoff", base.backoff)),
        delay_s=float(given.get("delay_s", base.delay_s)),
        delay_max_s=float(given.get("delay_max_s", base.delay_max_s)),
        jitter=float(given.get("jitter", base.jitter)),
    )


Check = tuple[str, Callable[[Any], bool]]


def _checked(table: dict[str, Any], prefix: str, keys: dict[str, Check], faults: list[str]) -> dict[str, Any]:
    """The good entries; what is wrong with the others goes to faults."""
    good = {}
    for key, value in table.items():
        if not prefix and key in _RESERVED:
            faults.append(f"{key!r} is kept for a later version: this one would ignore it, so it refuses it")
        elif key not in keys:
            close = get_close_matches(key, keys, n=1)
            hint = f"; did you mean {prefix + close[0]!r}?" if close else f"; known are {', '.join(sorted(keys))}"
            faults.append(f"unknown key {prefix + key!r}{hint}")
        elif not keys[key][1](value):
            faults.append(f"{prefix + key} = {value!r} is not {keys[key][0]}")
        else:
            good[key] = value
    return good


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e12 < value < 1e12


_BACKOFFS = get_args(Backoff)
_RESERVED = frozenset({"locks", "pool", "undo"})
_KEYS: dict[str, Check] = {
    "repeatable": ("true or false", lambda value: isinstance(value, bool)),
    "timeout_s": ("a number of seconds above 0", lambda value: _number(value) and value > 0),
    "retry": ("a table", lambda value: isinstance(value, dict)),
    "params": ("a table (a JSON Schema)", lambda value: isinstance(value, dict)),
}
_RETRY_KEYS: dict[str, Check] = {
    "attempts_max": ("a whole number of 1 or more", lambda v: _number(v) and isinstance(v, int) and v >= 1),
    "backoff": (f"one of {', '.join(map(repr, _BACKOFFS))}", lambda value: value in _BACKOFFS),
    "delay_s": ("a number of seconds of 0 or more", lambda value: _number(value) and value >= 0),
    "delay_max_s": ("a number of seconds of 0 or more", lambda value: _number(value) and value >= 0),
    "jitter": ("a number from 0 to 1", lambda value: _number(value) and 0 <= value <= 1),
}
