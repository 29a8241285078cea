"""How the program ends: the exit codes, and the ends that are no errors."""

from __future__ import annotations

SUCCEEDED = 0
FAILED = 1
USAGE = 2
NOT_FOUND = 3
AUTH = 4
CONFLICT = 5
UNREACHABLE = 6
CANCELLED = 7
CHANGES = 10
TIMEOUT = 124
INTERRUPTED = 130
BROKEN_PIPE = 141
TERMINATED = 143

MEANINGS = (
    (SUCCEEDED, "done as asked"),
    (FAILED, "the workflow failed, or something unexpected happened"),
    (USAGE, "the command or a definition is wrong; nothing was sent"),
    (NOT_FOUND, "what was named is not there"),
    (AUTH, "the token is missing or was refused"),
    (CONFLICT, "the wish does not fit what is there: port taken, idempotency key used before"),
    (UNREACHABLE, "the orchestrator does not answer"),
    (CANCELLED, "the workflow was cancelled"),
    (CHANGES, "with --check --exit-code: there are changes to make"),
    (TIMEOUT, "--timeout was reached; the workflow goes on"),
    (INTERRUPTED, "Ctrl-C: detached; an orchestrated workflow goes on"),
    (BROKEN_PIPE, "whoever read the output closed it"),
    (TERMINATED, "SIGTERM: detached; an orchestrated workflow goes on"),
)


class Exit(Exception):
    """End with this code; everything that there is to say was said."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Terminated(BaseException):
    """SIGTERM arrived. Like KeyboardInterrupt no `except Exception` holds it."""
