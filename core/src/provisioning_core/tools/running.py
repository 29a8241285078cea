"""What `command/run` does: its parameters checked, its command run here or there, its output made a result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import params as check
from ..errors import ProviderError, UsageError
from ..params import Check
from ..yamlfile import shown
from .command import Ran, run_here, run_there
from .references import refuse_references, resolved, write
from .targets import server_named

if TYPE_CHECKING:
    from ..operation import Task
    from ..workspace import Workspace

CAPTURES = ("text", "lines", "json", "none")


def run_as_told(task: Task) -> dict[str, Any]:
    """{exit_code, output, cut}. Raises UsageError for parameters, ProviderError for a command that failed."""
    task.check({}, {**FIELDS, "input": lambda _: None})
    params, workspace = task.params, task.workspace()
    argv = _argv(params)
    if params.get("input") is not None and params.get("stdin") is not None:
        raise UsageError("input and stdin are both given; one of them goes to standard input", code="bad_params")
    refuse_references(params, ("argv", "script", "arguments", "environment"), "give it as stdin or in input")
    stdin = resolved(params["stdin"]).encode() if params.get("stdin") is not None else _encoded(params.get("input"))
    environment = params.get("environment") or {}
    if params.get("server") is None:
        ran = _run_here(task, argv, environment, stdin)
    else:
        if params.get("infra") is None or params.get("directory") is not None:
            raise UsageError("on a server: infra is needed, and directory is not possible", code="bad_params")
        server = server_named(workspace, params["infra"], params["server"])
        ran = run_there(server.attributes["ssh"], argv, environment=environment, stdin=stdin)
    _check_code(argv[0], ran, params)
    return {"exit_code": ran.exit_code, "output": _captured(ran, params.get("capture") or "text"), "cut": ran.cut}


def _run_here(task: Task, argv: list[str], environment: dict[str, str], stdin: bytes) -> Ran:
    told = {"input": task.params.get("input"), "results": task.results}
    file = write(Path.cwd() / "input.json", json.dumps(told))
    directory = directory_below(task.workspace(), task.params.get("directory"))
    try:
        return run_here(argv, directory=directory, environment=environment | {"COMMAND_INPUT": str(file)}, stdin=stdin)
    finally:
        file.unlink(missing_ok=True)  # what is left in the working directory is kept with the attempt


def directory_below(workspace: Workspace, name: str | None) -> Path:
    """The working directory itself where name is None. Raises UsageError for what is not below the workspace."""
    if name is None:
        return Path.cwd()
    directory = (workspace.path / name).resolve()
    if not directory.is_relative_to(workspace.path) or not directory.is_dir():
        raise UsageError(f"directory {shown(name)}: no directory of the workspace {workspace.path}", code="bad_params")
    return directory


def _argv(params: dict[str, Any]) -> list[str]:
    argv, script = params.get("argv"), params.get("script")
    if (argv is None) == (script is None):
        raise UsageError("exactly one of argv and script is expected", code="bad_params")
    if argv is not None:
        if params.get("arguments"):
            raise UsageError("arguments go with script; argv holds its own", code="bad_params")
        return list(argv)
    return ["sh", "-eu", "-c", script, "script", *(params.get("arguments") or [])]


def _encoded(given: Any) -> bytes:
    return b"" if given is None else json.dumps(resolved(given)).encode() + b"\n"


def _check_code(program: str, ran: Ran, params: dict[str, Any]) -> None:
    if ran.exit_code in (params.get("ok_codes") or [0]):
        return
    last = ran.text.strip().splitlines()[-1:] or ["(it printed nothing on standard output)"]
    raise ProviderError(
        f"{shown(program)} ended with exit code {ran.exit_code}: {last[0][:300]}",
        code="command_failed",
        retryable=ran.exit_code in (params.get("retry_codes") or []),
    )


def _captured(ran: Ran, how: str) -> Any:
    if how == "none":
        return None
    if how == "text":
        return ran.text
    if how == "lines":
        return ran.text.splitlines()
    if ran.cut:
        size = len(ran.output) + ran.cut
        raise UsageError(f"the output has {size} bytes; as JSON at most {len(ran.output)} are read", code="bad_output")
    try:
        return json.loads(ran.output)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the output is no JSON: {error}; it begins {shown(ran.text)}", code="bad_output") from error


def _texts(value: Any) -> str | None:
    if isinstance(value, list) and all(isinstance(each, str) and "\0" not in each for each in value):
        return None
    return f"a list of texts is expected, got {shown(value)}"


def _argv_check(value: Any) -> str | None:
    return _texts(value) or (None if value else "a program is expected, got an empty list")


def _environment(value: Any) -> str | None:
    if isinstance(value, dict) and all(
        name and "=" not in name and isinstance(text, str) and "\0" not in name + text for name, text in value.items()
    ):
        return None
    return f"an object of texts is expected, got {shown(value)}"


FIELDS: dict[str, Check] = {
    "argv": _argv_check,
    "script": check.text(100_000),
    "arguments": _texts,
    "environment": _environment,
    "stdin": lambda value: None if isinstance(value, str) else f"text is expected, got {shown(value)}",
    "directory": check.text(1_000),
    "infra": check.infra_name,
    "server": check.server_name,
    "capture": check.one_of(*CAPTURES),
    "ok_codes": check.list_of(check.number(0, 255), 256),
    "retry_codes": check.list_of(check.number(0, 255), 256),
}
