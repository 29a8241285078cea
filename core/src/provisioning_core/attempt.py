"""One attempt of an operation as a fresh process, by contract/task.json: for direct mode, and for trying an operation.

The orchestrator's runner does the same with more promises. Here the attempt is over when its process ends: what is left
in its process group is killed, what has a session of its own (a machine that was handed over) lives on.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .environment import passed_on
from .errors import UsageError
from .library import Interpreters, Operation
from .outcome import FILE_BYTES_MAX, Failure, Outcome, read_outcome
from .plugins import passed_variables
from .secrets.handing import Handed, handed
from .secrets.named import SecretUnavailable

GRACE_S = 10.0
REPORT_EVERY_S = 0.1
LOG_TAIL_BYTES = 8192


@dataclass(frozen=True, slots=True)
class Where:
    """directory: is made, and holds all files of the attempt. timeout_s: after it the attempt is killed."""

    directory: Path
    workspace: Path
    interpreters: Interpreters
    timeout_s: float


def run_attempt(
    operation: Operation, told: Mapping[str, Any], where: Where, on_report: Callable[[dict[str, Any]], None]
) -> tuple[Outcome, str]:
    """How it ended, and the last lines of its log. told: what it reads. on_report: gets each event as it is written.

    Where its params refer to secrets they are handed over, and what comes back of them is taken out.
    """
    try:
        with handed(told.get("params")) as secrets:
            if secrets is None:
                return _run(operation, told, where, on_report, None)
            report = lambda event: on_report(secrets.redactor.value(event))  # noqa: E731
            return _run(operation, told, where, report, secrets)
    except SecretUnavailable as error:
        message = f"{error.message} ({error.hint})" if error.hint else error.message
        return Outcome(Failure(error.code, message, retryable=error.retryable)), ""


def _run(
    operation: Operation,
    told: Mapping[str, Any],
    where: Where,
    on_report: Callable[[dict[str, Any]], None],
    secrets: Handed | None,
) -> tuple[Outcome, str]:
    directory = where.directory
    (directory / "work").mkdir(parents=True)
    (directory / "input").write_text(json.dumps(told) + "\n", "ascii")
    environment = passed_on() | {name: os.environ[name] for name in passed_variables()}
    # An operation in Nushell calls `provisioning`: the one beside this Python, as under `orchestrator start`.
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)])
    environment |= {f"PROVISIONING_{name.upper()}": str(directory / name) for name in ("result", "events", "leave")}
    environment["PROVISIONING_WORKSPACE"] = str(where.workspace.resolve())
    environment |= secrets.environment() if secrets is not None else {}
    written = directory if secrets is None else secrets.private
    reports = _Reports(written / "events", on_report)
    process, timed_out = None, False
    try:
        with (directory / "input").open("rb") as stdin, (directory / "log").open("wb") as log, _signals_held():
            try:
                process = subprocess.Popen(
                    operation.command(where.interpreters.python, where.interpreters.nu),
                    cwd=directory / "work",
                    env=environment,
                    stdin=stdin,
                    stdout=log if secrets is None else secrets.output,
                    stderr=subprocess.STDOUT,
                    process_group=0,
                    pass_fds=() if secrets is None else (secrets.descriptor,),
                )
            except OSError as error:
                return _not_runnable(operation, error), ""
        timed_out = not _wait(process, time.monotonic() + where.timeout_s, reports)
    finally:
        if process is not None:
            _end(process, timed_out)
    reports.read()
    if secrets is not None:
        (directory / "log").write_bytes(secrets.log())
    code = process.returncode
    exit_code, signal_ = (code, None) if code >= 0 else (None, -code)
    outcome = read_outcome(exit_code, signal_, _result(written, secrets), timed_out=timed_out)
    return outcome, _tail(directory / "log")


def _not_runnable(operation: Operation, error: OSError) -> Outcome:
    missing = isinstance(error, FileNotFoundError) and os.sep not in str(error.filename)
    why = f"there is no `{error.filename}` on PATH" if missing else f"{error.strerror}: {error.filename}"
    return Outcome(Failure("not_runnable", f"{operation.name} cannot be run: {why}", retryable=False))


def _wait(process: subprocess.Popen[bytes], until: float, reports: _Reports) -> bool:
    """Whether it ended in time."""
    while (left := until - time.monotonic()) > 0:
        try:
            process.wait(min(REPORT_EVERY_S, left))
            return True
        except subprocess.TimeoutExpired:
            reports.read()
    return False


def _end(process: subprocess.Popen[bytes], kill_now: bool) -> None:
    """After this nothing of its process group is alive, however we came here (by a second interrupt, too)."""
    try:
        if process.poll() is None and not kill_now:
            _signal(process, signal.SIGTERM)
            process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with _signals_held():
            _signal(process, signal.SIGKILL)
            process.wait()


@contextmanager
def _signals_held() -> Iterator[None]:
    """SIGINT and SIGTERM that arrive within take effect at its end. An exception out of the middle of Popen would leave
    a process that nobody knows. What is ignored, or ends us without a word, stays so; other threads get no signals."""
    arrived: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if threading.current_thread() is not threading.main_thread():
        before = {}
    ours = {number: handler for number, handler in before.items() if callable(handler)}
    for number in ours:
        signal.signal(number, lambda number, _: arrived.append(number))
    try:
        yield
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)
        for late in dict.fromkeys(arrived):
            signal.raise_signal(late)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        pass  # nothing left of it; macOS says "not permitted" of a group of zombies


class _Reports:
    """The lines that the operation appends to its event file; a half-written last one waits for its end."""

    def __init__(self, path: Path, on_report: Callable[[dict[str, Any]], None]) -> None:
        self._path, self._on_report, self._offset = path, on_report, 0

    def read(self) -> None:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read(FILE_BYTES_MAX)
        except FileNotFoundError:
            return
        whole = data.rfind(b"\n") + 1
        self._offset += whole
        for line in data[:whole].splitlines():
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(event, dict):
                self._on_report(event)


def _result(directory: Path, secrets: Handed | None) -> bytes | None:
    try:
        with (directory / "result").open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
            return content if secrets is None else secrets.redactor.document(content)
    except FileNotFoundError:
        return None
    except OSError as error:  # a directory, say
        raise UsageError(f"the result file of the operation cannot be read: {error}", code="bad_result") from error


def _tail(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
        return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-20:])
