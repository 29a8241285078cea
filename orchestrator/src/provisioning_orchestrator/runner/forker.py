"""The frozen helper: a small single-threaded process that forks the shims, so that the daemon never has to fork.

It reads one request at a time, with the descriptor of the attempt's state file, forks, forgets the descriptor and
answers with a pidfd. When it forks it holds no other attempt's descriptor. It ends when the daemon does (end of file on
the socket), and may be killed at any time: shims do not depend on it, and the daemon makes a new one.

Started as `python -I -S -c BOOTSTRAP PACKAGE_ROOT SOCKET_FD` with exactly the environment that operations get.
"""

from __future__ import annotations

import array
import errno
import fcntl
import gc
import os
import resource
import signal
import socket
import sys

from . import processes
from .request import MESSAGE_BYTES_MAX, Request
from .shim import Shim

BOOTSTRAP = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from provisioning_orchestrator.runner.forker import serve; serve(int(sys.argv[2]))"
)
OPEN_FILES = 1024
OOM_SCORE_ADDED = 500
_DESCRIPTOR = array.array("i").itemsize


def serve(fd: int) -> None:
    """Fork shims until the daemon is gone."""
    link = socket.socket(fileno=fd)
    link.set_inheritable(False)
    settle()
    boot = processes.boot_id()
    environment = dict(os.environ)
    scores = oom_scores()
    buffer = bytearray(MESSAGE_BYTES_MAX)
    space = socket.CMSG_SPACE(_DESCRIPTOR)
    flags = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
    gc.collect()
    gc.freeze()
    gc.disable()
    while True:
        length, ancillary, _, _ = link.recvmsg_into([buffer], space, flags)
        if length == 0:
            return
        request = Request.decode(bytes(buffer[:length]))
        state = descriptor_in(ancillary)
        if state is None:  # This process has no descriptor left: the kernel dropped it.
            answer(link, request.number, 0, errno.EMFILE)
            continue
        try:
            pid = os.fork()
        except OSError as error:
            os.close(state)
            answer(link, request.number, 0, error.errno or errno.EAGAIN)
            continue
        if pid == 0:
            try:
                be_shim(link, Shim(state, request, boot, environment, scores))
            finally:
                os._exit(0)
        os.close(state)
        answer(link, request.number, pid, 0)


def settle() -> None:
    """What all shims and operations are to have, set once."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        try:
            if signal.getsignal(number) is not signal.SIG_DFL:
                signal.signal(number, signal.SIG_DFL)  # Also what Python itself ignores: SIGPIPE, SIGXFSZ.
        except (OSError, ValueError):
            continue  # One that the C library keeps to itself.
    # Dead shims bury themselves here; the shim sets it back, or it could not wait for its own child.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # From before the fork: a cancel that comes early waits for the shim instead of killing it.
    signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP, signal.SIGINT})
    os.umask(0o077)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def be_shim(link: socket.socket, shim: Shim) -> None:
    """In the fork: a session of its own, nothing of the daemon's in its hands, then the attempt."""
    os.setsid()
    link.close()
    os.dup2(0, 2)  # The daemon's standard error may be a pipe whose reader waits for its end.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    shim.run()


def descriptor_in(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors = array.array("i", data[: len(data) - len(data) % _DESCRIPTOR])
            if descriptors:
                fcntl.fcntl(descriptors[0], fcntl.F_SETFD, fcntl.FD_CLOEXEC)
                return descriptors[0]
    return None


def answer(link: socket.socket, number: int, pid: int, error: int) -> None:
    """`number pid errno`, with a pidfd where there is one: an attempt that has ended already has none any more."""
    text = b"%d %d %d" % (number, pid, error)
    pidfd = -1
    try:
        if pid and processes.LINUX:
            pidfd = os.pidfd_open(pid)
    except OSError:
        pass
    try:
        if pidfd >= 0:
            link.sendmsg([text], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [pidfd]))])
            os.close(pidfd)
        else:
            link.sendmsg([text])
    except (BrokenPipeError, ConnectionResetError):
        sys.exit(0)


def oom_scores() -> tuple[bytes, bytes]:
    """The shim's own, and the higher one of operations; empty where there is none."""
    try:
        with open("/proc/self/oom_score_adj", "rb") as file:  # noqa: PTH123
            own = int(file.read())
    except (OSError, ValueError):
        return b"", b""
    return b"%d" % own, b"%d" % min(1000, own + OOM_SCORE_ADDED)
