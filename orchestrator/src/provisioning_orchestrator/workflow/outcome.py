"""What the end of an attempt means: exit, signal, result file → succeeded, failed or cancelled.

The rules are data in contract/examples/outcomes.json, which the core's direct mode obeys too. A signal or an exit code
other than 0 is a failure (the result file's `error` says whether to try again and when). Exit 0 without a file is
success; with `error`, failure; with `partial`, flagged success; with an unreadable or oversized file, the permanent
failure `bad_result`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .records import TaskError
from .retry import RETRY_AFTER_MAX_S
from .spec import EXPANSION_BYTES_MAX, EXPANSION_TASKS_MAX, RESULT_BYTES_MAX

MESSAGE_CHARS_MAX = 4_000
RESOURCES_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Interpretation:
    """error is None: succeeded (or cancelled). result: the value as JSON. tasks: the raw expansion, unchecked."""

    error: TaskError | None = None
    cancelled: bool = False
    exit_code: int | None = None
    signal: int | None = None
    flagged: bool = False
    result: bytes | None = None
    tasks: tuple[Any, ...] = ()
    resources: tuple[dict[str, Any], ...] = ()
    note: str | None = None


def interpret(
    *,
    exit_code: int | None,
    signal: int | None,
    result: bytes | None,
    result_oversized: bool = False,
    timed_out: bool = False,
    cancelled: bool = False,
    refused: str | None = None,
    note: str | None = None,
) -> Interpretation:
    """Exactly one of exit_code and signal is set, or `refused` says why nothing could be run (permanent)."""

    def ended(error: TaskError | None, **more: Any) -> Interpretation:
        return Interpretation(error=error, exit_code=exit_code, signal=signal, note=note, **more)

    if refused is not None:
        return ended(TaskError("not_runnable", refused, retryable=False))
    document, unreadable = _read(result, result_oversized)
    if exit_code == 0 and not timed_out:
        if unreadable is not None:
            return ended(TaskError("bad_result", unreadable, retryable=False))
        status = document.get("status", "success")
        if status == "error" or (status == "success" and "error" in document):
            error = _error(document, TaskError("error", "the operation reported an error without saying which"))
            return ended(error, resources=_resources(document))
        return _success(document, ended)
    if cancelled:
        return ended(None, cancelled=True, resources=_resources(document))
    if timed_out:
        error = TaskError("timeout", "the attempt took longer than its timeout_s and was killed")
        return ended(error, resources=_resources(document))
    if signal is not None:
        default = TaskError("signal", f"the operation was killed by signal {signal}")
    else:
        default = TaskError("exit_code", f"the operation ended with exit code {exit_code}")
    return ended(_error(document, default), resources=_resources(document))


def _read(result: bytes | None, oversized: bool) -> tuple[dict[str, Any], str | None]:
    """The document, and why it can't be read where it can't."""
    if oversized:
        return {}, f"the result file is larger than may be read (result {RESULT_BYTES_MAX} bytes)"
    if result is None:
        return {}, None
    try:
        document = json.loads(result.decode("utf-8"), parse_constant=_refuse_constant)
        encode(document)  # what can be read but not kept (lone surrogates, 1e999) would stop the commit later
    except (ValueError, RecursionError) as error:
        return {}, f"the result file is not JSON: {error}"[:MESSAGE_CHARS_MAX]
    if not isinstance(document, dict):
        return {}, f"the result file holds a JSON {type(document).__name__}, not an object"
    for name in ("status", "error", "tasks", "resources"):
        if name in document and document[name] is None:
            del document[name]
    fault = _shape_fault(document)
    return (document, None) if fault is None else ({}, fault)


def _shape_fault(document: dict[str, Any]) -> str | None:
    status = document.get("status", "success")
    if status not in ("success", "error", "partial"):
        return f"the result file's status is {status!r:.100}; accepted: success, error, partial"
    if not isinstance(document.get("tasks", []), list):
        return "the result file's `tasks` is not an array"
    if not isinstance(document.get("error", {}), dict):
        return "the result file's `error` is not an object"
    resources = document.get("resources", [])
    if not isinstance(resources, list) or not all(isinstance(item, dict) for item in resources):
        return "the result file's `resources` is not an array of objects"
    return None


def _success(document: dict[str, Any], ended: Any) -> Interpretation:
    value = encode(document["result"]) if "result" in document else None
    expansion = len(encode(document.get("tasks", [])))
    if value is not None and len(value) > RESULT_BYTES_MAX:
        message = f"the result is {len(value)} bytes long; at most {RESULT_BYTES_MAX} are kept"
        return ended(TaskError("bad_result", message, retryable=False))  # type: ignore[no-any-return]
    tasks = tuple(document.get("tasks", ()))
    if len(tasks) > EXPANSION_TASKS_MAX or expansion > EXPANSION_BYTES_MAX:
        message = (
            f"the expansion has {len(tasks)} tasks in {expansion} bytes; "
            f"at most {EXPANSION_TASKS_MAX} tasks in {EXPANSION_BYTES_MAX} bytes are taken"
        )
        return ended(TaskError("bad_expansion", message, retryable=False))  # type: ignore[no-any-return]
    flagged = document.get("status") == "partial"
    return ended(None, result=value, tasks=tasks, flagged=flagged, resources=_resources(document))  # type: ignore[no-any-return]


def _error(document: dict[str, Any], default: TaskError) -> TaskError:
    given = document.get("error")
    if not isinstance(given, dict):
        return default
    code, message = given.get("code"), given.get("message")
    retryable, after = given.get("retryable"), given.get("retry_after_s")
    number = isinstance(after, int | float) and not isinstance(after, bool) and 0 <= after < float("inf")
    return TaskError(
        code=code[:100] if isinstance(code, str) and code else default.code,
        message=message[:MESSAGE_CHARS_MAX] if isinstance(message, str) and message else default.message,
        retryable=retryable if isinstance(retryable, bool) else True,
        retry_after_s=float(min(after, RETRY_AFTER_MAX_S)) if number and after is not None else None,
    )


def _resources(document: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    return tuple(document.get("resources", ())[:RESOURCES_MAX])


def encode(value: Any) -> bytes:
    """Compact JSON in UTF-8. Raises ValueError for what UTF-8 can't hold (lone surrogates)."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
