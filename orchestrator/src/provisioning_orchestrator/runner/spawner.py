"""The daemon's end of the frozen helper: starts it, asks it to fork shims, and starts another when it is gone."""

from __future__ import annotations

import array
import asyncio
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .forker import BOOTSTRAP, SOCKET_TYPE
from .request import MESSAGE_BYTES_MAX, Request

ANSWER_TIMEOUT_S = 10.0
_BUFFER_BYTES = 8 * MESSAGE_BYTES_MAX
_DESCRIPTOR = array.array("i").itemsize
_PACKAGE_ROOT = str(Path(__file__).resolve().parents[2])


@dataclass(frozen=True, slots=True)
class Asked:
    """answered(pid, pidfd, errno): a shim has it (errno 0; pidfd -1 where there is none), or none could be had (pid 0).
    lost(): the helper died with the request: nobody knows whether a shim has it. over(errno): after answered, the shim
    is over with it. errno: why it could not even make the state file, else 0; None: the helper died, nobody will say.
    """

    answered: Callable[[int, int, int], None]
    lost: Callable[[], None]
    over: Callable[[int | None], None]
    deadline: float


class Spawner:
    """environment: all that operations get, apart from what each request adds. Must be used from one loop's thread."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._loop = asyncio.get_running_loop()
        self._process: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None
        self._asked: dict[int, Asked] = {}
        self._running: dict[int, Asked] = {}
        self._backlog: deque[tuple[bytes, int | None]] = deque()
        self._watchdog: asyncio.TimerHandle | None = None
        self._number = 0
        self._writing = False

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Have a helper running. Raises OSError where none can be made."""
        if self._link is not None:
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, SOCKET_TYPE)
        try:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
            arguments = [sys.executable, "-I", "-S", "-c", BOOTSTRAP, _PACKAGE_ROOT, str(theirs.fileno())]
            self._process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=self._environment,
                start_new_session=True,
                cwd="/",
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        self._link = ours
        self._loop.add_reader(ours.fileno(), self._read)

    def ask(
        self,
        request: Request,
        input: int | None,
        *,
        answered: Callable[[int, int, int], None],
        lost: Callable[[], None],
        over: Callable[[int | None], None],
    ) -> None:
        """Ask for a shim; answered or lost is called later, exactly once. `input` must stay open until then.

        Raises OSError (no helper can be made) and ValueError (the request does not fit): then none is called.
        """
        self._number += 1
        request.number = self._number
        message = request.encode()
        self.start()
        self._asked[request.number] = Asked(answered, lost, over, self._loop.time() + ANSWER_TIMEOUT_S)
        if self._watchdog is None:
            self._watchdog = self._loop.call_later(ANSWER_TIMEOUT_S, self._look_for_silence)
        self._backlog.append((message, input))
        self._write()

    def close(self) -> None:
        """Let the helper go; its shims do not notice. What was asked and not answered is forgotten."""
        self._asked.clear()
        self._running.clear()
        process = self._process
        self._drop()
        if process is None:
            return
        try:
            process.wait(1.0)  # It ends with the socket.
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _write(self) -> None:
        link = self._link
        if link is None:
            return
        while self._backlog:
            message, input = self._backlog[0]
            beside = [] if input is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [input]))]
            try:
                link.sendmsg([message], beside)
            except BlockingIOError:
                self._writing = True
                self._loop.add_writer(link.fileno(), self._write)
                return
            except OSError:
                self._lose()
                return
            self._backlog.popleft()
        if self._writing:
            self._writing = False
            self._loop.remove_writer(link.fileno())

    def _read(self) -> None:
        while self._link is not None:
            try:
                data, ancillary, _, _ = self._link.recvmsg(64, socket.CMSG_SPACE(_DESCRIPTOR))
            except BlockingIOError:
                return
            except OSError:
                data, ancillary = b"", []
            if not data:
                self._lose()
                return
            kind, *numbers = data.split()
            if kind == b"over":
                running = self._running.pop(int(numbers[0]), None)
                if running is not None:
                    running.over(int(numbers[1]))
            else:
                number, pid, error = map(int, numbers)
                self._answered(number, pid, error, _descriptor_in(ancillary))

    def _answered(self, number: int, pid: int, error: int, pidfd: int) -> None:
        asked = self._asked.pop(number, None)
        if asked is None:
            if pidfd >= 0:
                os.close(pidfd)
            return
        if pid:
            self._running[number] = asked
        asked.answered(pid, pidfd, error)

    def _look_for_silence(self) -> None:
        """A helper that is stopped or stuck is killed; what it has forked lives on."""
        self._watchdog = None
        if not self._asked:
            return
        oldest = next(iter(self._asked.values()))
        if oldest.deadline <= self._loop.time():
            self._lose()
        else:
            self._watchdog = self._loop.call_at(oldest.deadline, self._look_for_silence)

    def _lose(self) -> None:
        process = self._process
        running = list(self._running.values())
        self._drop()
        if process is not None:
            process.kill()
            process.wait()
        asked, self._asked = self._asked, {}
        for each in asked.values():
            each.lost()
        for each in running:
            each.over(None)

    def _drop(self) -> None:
        if self._link is not None:
            self._loop.remove_reader(self._link.fileno())
            self._loop.remove_writer(self._link.fileno())
            self._link.close()
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._watchdog = None
        self._writing = False
        self._link = None
        self._process = None
        self._backlog.clear()
        self._running.clear()


def _descriptor_in(ancillary: list[tuple[int, int, bytes]]) -> int:
    for _, _, payload in ancillary:
        descriptor = array.array("i", payload[:_DESCRIPTOR])[0]
        os.set_inheritable(descriptor, False)
        return descriptor
    return -1
