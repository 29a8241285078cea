"""The filter of an attempt with secrets: stands between what its operation writes and what is kept.

    operation ── pipe ──► filter ── redacted ──► <task>.<n>.log
              ── private/events ──►         ──► <task>.<n>.events       line by line, while it grows
              ── private/result ──►         ──► <task>.<n>.result       at the end
              ── private/own                                            files of its own; nobody reads them
    shim ── control ──► filter          `end`: the tree is over; `done …`: everything is written

`private` is a directory in memory (/dev/shm), removed at the end. The filter is a fork of the shim with a session of
its own, so that the shot of one loses nothing:

- the shim is shot: the filter goes on until nobody can write any more, writes the rest, and ends.
- the filter is shot: the shim starts another one. What the first had not yet written is still in the pipe, because it
  is looked at by tee(2) before it is written, and taken out after that. Events go on after the lines that are written.
  At most one chunk of the log (64 KiB) is written twice.
- both are shot at once: what is in the pipe is lost, and nothing of it is on a disk.

A stream is held back only while it ends like the beginning of a secret, at most that much of it, and where that is
the end of a line no longer than LOOK_S.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import select
import socket
import stat
import time
from collections.abc import Sequence

from . import processes
from .redaction import Redactor

PIPE_BYTES = 64 * 1024
LOOK_S = 0.1
EVENTS_BYTES_MAX = 17 * 1024 * 1024
END = b"end"
DONE = b"done"

_SPLICE_F_NONBLOCK = 2
_libc = ctypes.CDLL(None, use_errno=True)
_TEE = getattr(_libc, "tee", None)
if _TEE is not None:
    _TEE.restype = ctypes.c_ssize_t
    _TEE.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_size_t, ctypes.c_uint]


class Paths:
    """private: the directory of result and events as they are written. state: what names of kept files begin with."""

    __slots__ = ("private", "result_bytes_max", "state")

    def __init__(self, private: str, state: str, result_bytes_max: int) -> None:
        self.private = private
        self.state = state
        self.result_bytes_max = result_bytes_max


class Filter:
    """output: the reading end of the operation's output. log: as `locked_log` gives it."""

    def __init__(self, redactor: Redactor, paths: Paths, output: int, control: socket.socket, log: int) -> None:
        self._redactor = redactor
        self._paths = paths
        self._stream = Stream(output)
        self._control = control
        self._log = log
        self._events = Events(redactor, paths)

    def run(self) -> None:
        """Return when nobody writes any more, and everything is written."""
        poll = select.poll()
        waiting = _Waiting(self._stream.fd, self._control.fileno())
        finished = orphaned = quiet = False
        while True:
            over = self._stream.hung_up(poll)
            self._pump(final=over, quiet=quiet)
            self._events.pass_on()
            if not finished and (orphaned and over):
                self._finish()
                return
            if finished and over:
                return
            quiet = waiting.wait(over)
            if not orphaned and (said := _said(self._control)) is not None:
                orphaned = not said
                if said == END:
                    self._pump(final=True)
                    failure = self._finish()
                    finished = True
                    _tell(self._control, DONE + b" " + failure)

    def _pump(self, final: bool, quiet: bool = False) -> None:
        """Write what can be written of the log."""
        while data := self._stream.look():
            out, used = (self._redactor.end(data), len(data)) if final else self._redactor.part(data, quiet=quiet)
            _write(self._log, out)
            if used == 0:
                if not self._stream.hold():
                    return
                continue
            self._stream.take(used)

    def _finish(self) -> bytes:
        """The last events, the result; then nothing unredacted is left. Why the result could not be written, if so."""
        self._events.pass_on(final=True)
        failure = b""
        try:
            self._pass_result()
        except OSError as error:
            failure = (error.strerror or "failed").encode()
        remove(self._paths.private)
        return failure

    def _pass_result(self) -> None:
        most = self._paths.result_bytes_max
        raw = read_regular(self._paths.private + "/result", 0, most + 1)
        if raw is None:
            return
        # One that is too large must stay too large, whatever is taken out of it.
        clean = self._redactor.document(raw) if len(raw) <= most else self._redactor.whole(raw).ljust(most + 1)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(self._paths.state + ".result", flags, 0o600)
        try:
            view = memoryview(clean)
            while view:
                view = view[os.write(fd, view) :]
        finally:
            os.close(fd)


