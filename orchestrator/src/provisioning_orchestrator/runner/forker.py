"""The frozen helper: a small single-threaded process that forks the shims, so that the daemon never has to fork.

    daemon ── request ────────► helper ── request ──► shim, a fork of it
           ◄── answer + pidfd ─        ◄── over ─────
           ◄── over ───────────

A shim that has ended its attempt and holds nothing of it serves the next one: a fork of Python touches 500 pages again,
which is most of what an attempt costs. It goes after SERVES_MAX attempts, after one that left processes behind, when it
idled for IDLE_S, and when the helper is gone; the helper goes when the daemon is gone, and is replaced when it is shot.
Neither disturbs an attempt that runs. When the helper forks or passes a request on, it holds no other attempt's
descriptor.

Started as `python -I -S -c BOOTSTRAP PACKAGE_ROOT SOCKET_FD` with exactly the environment that operations get.
"""

from __future__ import annotations

import array
import errno
import fcntl
import gc
import os
import resource
import select
import signal
import socket
import sys

from . import processes
from .request import MESSAGE_BYTES_MAX, Request, number_and_carried
from .shim import Shim

BOOTSTRAP = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from provisioning_orchestrator.runner.forker import serve; serve(int(sys.argv[2]))"
)
OPEN_FILES = 1024
OOM_SCORE_ADDED = 500
SERVES_MAX = 200 if processes.LINUX else 1
IDLE_MAX = 32
IDLE_S = 2.0
# What a shim says at the end of an attempt: it would serve another one, or it goes; then its errno (see Shim).
FREE = b"free"
GOING = b"going"
SOCKET_TYPE = socket.SOCK_SEQPACKET if processes.LINUX else socket.SOCK_DGRAM

_DESCRIPTOR = array.array("i").itemsize
_SPACE = socket.CMSG_SPACE(_DESCRIPTOR)
_FLAGS = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


def serve(fd: int) -> None:
    """Have attempts run until the daemon is gone."""
    link = socket.socket(fileno=fd)
    link.set_inheritable(False)
    settle()
    helper = Helper(link)
    gc.collect()
    gc.freeze()
    gc.disable()
    helper.serve()


class Worker:
    """A shim as the helper sees it. number: of the request that it serves, 0 while it is idle."""

    __slots__ = ("link", "number", "pid", "pidfd")

    def __init__(self, pid: int, pidfd: int, link: socket.socket, number: int) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.link = link
        self.number = number


