"""Stops the orchestrator: SIGTERM to the process that it says it is, and waits for its end."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from ..errors import AuthError, UnreachableError
from ..render.text import as_called
from . import exits
from .exits import Exit
from .port import alive
from .presence import check_ours, counts_of, describe
from .session import Session

LOOK_EVERY_S = 0.02
PID_BYTES_MAX = 32


def stop_daemon(session: Session, timeout_s: float) -> None:
    """Return when it is gone. Raises Exit(124) where it is not within the time."""
    pid, running = _find(session)
    if pid is None:
        session.say(f"no orchestrator answers at {session.settings.url().value}; nothing to stop")
        return
    _check_ours(session, pid)
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        pass
    except PermissionError as error:
        raise AuthError(f"the orchestrator (pid {pid}) is another user's", code="not_yours") from error
    deadline = time.monotonic() + timeout_s
    while alive(pid):
        if time.monotonic() > deadline:
            session.err.say(f"the orchestrator (pid {pid}) has not ended within {timeout_s:.0f} s")
            raise Exit(exits.TIMEOUT)
        time.sleep(LOOK_EVERY_S)
    session.say(f"orchestrator stopped (pid {pid})")
    if running:
        words = "1 running task lives on" if running == 1 else f"{running} running tasks live on"
        session.say(as_called(f"  {words}; the next `provisioning orchestrator start` finds them again"))


def _check_ours(session: Session, pid: int) -> None:
    """Whoever has not its token has not started it: on a port that many use by default, that is a mistake."""
    try:
        check_ours(session)
    except AuthError as error:
        raise AuthError(
            f"the orchestrator at {session.settings.url().value} (pid {pid}) is not the one of "
            f"{session.settings.data_dir().value}: it does not take that one's token; nothing was stopped",
            code="not_yours",
            hint="--url, --data-dir or PROVISIONING_TOKEN_FILE name the one that is meant",
        ) from error


def _find(session: Session) -> tuple[int | None, int | str]:
    """Its process and how many tasks run; (None, 0) where there is none."""
    try:
        document = describe(session)
    except UnreachableError as error:
        if error.code == "not_an_orchestrator":
            raise
        return _from_file(session), 0
    return document["pid"], counts_of(session).get("running", 0)


def _from_file(session: Session) -> int | None:
    """The process that the data directory's lock names, if it is an orchestrator: a bare number may be anybody's."""
    path = Path(session.settings.data_dir().value) / "lock"
    try:
        pid = int(path.read_bytes()[:PID_BYTES_MAX].split()[0])
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError, IndexError):
        return None
    return pid if b"orchestrator" in command else None