def locked_log(paths: Paths) -> int:
    """Until this process ends whoever waits for all of the log waits for its lock."""
    log = os.open(paths.state + ".log", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(log, fcntl.LOCK_EX)
    return log


class Stream:
    """What comes out of a pipe, looked at before it is taken."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        os.set_blocking(fd, False)
        self._held = b""  # taken out already: where the pipe alone cannot hold it, or the system has no tee
        self._scratch = os.pipe() if _TEE is not None and processes.LINUX else None
        self._room = min(map(_capacity, (fd, *(self._scratch or ()))))

    def hung_up(self, poll: select.poll) -> bool:
        """Nobody can write any more: what is there now is all."""
        poll.register(self.fd, select.POLLIN)
        hung = any(event & select.POLLHUP for _, event in poll.poll(0))
        poll.unregister(self.fd)
        return hung

    def look(self) -> bytes:
        """All that is there; empty: nothing."""
        if self._scratch is None or self._held:
            self._held += self._read()
            return self._held
        assert _TEE is not None
        count = _TEE(self.fd, self._scratch[1], PIPE_BYTES, _SPLICE_F_NONBLOCK)
        if count < 0 and ctypes.get_errno() not in (errno.EAGAIN, errno.EINTR):
            self._scratch = None
            return self.look()
        data = b""
        while len(data) < count:
            data += os.read(self._scratch[0], count - len(data))
        return data

    def take(self, count: int) -> None:
        if self._held:
            self._held = self._held[count:]
            return
        while count:
            count -= len(os.read(self.fd, count))

    def hold(self) -> bool:
        """Nothing of what is there can be written yet. True: room was made for more, and more may be there."""
        if self._scratch is not None and not self._held:
            fill = len(self.look())
            if fill < self._room // 2:
                return False
        before = len(self._held)
        self._held += self._read()
        return len(self._held) > before

    def _read(self) -> bytes:
        try:
            return os.read(self.fd, PIPE_BYTES)
        except BlockingIOError:
            return b""


def _capacity(pipe: int) -> int:
    """Smaller than usual where a user has very many pipes."""
    return fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ) if hasattr(fcntl, "F_GETPIPE_SZ") else PIPE_BYTES


class Events:
    """The event file: each line that is whole becomes one line of the kept file, by one write."""

    def __init__(self, redactor: Redactor, paths: Paths) -> None:
        self._redactor = redactor
        self._source = paths.private + "/events"
        self._target = paths.state + ".events"
        self._passed = self._bytes_of(self._lines_kept())

    def pass_on(self, final: bool = False) -> None:
        while self._passed <= EVENTS_BYTES_MAX:
            data = read_regular(self._source, self._passed, 1 << 20) or b""
            whole = data.rfind(b"\n") + 1
            if whole == 0 and (final or len(data) == 1 << 20):
                whole = len(data)
            if whole == 0:
                return
            lines = data[:whole].split(b"\n")
            self._keep(b"\n".join([self._redactor.document(line) for line in lines]))
            self._passed += whole

    def _keep(self, lines: bytes) -> None:
        fd = os.open(self._target, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            _write(fd, lines)
        finally:
            os.close(fd)

    def _lines_kept(self) -> int:
        """Of a filter before this one, which was shot."""
        return (read_regular(self._target, 0, EVENTS_BYTES_MAX) or b"").count(b"\n")

    def _bytes_of(self, lines: int) -> int:
        data = read_regular(self._source, 0, EVENTS_BYTES_MAX) if lines else b""
        at = 0
        for _ in range(lines):
            at = (data or b"").find(b"\n", at) + 1
        return at


class _Waiting:
    """Until there is more output, a word of the shim, or LOOK_S are over. Output that is held back does not wake."""

    def __init__(self, output: int, control: int) -> None:
        self._output, self._control = output, control
        self._epoll = select.epoll() if hasattr(select, "epoll") else None
        if self._epoll is not None:
            self._epoll.register(output, select.EPOLLIN | select.EPOLLET)
            self._epoll.register(control, select.EPOLLIN | select.EPOLLET)

    def wait(self, over: bool) -> bool:
        """True: nothing came."""
        if self._epoll is not None:
            return not self._epoll.poll(LOOK_S)
        came, _, _ = select.select([self._control, *([] if over else [self._output])], [], [], LOOK_S)
        return not came


def await_filter(logs: Sequence[str], patience_s: float = 10.0) -> None:
    """Return when no filter writes into these any more. Blocks. One that is stuck is not waited for longer."""
    deadline = time.monotonic() + patience_s
    for log in logs:
        try:
            fd = os.open(log, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            while not _locked(fd) and time.monotonic() < deadline:
                time.sleep(0.01)
        finally:
            os.close(fd)


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def read_regular(path: str, offset: int, length: int) -> bytes | None:
    """None: there is no regular file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        data = b""
        while len(data) < length and (chunk := os.pread(fd, length - len(data), offset + len(data))):
            data += chunk
        return data
    finally:
        os.close(fd)


def own_directory(private: str) -> str:
    """What the operation may use as it likes of its directory in memory; it is removed with that."""
    return f"{private}/own"


def make_private(path: str) -> None:
    """The directory, the two above it and the one in it, ours alone. Raises OSError: also where one of them is
    somebody else's."""
    for _ in range(_TRIES):
        try:
            return _make_private(path)
        except FileNotFoundError:
            continue  # A daemon that stops has just removed the one above.
    _make_private(path)


def _make_private(path: str) -> None:
    above = os.path.dirname(path)  # noqa: PTH120
    for directory in (os.path.dirname(above), above, path, own_directory(path)):  # noqa: PTH120
        try:
            os.mkdir(directory, 0o700)  # noqa: PTH102
        except FileExistsError:
            status = os.lstat(directory)
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
                raise PermissionError(errno.EPERM, "it is not a directory of ours alone", directory) from None


def remove(path: str) -> None:
    """A directory and all that is in it; what cannot be removed stays."""
    for directory, directories, files in os.walk(path, topdown=False):
        for name in files:
            _try(os.unlink, f"{directory}/{name}")
        for name in directories:
            _try(os.rmdir, f"{directory}/{name}")
    _try(os.rmdir, path)


_TRIES = 3


def _try(call: object, path: str) -> None:
    try:
        call(path)  # type: ignore[operator]
    except OSError:
        pass


def _write(fd: int, data: bytes) -> None:
    """What does not fit on a full disk is lost, as it is where an operation writes its log itself."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except OSError:
            return


def _said(control: socket.socket) -> bytes | None:
    """A word of the shim; empty: it is gone; None: nothing."""
    try:
        return control.recv(64, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _tell(control: socket.socket, word: bytes) -> None:
    try:
        control.send(word)
    except OSError:
        pass  # The shim was shot meanwhile.
