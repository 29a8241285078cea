"""The runtime of an operation written in Python: what contract/task.json says, as a function and a value.

    from provisioning_core.operation import Result, Task, run

    def main(task: Task) -> Result:
        task.progress("looking")
        return Result({"answer": task.params["question"]})

    if __name__ == "__main__":
        run(main)

Read: one line of JSON on standard input. Written: the result file at PROVISIONING_RESULT, whole or not at all; lines at
PROVISIONING_EVENTS, each by one write. By hand, without these variables, the result goes to standard output.

What `main` raises becomes the error document and exit code 1: a ProvisioningError under its own code (a ProviderError
says itself whether to try again, everything else is permanent); an OSError as `os_error`, to be tried again; anything
else is a bug, with its traceback in the log, as `internal`, permanent: it would only happen again.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from .errors import ProviderError, ProvisioningError, UsageError
from .params import Check, check_params
from .progress import append_event, progress_event
from .provider import Resource
from .secrets.handed import VARIABLE as SECRETS_VARIABLE
from .secrets.handed import handed_secret, keep_to_ourselves
from .secrets.secret import Secret
from .secrets.telling import clean, clean_streams
from .workspace import Workspace, load_workspace

INPUT_BYTES_MAX = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Result:
    """value: what tasks that need this one see, any JSON. tasks: the expansion (see `new_task`). partial: success,
    flagged. resources: objects with at least kind and id."""

    value: Any = None
    tasks: list[dict[str, Any]] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """What the operation is told. results: the flat ids of the tasks that it needs, and its parent's, to their results.

    key: which thing, None where the task did not say. intent: which wish, a UUID, the same in every attempt.
    """

    workflow_id: str
    task_id: str
    attempt: int
    key: str | None
    intent: str
    operation: str
    params: dict[str, Any]
    results: dict[str, Any]

    def check(self, required: Mapping[str, Check], optional: Mapping[str, Check] = {}) -> None:
        """Raises UsageError (`bad_params`) with all that is wrong with the parameters; unknown ones are refused."""
        check_params(self.params, required, optional)

    def workspace(self) -> Workspace:
        return load_workspace()

    def secret(self, reference: str) -> Secret:
        """What `secret://name`, a text of the parameters, refers to. `.reveal()` it as late as can be.

        Raises SecretUnavailable.
        """
        return handed_secret(reference)

    def progress(self, message: str, percent: float | None = None) -> None:
        """Tell people how it goes: a line in the log and in the workflow's feed."""
        print(message, flush=True)
        event = progress_event(message)
        append_event(event if percent is None else event | {"percent": percent})

    def resource_created(self, resource: Resource) -> None:
        announce(resource)


def run(main: Callable[[Task], Any]) -> NoReturn:
    """Read the task, call main with it, write its result (a Result, or a plain JSON value) and exit."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]
    clean_streams()
    try:
        task = read_task(sys.stdin.buffer.read(INPUT_BYTES_MAX + 1))
        if SECRETS_VARIABLE in os.environ:
            keep_to_ourselves()
        returned = main(task)
        result = returned if isinstance(returned, Result) else Result(returned)
        document = {"status": "partial" if result.partial else "success", "result": result.value}
        optional = {"tasks": result.tasks, "resources": result.resources}
        _write_result(document | {name: value for name, value in optional.items() if value})
    except Exception as error:
        _write_result({"status": "error", "error": error_document(error)})
        _end(1)
    _end(0)


def _end(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(code)


def read_task(line: bytes) -> Task:
    """Raises UsageError (`bad_input`)."""
    if len(line) > INPUT_BYTES_MAX:
        raise UsageError(f"the input has more than {INPUT_BYTES_MAX} bytes", code="bad_input")
    try:
        given = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"standard input is not JSON: {error}",
            code="bad_input",
            hint='one object, like {"params": {"infra": "wuji"}}',
        ) from error
    if not isinstance(given, dict):
        raise UsageError("standard input holds no JSON object", code="bad_input")
    told = {"workflow_id": "", "task_id": "", "attempt": 1, "key": None, "intent": "", "operation": ""}
    told |= {"params": {}, "results": {}}
    task = Task(**{name: given.get(name, default) for name, default in told.items()})
    if not isinstance(task.params, dict):
        raise UsageError("`params` is not an object", code="bad_params")
    return task


def new_task(
    id: str, operation: str, params: dict[str, Any], *, needs: list[str] | None = None, key: str | None = None
) -> dict[str, Any]:
    """One task of an expansion. id: unique among its siblings; needs: ids of siblings."""
    task: dict[str, Any] = {"id": id, "operation": operation, "params": params}
    return task | ({"needs": needs} if needs else {}) | ({"key": key} if key else {})


def announce(resource: Resource) -> None:
    """Say at once that a resource exists: read even where this process never ends properly."""
    label = {"kind": resource.kind, "id": resource.id, "key": resource.key, "name": resource.name}
    append_event({"type": "resource.created", **label})


def error_document(error: Exception) -> dict[str, Any]:
    """The `error` of a result file; what people should know of it is said in the log as well."""
    if isinstance(error, ProvisioningError):
        message = f"{error.message} ({error.hint})" if error.hint else error.message
        print(f"error: {message}", file=sys.stderr)
        retryable = isinstance(error, ProviderError) and error.retryable
        document: dict[str, Any] = {"code": error.code, "message": message, "retryable": retryable}
        if isinstance(error, ProviderError) and error.retry_after_s is not None:
            document["retry_after_s"] = error.retry_after_s
        return document
    traceback.print_exception(error)
    message = f"{type(error).__name__}: {error}"
    if isinstance(error, OSError):
        return {"code": "os_error", "message": message, "retryable": True}
    return {"code": "internal", "message": message, "retryable": False}


def _write_result(document: Mapping[str, Any]) -> None:
    text = json.dumps(clean(document))
    path = os.environ.get("PROVISIONING_RESULT")
    if not path:
        print(text)
        return
    # Renamed into place: whoever reads it finds all of it or nothing, whenever this process is killed.
    part = Path(f"{path}.{os.getpid()}.part")
    part.write_text(text, "utf-8")
    part.replace(path)