class Helper:
    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._parent = os.getppid()
        self._boot = processes.boot_id()
        self._environment = dict(os.environ)
        self._scores = oom_scores()
        self._buffer = bytearray(MESSAGE_BYTES_MAX)
        self._workers: dict[int, Worker] = {}
        self._idle: list[Worker] = []
        self._dead: list[int] = []
        self._poll = select.poll()
        self._poll.register(link, select.POLLIN)

    def serve(self) -> None:
        while True:
            ready = self._poll.poll(IDLE_S * 1000 if self._idle or self._dead or not processes.LINUX else None)
            if not ready:
                self._retire_idle()
                if os.getppid() != self._parent:
                    return
            gone = False
            requested = False
            for fd, event in ready:
                if fd == self._link.fileno():
                    gone = bool(event & (select.POLLHUP | select.POLLERR))
                    requested = not gone
                else:
                    self._hear(self._workers[fd])
            if gone:  # Also with requests unread: nobody waits for them, and their locks end with the socket.
                return
            if requested and not self._take_request():
                return

    def _take_request(self) -> bool:
        """False: the daemon is gone."""
        length, ancillary, _, _ = self._link.recvmsg_into([self._buffer], _SPACE, _FLAGS)
        if length == 0:
            return False
        message = bytes(self._buffer[:length])
        number, carried = number_and_carried(message)
        input = descriptor_in(ancillary)
        if carried and input is None:  # This process has no descriptor left: the kernel dropped it.
            self._answer(number, 0, -1, errno.EMFILE)
            return True
        try:
            worker = self._pass_on(message, number, input) or self._fork(message, number, input)
        except OSError as error:
            self._answer(number, 0, -1, error.errno or errno.EAGAIN)
        else:
            self._answer(number, worker.pid, worker.pidfd, 0)
        finally:
            if input is not None:
                os.close(input)
        return True

    def _pass_on(self, message: bytes, number: int, input: int | None) -> Worker | None:
        """Give it to an idle shim; None: there is none."""
        while self._idle:
            worker = self._idle.pop()
            try:
                worker.link.sendmsg([message], _rights(input))
            except OSError:
                continue  # It has just been shot: its socket will say so.
            worker.number = number
            return worker
        return None

    def _fork(self, message: bytes, number: int, input: int | None) -> Worker:
        """Raises OSError where there is no room for another process."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, SOCKET_TYPE)
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            raise
        if pid == 0:
            try:
                ours.close()
                self._become_shim(theirs, message, input)
            finally:
                os._exit(0)
        theirs.close()
        # Not waited for before its socket says that it ended, so that its number is nobody else's.
        pidfd = os.pidfd_open(pid) if processes.LINUX else -1
        worker = self._workers[ours.fileno()] = Worker(pid, pidfd, ours, number)
        self._poll.register(ours, select.POLLIN)
        return worker

    def _become_shim(self, link: socket.socket, message: bytes, input: int | None) -> None:
        """In the fork: a session of its own, nothing of the helper's in its hands, then one attempt after the other."""
        os.setsid()
        os.dup2(0, 2)  # The daemon's standard error may be a pipe whose reader waits for its end.
        self._link.close()
        for worker in self._workers.values():
            worker.link.close()
            if worker.pidfd >= 0:
                os.close(worker.pidfd)
        limit_files(OPEN_FILES)
        processes.become_subreaper()
        for served in range(1, SERVES_MAX + 1):
            shim = Shim(Request.decode(message), input, self._boot, self._environment, self._scores)
            going = not shim.run() or served == SERVES_MAX
            link.send(b"%s %d" % (GOING if going else FREE, shim.errno))
            if going:
                return
            length, ancillary, _, _ = link.recvmsg_into([self._buffer], _SPACE, _FLAGS)
            if length == 0:
                return
            message, input = bytes(self._buffer[:length]), descriptor_in(ancillary)
            if input is None and number_and_carried(message)[1]:
                return  # It was dropped for want of a descriptor: nothing runs.

    def _hear(self, worker: Worker) -> None:
        """A shim is over with its attempt, or it ended."""
        try:
            said = worker.link.recv(64)
        except OSError:
            said = b""
        kind, _, why = said.partition(b" ")
        number, worker.number = worker.number, 0
        if number:
            self._tell(b"over %d %d" % (number, int(why or b"0")))
        if kind == FREE and len(self._idle) < IDLE_MAX:
            self._idle.append(worker)
        else:
            self._forget(worker)

    def _forget(self, worker: Worker) -> None:
        """It ends by itself: its socket is closed."""
        self._poll.unregister(worker.link)
        del self._workers[worker.link.fileno()]
        if worker in self._idle:
            self._idle.remove(worker)
        worker.link.close()
        if worker.pidfd >= 0:
            os.close(worker.pidfd)
        self._dead.append(worker.pid)
        self._bury()

    def _bury(self) -> None:
        self._dead = [pid for pid in self._dead if os.waitpid(pid, os.WNOHANG) == (0, 0)]

    def _retire_idle(self) -> None:
        for worker in tuple(self._idle):
            self._forget(worker)
        self._bury()

    def _answer(self, number: int, pid: int, pidfd: int, error: int) -> None:
        self._tell(b"answer %d %d %d" % (number, pid, error), pidfd)

    def _tell(self, text: bytes, pidfd: int = -1) -> None:
        try:
            self._link.sendmsg([text], _rights(pidfd if pidfd >= 0 else None))
        except (BrokenPipeError, ConnectionResetError):
            sys.exit(0)


def settle() -> None:
    """What all shims are to have, set once. SIGPIPE and SIGXFSZ stay ignored, as Python has them: operations get them
    back when they are spawned."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ}:
        try:
            if signal.getsignal(number) is not signal.SIG_DFL:
                signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):
            continue  # One that the C library keeps to itself.
    # From before the fork: a cancel that comes early waits for the shim instead of killing it.
    signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP, signal.SIGINT})
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit_files(resource.getrlimit(resource.RLIMIT_NOFILE)[1])  # Two for each shim.


def limit_files(count: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = count if hard == resource.RLIM_INFINITY else min(count, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    except (OSError, ValueError):
        pass  # macOS has a lower limit that it does not tell.


def descriptor_in(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors = array.array("i", data[: len(data) - len(data) % _DESCRIPTOR])
            if descriptors:
                fcntl.fcntl(descriptors[0], fcntl.F_SETFD, fcntl.FD_CLOEXEC)
                return descriptors[0]
    return None


def oom_scores() -> tuple[bytes, bytes]:
    """The shim's own, and the higher one of operations; empty where there is none."""
    try:
        with open("/proc/self/oom_score_adj", "rb") as file:  # noqa: PTH123
            own = int(file.read())
    except (OSError, ValueError):
        return b"", b""
    return b"%d" % own, b"%d" % min(1000, own + OOM_SCORE_ADDED)


def _rights(fd: int | None) -> list[tuple[int, int, array.array[int]]]:
    """To be sent beside a message."""
    return [] if fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
