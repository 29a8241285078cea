"""The values of an attempt's secrets, asked of a program by its shim, shortly before the operation is executed.

    standard input    ["db-password", "token"]
    standard output   {"secrets": {"db-password": "…"}, "failures": {"token": {"message": "…", "retryable": false}}}

By the shim, not by the daemon: it may be slow and nothing waits for it there; the values are never in the daemon; and a
daemon that is killed meanwhile changes nothing. The program dies with the shim (PDEATHSIG). Its standard error goes
nowhere: nobody knows yet what would have to be taken out of it.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import select
import signal
import time
from collections.abc import Callable
from typing import Any

from . import processes
from .encodings import NEEDLE_BYTES_MIN
from .redaction import compared
from .request import Wanted

NAMES_MAX = 256
ANSWER_BYTES_MAX = 16 * 1024 * 1024
VALUE_BYTES_MIN = 8
VALUE_BYTES_MAX = 16 * 1024
LOOK_S = 0.05
ENDS_WITHIN_S = 1.0
_NAME = re.compile(r"(?=.{1,128}\Z)[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_PR_SET_PDEATHSIG = 1


class Unavailable(Exception):
    """A secret cannot be had; in words, without a value. retryable: it may pass. Nothing of the operation has run."""

    def __init__(self, message: str, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


class Cancelled(Exception):
    """The attempt was cancelled while its secrets were asked for."""


def resolve(wanted: Wanted, environment: dict[str, str], cancelled: Callable[[], bool]) -> dict[str, str]:
    """The values by name. cancelled: asked every LOOK_S. Raises Unavailable, Cancelled, OSError."""
    faulty = [name for name in wanted.names if not _NAME.fullmatch(name)]
    if faulty:
        raise Unavailable("; ".join(f"secret://{name[:200]} is no reference to a secret" for name in faulty[:5]), False)
    if len(wanted.names) > NAMES_MAX:
        raise Unavailable(f"it refers to {len(wanted.names)} secrets; at most {NAMES_MAX} are given to one task", False)
    if not wanted.command:
        raise Unavailable(
            f"{_all(wanted)}: this orchestrator resolves no secrets; it was started without --secrets-command "
            "(`provisioning orchestrator start` gives it one)",
            False,
        )
    return _checked(wanted, _ask(wanted, environment, cancelled))


def encoded(values: dict[str, str]) -> bytes:
    """What the operation reads behind PROVISIONING_SECRETS."""
    return json.dumps(values, ensure_ascii=False).encode() + b"\n"


def words(reason: Exception) -> bytes:
    """The line of the log."""
    return b"error: %s\n" % _message(reason).encode("utf-8", "replace")


def write_result(path: str, reason: Exception) -> None:
    """What an operation would write that fails so. Raises OSError."""
    retryable = reason.retryable if isinstance(reason, Unavailable) else True
    error = {"code": "secret_unavailable", "message": _message(reason), "retryable": retryable}
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.write(fd, json.dumps({"status": "error", "error": error}).encode())
    finally:
        os.close(fd)


def _message(reason: Exception) -> str:
    return str(reason) if isinstance(reason, Unavailable) else f"its secrets could not be handed over: {reason}"


def _checked(wanted: Wanted, answer: bytes) -> dict[str, str]:
    try:
        document = json.loads(answer)
        values, failures = document["secrets"], document.get("failures") or {}
        values.get, failures.get  # noqa: B018 - both are objects, or AttributeError
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Unavailable(f"{_all(wanted)}: {wanted.command[0]} gave no answer that can be read", True) from None
    faults = [fault for name in wanted.names if (fault := _fault(name, values.get(name), failures.get(name)))]
    if faults:
        raise Unavailable("; ".join(message for message, _ in faults), all(retryable for _, retryable in faults))
    return {name: values[name] for name in wanted.names}


def _fault(name: str, value: Any, failure: Any) -> tuple[str, bool] | None:
    if isinstance(failure, dict):
        message = str(failure.get("message") or "it is not to be had")[:2000]
        said = message if message.startswith(f"secret://{name}") else f"secret://{name}: {message}"
        return said, failure.get("retryable") is True
    if not isinstance(value, str):
        return f"secret://{name}: there is no such secret", False
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        return f"secret://{name}: its value is no text in UTF-8", False
    if size < VALUE_BYTES_MIN or "\0" in value:
        return (
            f"secret://{name}: its value has {size} bytes; from {VALUE_BYTES_MIN} on it can be kept out of logs",
            False,
        )
    if compared(value) < NEEDLE_BYTES_MIN:
        return f"secret://{name}: without blanks and bars its value has fewer than {NEEDLE_BYTES_MIN} bytes", False
    if size > VALUE_BYTES_MAX:
        return f"secret://{name}: its value has {size} bytes; at most {VALUE_BYTES_MAX} are given to a task", False
    return None


def _ask(wanted: Wanted, environment: dict[str, str], cancelled: Callable[[], bool]) -> bytes:
    asked, ask = os.pipe()
    answer, answers = os.pipe()
    shim = os.getpid()
    try:
        pid = os.fork()
    except OSError:
        for fd in (asked, ask, answer, answers):
            os.close(fd)
        raise
    if pid == 0:
        try:
            _become(shim, wanted, environment, asked, answers)
        finally:
            os._exit(127)
    os.close(asked)
    os.close(answers)
    try:
        os.set_blocking(ask, False)
        try:
            os.write(ask, json.dumps(list(wanted.names)).encode())
        except OSError:
            pass  # It ended without reading: its exit code says more.
        os.close(ask)
        said = _heard(wanted, answer, cancelled)
    except BaseException:
        _end(pid, 0.0)
        raise
    finally:
        os.close(answer)
    code = _end(pid, ENDS_WITHIN_S)
    if code != 0:
        how = f"exit code {code}" if code > 0 else f"signal {-code}"
        raise Unavailable(f"{_all(wanted)}: {wanted.command[0]} ended with {how}", code != 127)
    return said


def _heard(wanted: Wanted, answer: int, cancelled: Callable[[], bool]) -> bytes:
    """Its whole answer; it has ended, or closed its output."""
    deadline = time.monotonic() + wanted.timeout_s
    said = b""
    poll = select.poll()
    poll.register(answer, select.POLLIN)
    while True:
        if poll.poll(LOOK_S * 1000):
            chunk = os.read(answer, 65536)
            if not chunk:
                return said
            said += chunk
            if len(said) > ANSWER_BYTES_MAX:
                raise Unavailable(f"{_all(wanted)}: {wanted.command[0]} gave more than {ANSWER_BYTES_MAX} bytes", False)
        if cancelled():
            raise Cancelled
        if time.monotonic() > deadline:
            message = f"{_all(wanted)}: {wanted.command[0]} gave no answer within {wanted.timeout_s:g} s"
            raise Unavailable(message, True)


def _become(shim: int, wanted: Wanted, environment: dict[str, str], asked: int, answers: int) -> None:
    """In the fork: the program, in a process group of its own, dying with the shim."""
    if processes.LINUX:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != shim:
            return
    os.setpgid(0, 0)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(asked, 0)
    os.dup2(answers, 1)
    os.dup2(nowhere, 2)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    more = dict(entry.partition("=")[::2] for entry in wanted.environment)
    os.execve(wanted.command[0], list(wanted.command), environment | more)  # noqa: S606 - a shell is the last thing wanted


def _end(pid: int, patience_s: float) -> int:
    """Its exit code. What has not ended by then is killed, and its process group in any case, before its number can be
    anybody else's."""
    deadline = time.monotonic() + patience_s
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None and time.monotonic() < deadline:
        time.sleep(0.002)
    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError:
        pass
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _all(wanted: Wanted) -> str:
    return ", ".join(f"secret://{name}" for name in wanted.names)
