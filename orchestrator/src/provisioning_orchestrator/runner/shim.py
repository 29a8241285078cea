"""The shim: the process that runs an attempt's operation, outlives the daemon and writes the outcome.

It is a fork of the frozen helper (`forker`), has a session of its own, serves one attempt at a time and holds no
descriptor of another one:

 1. make the state file exclusively, lock it, look whether it is still empty: whoever cannot, or finds something in it,
    is late (a recovery has poisoned it, or another shim has it), and goes without a trace
 2. open the log, take the working directory, put the input into an anonymous file
 3. only if it refers to secrets: have their values (`resolving`), and a filter for what it will write (`outlet`)
 4. claim: from here on "it never started" cannot be said any more. Header, claim and input are one write, unless there
    are secrets: then header and input are written before 3
 5. become sub-reaper, spawn the operation in a process group of its own
 6. wait: for the end, for the timeout, for a cancel (its record, then SIGTERM), and for the log to need cutting
 7. end what is left of the tree: TERM, grace, KILL; except what the operation handed over
 8. write the outcome, whole, by one call; close everything: the lock is free

If secrets cannot be had the attempt ends before 4, with an outcome and a result that says so. If anything else goes
wrong before 4 the reason goes into the note and nothing ran; without room for that, nothing stays. After 4 it goes
there too, but only a written outcome counts: a shim that could not wait for its child writes none, because a guessed
one would be a lie.

The operation is not made to die with the shim (PDEATHSIG): that takes a fork with Python in the child, a sixth of what
an attempt costs, for the case that a shim is shot while no daemon lives. Whoever finds a dead shim ends its tree first.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import time

from . import processes
from .held import HeldState
from .logcap import LogCap
from .request import SECRETS_VARIABLE, TOKEN_VARIABLE, Request, Wanted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .outlet import Outlet

EXEC_FAILED = 127
SECRETS_FD = 3
EXIT_UNWRITTEN = 74
POLL_S = 0.02
POLL_MAX_S = 0.5
_FOREVER = float("inf")
_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
# Failures of exec that may pass: nothing ran, and the attempt may be made again.
_PASSING = frozenset({errno.ENOMEM, errno.EAGAIN, errno.ETXTBSY, errno.ENFILE, errno.EMFILE, errno.EIO})


class Refused(Exception):
    """The attempt may not or cannot run; nothing of it has run."""


class Shim:
    """input: a descriptor of the input, where it is not in the request. environment: of every operation.

    scores: /proc/self/oom_score_adj of the shim and of the operation, empty where there is none.
    """

    def __init__(
        self, request: Request, input: int | None, boot: str, environment: dict[str, str], scores: tuple[bytes, bytes]
    ) -> None:
        self._request = request
        self._input = input if input is not None else -1
        self._state = HeldState(request.state, request.head.encode(), request.sync)
        self._boot = boot
        self._environment = environment
        self._scores = scores
        self._timed_out = False
        self._cancelled = False
        self._kill_at = _FOREVER
        self._open = [] if input is None else [input]
        self._tell: dict[str, str] = {}
        self._remove: list[str] = []
        self._outlet: Outlet | None = None
        self._secrets = -1
        self._finished = False
        self._unwritten: str | None = None

    @property
    def errno(self) -> int:
        """After run: why not even the state file could be made; 0 where that was not so."""
        return self._state.errno

    def run(self) -> bool:
        """The whole life of the attempt. True: nothing of it is left in this process, which may serve another one."""
        try:
            return self._live()
        finally:
            os.chdir("/")
            if self._outlet is not None:
                self._outlet.close()
            for path in self._remove:
                os.unlink(path)  # noqa: PTH108
            while self._open:
                os.close(self._open.pop())
            self._state.close()  # Last: its lock says that all is over.

    def _live(self) -> bool:
        if not self._state.take():
            return True
        try:
            self._prepare()
            if self._request.wanted is not None:
                self._state.write(self._input_line())
                if not self._obtain(self._request.wanted):
                    return False
            self._claim()
        except (Refused, OSError, ValueError) as reason:
            self._state.give_up(self._input_line(), reason)
            return self._request.wanted is None
        try:
            main = self._spawn()
            if main is None:
                return self._outlet is None
            self._main = main
            return self._outlive(main) and self._outlet is None  # Who has seen secrets serves nobody else.
        except Exception as reason:
            self._state.note(reason)
            return False

    # --- before the claim --------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        request = self._request
        self._log = os.open(request.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._open.append(self._log)
        self._work = os.open(request.work, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._open.append(self._work)
        try:
            fcntl.flock(self._work, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused("the working directory belongs to a living attempt") from None
        if os.listdir(self._work):  # noqa: PTH208
            raise Refused("the working directory is not empty")
        os.fchdir(self._work)
        if request.input is not None:
            self._input = self._anonymous_file("input")
            self._open.append(self._input)
            _fill(self._input, request.input + b"\n")
        os.lseek(self._input, 0, os.SEEK_SET)
        self._tell = dict(entry.partition("=")[::2] for entry in request.environment)
        if token := self._tell.get(TOKEN_VARIABLE):
            self._tell[TOKEN_VARIABLE] = self._private_file("token", token.encode() + b"\n")

    def _input_line(self) -> bytes:
        """Without its newline."""
        if self._request.input is not None:
            return self._request.input
        return os.pread(self._input, os.fstat(self._input).st_size - 1, 0)

    def _anonymous_file(self, name: str) -> int:
        """The operation must not get the state file itself: it could write into it."""
        if hasattr(os, "memfd_create"):
            return os.memfd_create(name, os.MFD_CLOEXEC)
        path = f"{self._request.keep}.{name}"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.unlink(path)  # noqa: PTH108
        return fd

    def _private_file(self, name: str, content: bytes) -> str:
        """A path at which the operation and all below it can read this as long as the shim lives, and nobody later."""
        if hasattr(os, "memfd_create"):
            fd = self._anonymous_file(name)
            path = f"/proc/{os.getpid()}/fd/{fd}"
        else:
            path = f"{self._request.keep}.{name}"
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            self._remove.append(path)
        self._open.append(fd)
        _fill(fd, content)
        return path

    def _obtain(self, wanted: Wanted) -> bool:
        """The secrets, behind a descriptor for the operation, and the filter. False: the attempt has ended without."""
        from . import outlet, resolving  # Only here: the frozen helper need not hold them.

        began = time.time_ns() // 1000
        try:
            values = resolving.resolve(wanted, self._environment, self._cancel_came)
            self._outlet = outlet.opened(values, wanted.directory, self._request.log.removesuffix(".log"))
            self._secrets = self._anonymous_file("secrets")
            self._open.append(self._secrets)
            _fill(self._secrets, resolving.encoded(values))
        except resolving.Cancelled:
            fields: dict[str, object] = {"kind": "exited", "code": -signal.SIGTERM, "cancelled": 1}
        except (resolving.Unavailable, OSError) as reason:
            os.write(self._log, resolving.words(reason))
            resolving.write_result(self._request.log.removesuffix(".log") + ".result", reason)
            fields = {"kind": "exited", "code": 1}
        else:
            return True
        self._write_outcome({**fields, "started": began, "ended": time.time_ns() // 1000})
        return False

    def _cancel_came(self) -> bool:
        if signal.SIGTERM not in signal.sigpending():
            return False
        signal.sigwait({signal.SIGTERM})
        return self._state.grace_of_cancel(self._request.grace_s) is not None

    def _claim(self) -> None:
        pid = os.getpid()
        me = processes.process(pid)
        inode = 0
        if processes.LINUX:
            pidfd = os.pidfd_open(pid)
            inode = processes.pidfd_inode(pidfd)
            os.close(pidfd)
        self._started_at = time.time_ns() // 1000
        self._began = time.clock_gettime(_BOOTTIME)
        fields: dict[str, object] = {"pid": pid, "start": me.start if me else 0, "boot": self._boot, "inode": inode}
        self._state.claim(self._input_line(), fields)

    # --- the operation -----------------------------------------------------------------------------------------------

    def _spawn(self) -> int | None:
        """The operation's pid; None: exec failed, nothing of it ran, and the outcome says so."""
        request = self._request
        environment = self._environment | self._tell
        output = self._outlet.writer if self._outlet is not None else self._log
        actions = [
            (os.POSIX_SPAWN_DUP2, self._input, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, output, 2),
        ]
        if self._secrets >= 0:
            environment[SECRETS_VARIABLE] = f"/dev/fd/{SECRETS_FD}"
            actions.append((os.POSIX_SPAWN_DUP2, self._secrets, SECRETS_FD))
        self._score(self._scores[1])
        try:
            main = os.posix_spawn(
                request.arguments[0],
                request.arguments,
                environment,
                file_actions=actions,
                setpgroup=0,
                setsigmask=(),
                setsigdef=_IGNORED_BY_PYTHON,
            )
        except OSError as error:
            kind = "never" if error.errno in _PASSING else "refused"
            now = time.time_ns() // 1000
            fields: dict[str, object] = {"kind": kind, "errno": error.errno, "code": EXEC_FAILED}
            self._write_outcome({**fields, "started": self._started_at, "ended": now})
            return None
        finally:
            self._score(self._scores[0])
        if self._outlet is not None:
            self._outlet.opened()
        return main

    def _score(self, score: bytes) -> None:
        """When memory runs out the operation is to go before its shim does. Raising it and taking that back needs no
        privilege."""
        if not score:
            return
        try:
            fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            return
        try:
            os.write(fd, score)
        except OSError:
            pass
        finally:
            os.close(fd)

    # --- waiting -----------------------------------------------------------------------------------------------------

    def _outlive(self, main: int) -> bool:
        cap = LogCap(self._log, self._state.fd)
        status = self._wait(main, cap)
        ended_at = time.time_ns() // 1000
        timed_out, cancelled = self._timed_out, self._cancelled
        some_left = self._clear_tree(cap) if processes.LINUX else self._clear_group()
        self._finish_outlet()
        self._keep_what_is_left(some_left)
        cap.look()
        code = os.waitstatus_to_exitcode(status)
        if self._unwritten is not None:
            # A success without its result would be a lie.
            self._state.note(OSError(f"what it reported could not be written: {self._unwritten}"))
            code = code or EXIT_UNWRITTEN
        self._write_outcome(
            {
                "kind": "exited",
                "code": code,
                "timed_out": int(timed_out),
                "cancelled": int(cancelled),
                "started": self._started_at,
                "ended": ended_at,
                "cut": cap.cut,
            }
        )
        return not some_left

    def _wait(self, main: int, cap: LogCap) -> int:
        """The status of the main process. Raises OSError where the system does not tell: nothing is written then."""
        deadline = self._began + self._request.timeout_s
        while True:
            status = self._reap(main)
            if status is not None:
                return status
            now = time.clock_gettime(_BOOTTIME)
            if now >= deadline and not self._timed_out:
                self._timed_out = not self._cancelled
                deadline = _FOREVER
                self._end_within(self._request.grace_s, now)
            if now >= self._kill_at:
                self._signal_tree(signal.SIGKILL)
            cap.look()
            self._keep_outlet()
            pause = min(cap.interval_s, max(0.0, deadline - now), max(POLL_S, self._kill_at - now))
            if (
                self._pause(pause) == signal.SIGTERM
                and (grace_s := self._state.grace_of_cancel(self._request.grace_s)) is not None
            ):
                self._cancelled = not self._timed_out
                self._end_within(grace_s, time.clock_gettime(_BOOTTIME))

    def _reap(self, main: int | None) -> int | None:
        """Bury all that ended. The status of `main` if it is among them. Raises ChildProcessError: no child is left."""
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return None
            if self._outlet is not None:
                self._outlet.ended(pid)
            if pid == main:
                return status

    def _end_within(self, grace_s: float, now: float) -> None:
        """TERM to the whole tree now, KILL after the grace; a second call can only make it shorter."""
        self._kill_at = min(self._kill_at, now + grace_s)
        self._signal_tree(signal.SIGTERM)

    def _pause(self, seconds: float) -> int | None:
        """Sleep until a child ends, a cancel comes or the time is over; the signal that came."""
        if hasattr(signal, "sigtimedwait"):
            came = signal.sigtimedwait(_AWAITED, seconds)
            return came.si_signo if came else None
        time.sleep(min(seconds, POLL_S))
        pending = signal.sigpending() & _AWAITED
        return signal.sigwait(pending) if pending else None

    # --- the end of the tree -----------------------------------------------------------------------------------------

    def _clear_tree(self, cap: LogCap) -> bool:
        """End all descendants that were not handed over. True: handed-over ones live on."""
        asked: set[tuple[int, int]] = set()
        pause = POLL_S
        now = time.clock_gettime(_BOOTTIME)
        self._kill_at = min(self._kill_at, now + self._request.grace_s)
        while True:
            try:
                self._reap(None)
            except ChildProcessError:
                return False
            rest, handed_over = self._rest()
            if not rest:
                self._finish_outlet()  # It then ends by itself: nobody holds what it reads from.
                if handed_over:
                    return True
            killing = time.clock_gettime(_BOOTTIME) >= self._kill_at
            for one in rest:
                if killing or (one.pid, one.start) not in asked:
                    asked.add((one.pid, one.start))
                    processes.send(one.pid, one.start, signal.SIGKILL if killing else signal.SIGTERM)
            cap.look()
            if (
                self._pause(pause) == signal.SIGTERM
                and (grace_s := self._state.grace_of_cancel(self._request.grace_s)) is not None
            ):
                self._kill_at = min(self._kill_at, time.clock_gettime(_BOOTTIME) + grace_s)
            pause = min(pause * 1.5, POLL_MAX_S, max(POLL_S, self._kill_at - time.clock_gettime(_BOOTTIME)))

    def _rest(self) -> tuple[list[processes.Process], bool]:
        """Living descendants that were not handed over, and whether there are others that were."""
        known = processes.table()
        living = {pid for pid in processes.descendants(known, {os.getpid()}) if known[pid].state not in "ZX"}
        if self._outlet is not None:
            living.discard(self._outlet.pid)
        kept = living & processes.handed_over(known, self._request.leave, never=self._main) if living else living
        return [known[pid] for pid in living - kept], bool(kept)

    def _signal_tree(self, number: int) -> None:
        if not processes.LINUX:
            self._signal_group(number)
        for one in self._rest()[0]:
            processes.send(one.pid, one.start, number)

    def _clear_group(self) -> bool:
        """Where there is no sub-reaper only the operation's own process group can be ended."""
        self._kill_at = min(self._kill_at, time.clock_gettime(_BOOTTIME) + self._request.grace_s)
        alive = self._signal_group(signal.SIGTERM)
        while alive:
            self._pause(POLL_S)
            killing = time.clock_gettime(_BOOTTIME) >= self._kill_at
            alive = self._signal_group(signal.SIGKILL if killing else 0)
        return False

    def _signal_group(self, number: int) -> bool:
        try:
            os.killpg(self._main, number)
        except OSError:
            return False
        return True

    def _keep_what_is_left(self, some_left: bool) -> None:
        """A directory that holds something, or in which a handed-over process may live, serves no other attempt."""
        try:
            if some_left or os.listdir(self._work):  # noqa: PTH208
                os.rename(self._request.work, self._request.keep)  # noqa: PTH104
        except OSError:
            pass  # It stays where it is: not empty, so that nobody takes it.

    def _keep_outlet(self) -> None:
        try:
            if self._outlet is not None:
                self._outlet.keep_alive()
        except OSError:
            pass  # There is no room for a process now: the operation waits for one, and so do we.

    def _finish_outlet(self) -> None:
        """All that the operation wrote is where it is kept."""
        if self._outlet is not None and not self._finished:
            self._finished = True
            self._unwritten = self._outlet.finish()

    # --- what is written ---------------------------------------------------------------------------------------------

    def _write_outcome(self, fields: dict[str, object]) -> None:
        if self._request.sync:
            os.fdatasync(self._log)
        self._state.outcome(fields)


def _fill(fd: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)


_AWAITED = {signal.SIGCHLD, signal.SIGTERM}
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
