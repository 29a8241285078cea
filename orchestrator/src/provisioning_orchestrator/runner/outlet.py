"""Where the output of an attempt with secrets goes, as its shim sees it: a pipe, and the filter behind it."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Mapping

from . import processes
from .filter import DONE, END, Filter, Paths, locked_log, make_private
from .redaction import Redactor

PATIENCE_S = 30.0
STARTS_MAX = 5
RESULT_FILE_BYTES_MAX = 5 * 1024 * 1024 + 64 * 1024  # as `files` has it, which imports too much for a shim


def opened(values: Mapping[str, str], private: str, state: str) -> Outlet:
    """For the secrets `values`, by name. private: the attempt's directory in memory. state: its state file's path."""
    return Outlet(Redactor(values), Paths(private, state, RESULT_FILE_BYTES_MAX))


class Outlet:
    """writer: the end that the operation gets as its output. Raises OSError where there is no room for a process."""

    def __init__(self, redactor: Redactor, paths: Paths) -> None:
        self._redactor = redactor
        self._paths = paths
        make_private(paths.private)
        self._reader, self.writer = os.pipe()
        self._control: socket.socket | None = None
        self._starts = 0
        self.pid = 0
        self._start()

    def opened(self) -> None:
        """The operation has the writing end: with ours open there would never be an end of it."""
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1

    def close(self) -> None:
        self.opened()
        os.close(self._reader)
        self._drop()

    def ended(self, pid: int) -> None:
        """A child of the shim was buried. Was it the filter, another one goes on where it was shot."""
        if pid == self.pid:
            self.pid = 0
            self._drop()

    def keep_alive(self) -> None:
        """Start another one where it was shot. Raises OSError."""
        if self.pid == 0 and self._starts < STARTS_MAX:
            self._start()

    def finish(self) -> str | None:
        """Have everything written. Why it could not be, in words; None: it is.

        Afterwards the filter lives as long as somebody holds the operation's output.
        """
        deadline = time.monotonic() + PATIENCE_S
        while self._starts <= STARTS_MAX:
            try:
                self.keep_alive()
                answer = self._ask(deadline)
            except OSError as error:
                return error.strerror or str(error)
            if answer.startswith(DONE):
                return answer.removeprefix(DONE).decode().strip() or None
            if time.monotonic() > deadline or self._starts == STARTS_MAX:
                break
            self._bury()
        return "the process that takes secrets out of it does not answer"

    def _ask(self, deadline: float) -> bytes:
        """Its answer; empty where it is gone, or silent."""
        assert self._control is not None
        try:
            self._control.send(END)
        except OSError:
            return b""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            return b""
        try:
            return self._control.recv(256)
        except OSError:
            return b""

    def _bury(self) -> None:
        """One that is stuck is killed: what it has not written is still in the pipe."""
        if self.pid:
            try:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
            except OSError:
                pass
            self.ended(self.pid)

    def _start(self) -> None:
        ours, theirs = socket.socketpair(
            socket.AF_UNIX, socket.SOCK_SEQPACKET if processes.LINUX else socket.SOCK_DGRAM
        )
        self._starts += 1
        pid = os.fork()
        if pid == 0:
            try:
                self._become_filter(theirs)
            finally:
                os._exit(0)
        theirs.close()
        self._control, self.pid = ours, pid

    def _become_filter(self, control: socket.socket) -> None:
        """In the fork: a session of its own, and nothing in its hands but the pipe and its line to the shim."""
        os.setsid()
        os.chdir("/")
        log = locked_log(self._paths)  # Before the lock of the state file goes: no moment must be without one of both.
        kept = sorted({0, 1, 2, self._reader, control.fileno(), log})
        for low, high in zip(kept, [*kept[1:], 65_536], strict=True):
            os.closerange(low + 1, high)
        Filter(self._redactor, self._paths, self._reader, control, log).run()

    def _drop(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
