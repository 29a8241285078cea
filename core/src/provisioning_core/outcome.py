"""How an attempt ended: exit code or signal, and the result file.

The rules are data in contract/examples/outcomes.json: direct mode reads outcomes by them here, the orchestrator by code
of its own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NoReturn

RESULT_BYTES_MAX = 1024 * 1024
FILE_BYTES_MAX = 8 * 1024 * 1024  # a result, an expansion and what is around them


@dataclass(frozen=True, slots=True)
class Failure:
    """code: `exit_code`, `signal`, `timeout`, `bad_result`, `bad_expansion`, `not_runnable`, or the operation's own."""

    code: str
    message: str
    retryable: bool = True
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """failure None: succeeded. result: the JSON value, None for none. tasks: the expansion as it came, unchecked."""

    failure: Failure | None = None
    partial: bool = False
    result: Any = None
    tasks: tuple[Any, ...] = ()


def read_outcome(exit_code: int | None, signal: int | None, file: bytes | None, *, timed_out: bool = False) -> Outcome:
    """Exactly one of exit_code and signal is set. file: the bytes of the result file, None where there is none."""
    document, unreadable = _read(file)
    if timed_out:
        return Outcome(Failure("timeout", "it took longer than its timeout and was killed"))
    if exit_code == 0:
        if unreadable:
            return Outcome(Failure("bad_result", unreadable, retryable=False))
        status = document.get("status")
        if status == "error" or (status != "partial" and document.get("error") is not None):
            return Outcome(_failure(document, "error", "the operation reported an error without saying which"))
        return Outcome(None, status == "partial", document.get("result"), tuple(document.get("tasks") or ()))
    if signal is not None:
        return Outcome(_failure(document, "signal", f"the operation was killed by signal {signal}"))
    return Outcome(_failure(document, "exit_code", f"the operation ended with exit code {exit_code}"))


def _read(file: bytes | None) -> tuple[dict[str, Any], str | None]:
    """The document, and why it cannot be read where it cannot."""
    if file is None:
        return {}, None
    if len(file) > FILE_BYTES_MAX:
        return {}, f"the result file has more than {FILE_BYTES_MAX} bytes"
    try:
        document = json.loads(file.decode(), parse_constant=_no_constant)
        result = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        if isinstance(document, dict) and len(result) > RESULT_BYTES_MAX:
            result = json.dumps(document.get("result"), ensure_ascii=False, separators=(",", ":")).encode()
            if len(result) > RESULT_BYTES_MAX:
                return {}, f"the result has {len(result)} bytes; at most {RESULT_BYTES_MAX} are taken"
    except (ValueError, RecursionError) as error:
        return {}, f"the result file is not JSON: {error}"[:4000]
    fault = _fault(document)
    return ({}, fault) if fault else (document, None)


def _fault(document: Any) -> str | None:
    if not isinstance(document, dict):
        return f"the result file holds a JSON {type(document).__name__}; an object is expected"
    status = document.get("status")
    if status not in (None, "success", "error", "partial") or isinstance(status, bool):
        return f"the result file's status is {status!r:.100}; accepted: success, error, partial"
    for name, wanted in (("error", dict), ("tasks", list), ("resources", list)):
        if not isinstance(document.get(name), wanted | None):
            return f"the result file's `{name}` is not {'an object' if wanted is dict else 'an array'}"
    if not all(isinstance(resource, dict) for resource in document.get("resources") or ()):
        return "the result file's `resources` is not an array of objects"
    return None


def _failure(document: dict[str, Any], code: str, message: str) -> Failure:
    error = document.get("error") or {}
    given = {name: error.get(name) for name in ("code", "message") if isinstance(error.get(name), str)}
    after = error.get("retry_after_s")
    return Failure(
        given.get("code") or code,
        (given.get("message") or message)[:4000],
        error["retryable"] if isinstance(error.get("retryable"), bool) else True,
        float(after) if isinstance(after, int | float) and not isinstance(after, bool) and after >= 0 else None,
    )


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
