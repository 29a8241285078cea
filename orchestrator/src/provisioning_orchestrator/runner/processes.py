"""Processes as the kernel knows them: who descends from whom, who they really are, and how to end exactly them.

A bare pid is never trusted: it is reused, also within one tick of the clock. Identity is pid and start time, taken
after the pidfd was opened; and on kernels from 6.9 the inode of the pidfd, which is unique as long as the system runs.

Off Linux there is no /proc, sub-reaper, pidfd or hole punching: the calls below then say so by None, False or nothing,
and only process groups can be ended (a `setsid` descendant escapes).

The frozen helper imports this module too: ctypes is the heaviest thing it may hold.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

LINUX = sys.platform == "linux"
MARK_VARIABLE = "PROVISIONING_ATTEMPT"

_PR_SET_CHILD_SUBREAPER = 36
_FALLOC_FL_KEEP_SIZE = 1
_FALLOC_FL_PUNCH_HOLE = 2

_libc = ctypes.CDLL(None, use_errno=True)
if LINUX:
    _libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


class Process:
    """A line of the process table. start: clock ticks after boot, field 22 of /proc/PID/stat."""

    __slots__ = ("parent", "pid", "session", "start", "state")

    def __init__(self, pid: int, parent: int, session: int, start: int, state: str) -> None:
        self.pid = pid
        self.parent = parent
        self.session = session
        self.start = start
        self.state = state


def boot_id() -> str:
    """What changes at every start of the machine."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123 - pathlib is heavy
            return file.read().strip()
    except OSError:
        import subprocess

        asked = subprocess.run(["sysctl", "-n", "kern.bootsessionuuid"], capture_output=True, text=True, check=False)
        return asked.stdout.strip() or "unknown"


def become_subreaper() -> None:
    if LINUX:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def punch_hole(fd: int, offset: int, length: int) -> bool:
    """Give the room of these bytes back, leaving all offsets as they are. False where the file system cannot."""
    if not LINUX:
        return False
    return bool(_libc.fallocate(fd, _FALLOC_FL_KEEP_SIZE | _FALLOC_FL_PUNCH_HOLE, offset, length) == 0)


def process(pid: int) -> Process | None:
    """None: there is none of that number (or no /proc)."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        line = os.read(fd, 1024)
    except OSError:
        return None
    finally:
        os.close(fd)
    # The name may hold spaces and parentheses: the fields begin after the last one.
    fields = line[line.rindex(b")") + 2 :].split()
    return Process(pid, int(fields[1]), int(fields[3]), int(fields[19]), fields[0].decode())


def table() -> dict[int, Process]:
    """All processes. Not a snapshot: what is forked meanwhile may be missing, so callers look until it is empty."""
    try:
        names = os.listdir("/proc")  # noqa: PTH208
    except OSError:
        return {}
    found = (process(int(name)) for name in names if name.isdigit())
    return {one.pid: one for one in found if one is not None}


def descendants(processes: dict[int, Process], roots: set[int]) -> set[int]:
    """Pids below the roots, the roots themselves left out."""
    children: dict[int, list[int]] = {}
    for one in processes.values():
        children.setdefault(one.parent, []).append(one.pid)
    below: set[int] = set()
    queue = list(roots)
    while queue:
        for pid in children.get(queue.pop(), ()):
            if pid not in below:
                below.add(pid)
                queue.append(pid)
    return below - roots


def handed_over(processes: dict[int, Process], leave_path: str, never: int = 0) -> set[int]:
    """Pids that the file at leave_path hands over: those it names, their descendants and the sessions they lead.

    A line is `pid starttime`; one that does not fit a living process is ignored, and so is the pid `never`.
    """
    roots = set()
    for line in read_small(leave_path).splitlines():
        pid, _, start = line.strip().partition(b" ")
        if pid.isdigit() and start.strip().isdigit():
            one = processes.get(int(pid))
            if one is not None and one.start == int(start) and one.pid != never:
                roots.add(one.pid)
    if not roots:
        return roots
    return roots | descendants(processes, roots) | {one.pid for one in processes.values() if one.session in roots}


def read_small(path: str, limit: int = 1 << 16) -> bytes:
    """The first bytes of a regular file, empty where there is none: a link, a pipe or a device is not read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        return os.read(fd, limit) if (os.fstat(fd).st_mode & 0o170000) == 0o100000 else b""
    finally:
        os.close(fd)


def send(pid: int, start: int, number: int) -> None:
    """Signal exactly this process; nothing happens where it has ended, whoever has its number now."""
    if not LINUX:
        try:
            os.kill(pid, number)
        except OSError:
            pass
        return
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return
    try:
        one = process(pid)
        if one is not None and one.start == start:
            signal.pidfd_send_signal(pidfd, number)
    except OSError:
        pass
    finally:
        os.close(pidfd)


def send_by(pidfd: int, number: int) -> None:
    """Signal the process of this pidfd; nothing happens where it has ended."""
    try:
        signal.pidfd_send_signal(pidfd, number)
    except OSError:
        pass


def pidfd_inode(pidfd: int) -> int:
    """A number that no other process of this system ever has; 0 where the kernel gives none (before 6.9)."""
    status = os.fstat(pidfd)
    # Before pidfs every pidfd was one and the same anonymous inode, with mode 0600.
    return 0 if (status.st_mode & 0o777) == 0o600 else status.st_ino


def open_exactly(pid: int, start: int, inode: int) -> int | None:
    """A pidfd of exactly this process, None where it is not alive (or there are no pidfds)."""
    if not LINUX:
        return None
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return None
    one = process(pid)
    known = pidfd_inode(pidfd)
    if one is None or one.start != start or (inode and known and inode != known):
        os.close(pidfd)
        return None
    return pidfd


def marked(marks: tuple[bytes, ...], sessions: dict[int, int]) -> dict[int, Process]:
    """Living processes of this user that carry one of the marks in their environment, or are in one of the sessions.

    marks: beginnings of the value of MARK_VARIABLE. sessions: session id to the start time of its leader (a session id
    is not given out again while a member lives, but the leader's own pid might be). Their descendants are included.
    """
    processes = table()
    own = os.getuid()
    found = set()
    for one in processes.values():
        if one.state in "ZX" or one.pid == os.getpid():
            continue
        of_session = one.session in sessions and one.start >= sessions[one.session] and _owner(one.pid) == own
        if of_session or _mark(one.pid).startswith(marks):
            found.add(one.pid)
    found |= {pid for pid in descendants(processes, found) if processes[pid].state not in "ZX"}
    found.discard(os.getpid())
    return {pid: processes[pid] for pid in found}


def _mark(pid: int) -> bytes:
    """The value of MARK_VARIABLE in the environment of a process of this user, empty without."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123
            environment = b"\0" + file.read(1 << 20)
    except OSError:
        return b""
    _, _, after = environment.partition(f"\0{MARK_VARIABLE}=".encode())
    return after.partition(b"\0")[0]


def _owner(pid: int) -> int:
    try:
        return os.stat(f"/proc/{pid}").st_uid  # noqa: PTH116
    except OSError:
        return -1
