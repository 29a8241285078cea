"""The few Linux system calls that the standard library of Python 3.11 does not offer, by ctypes.

Every function raises OSError with the name of what it was doing. Import it on Linux only.
"""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path

NEW_MOUNTS = 0x00020000
NEW_CGROUP = 0x02000000
NEW_HOSTNAME = 0x04000000
NEW_IPC = 0x08000000
NEW_USER = 0x10000000
NEW_PIDS = 0x20000000
NEW_NET = 0x40000000

READ_ONLY, NO_SUID, NO_DEV, NO_EXEC = 0x1, 0x2, 0x4, 0x8
REMOUNT, BIND, RECURSIVE, PRIVATE = 0x20, 0x1000, 0x4000, 0x40000
DETACH = 2
# Flags of an existing mount that a remount has to repeat: in a user namespace they are locked.
_KEPT = {"nosuid": NO_SUID, "nodev": NO_DEV, "noexec": NO_EXEC, "noatime": 0x400, "nodiratime": 0x800}

_SET_PARENT_DEATH_SIGNAL, _SET_CHILD_SUBREAPER = 1, 36
# Newer calls have one number on every architecture.
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_AT_CWD, _AT_EMPTY_PATH, _TREE_CLONE, _MOVE_EMPTY_PATH = -100, 0x1000, 1, 4
_ATTRIBUTE_READ_ONLY, _ATTRIBUTE_IDS = 0x1, 0x100000
_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    _check(_libc.unshare(flags), f"unshare {flags:#x}")


def enter(namespace: int, kind: int) -> None:
    """Join the namespace behind this file descriptor."""
    _check(_libc.setns(namespace, kind), f"setns {kind:#x}")


def map_root(uid: int, gid: int) -> None:
    """In a user namespace of our own, be root: 0 inside is uid:gid of the namespace outside, and nobody else exists."""
    Path("/proc/self/setgroups").write_text("deny")  # without root this has to come before the map of groups
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def mount(source: str | None, target: str, kind: str | None = None, flags: int = 0, options: str | None = None) -> None:
    texts = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    data = None if options is None else options.encode()
    _check(_libc.mount(*texts, ctypes.c_ulong(flags), data), f"mount {source or kind or ''} on {target}")


def bind_read_only(source: str, target: str) -> None:
    """Show source at target, with all that is mounted below it, and nothing of it writable."""
    mount(source, target, flags=BIND | RECURSIVE)
    for point, flags in _mounts_below(os.path.realpath(target)):
        # By a relative path: a directory further up may be closed to us.
        mount(None, os.path.relpath(point), flags=BIND | REMOUNT | READ_ONLY | NO_SUID | flags)


def show_with_ids_of(source: str, target: str, namespace: int) -> None:
    """Show source at target, read-only, without what is mounted below it, its owners as the user namespace has them.

    What belongs to uid 0 on the disk belongs at target to the uid 0 of that namespace. Linux 5.12; the file system of
    source has to know how.
    """
    tree = hold(source)
    try:
        wish = (ctypes.c_uint64 * 4)(_ATTRIBUTE_READ_ONLY | _ATTRIBUTE_IDS, 0, 0, namespace)
        size = ctypes.c_size_t(ctypes.sizeof(wish))
        done = _libc.syscall(_MOUNT_SETATTR, tree, b"", ctypes.c_uint(_AT_EMPTY_PATH), ctypes.byref(wish), size)
        _check(done, f"showing {source} with other owners")
        attach(tree, target)
    finally:
        os.close(tree)


def hold(source: str) -> int:
    """A descriptor of source as a mount that is nowhere yet. Linux 5.2."""
    tree: int = _libc.syscall(_OPEN_TREE, _AT_CWD, os.fsencode(source), ctypes.c_uint(_TREE_CLONE | os.O_CLOEXEC))
    _check(min(tree, 0), f"open_tree {source}")
    return tree


def attach(tree: int, target: str) -> None:
    """Mount what `hold` holds at target."""
    done = _libc.syscall(_MOVE_MOUNT, tree, b"", _AT_CWD, os.fsencode(target), ctypes.c_uint(_MOVE_EMPTY_PATH))
    _check(done, f"mount on {target}")


def pivot(new_root: str) -> None:
    """Make new_root (a mount point) the root directory; the old one is not reachable any more."""
    os.chdir(new_root)
    _check(_libc.pivot_root(b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", DETACH), "umount of the old root")
    os.chdir("/")


def die_with_parent(signal_number: int) -> None:
    """The kernel sends this signal when the thread that is our parent ends. Cleared by a change of credentials."""
    _check(_libc.prctl(_SET_PARENT_DEATH_SIGNAL, signal_number, 0, 0, 0), "prctl PDEATHSIG")


def adopt_orphans() -> None:
    """Become the parent of every descendant that loses its own."""
    _check(_libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl CHILD_SUBREAPER")


def _mounts_below(top: str) -> list[tuple[str, int]]:
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split(" ")
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4])
        if point == top or point.startswith(top + "/"):
            found.append((point, sum(_KEPT.get(flag, 0) for flag in fields[5].split(","))))
    return found


def _check(result: int, doing: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{doing}: {os.strerror(number)}")
