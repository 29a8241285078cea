"""From a plain process to a machine: namespaces, own file system, own network, without root and without any program.

    room ── forks ──► porter ── joins the ground, leaves mounts, pids, ipc ──► forks pid 1 of the machine, ends
                      pid 1: mounts, pivots, then leaves *into a user namespace of its own* once more

The second user namespace is what makes the mounts hold: copied into a less privileged one they are locked, so that
root of the machine cannot turn /usr writable again, which would be the host's own /usr where root runs us. The first
one, the *ground*, is shared by all machines and networks of a workspace, so that cables can be laid between them.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from . import disk, kernel, volumes

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_PROC_READ_ONLY = ("sys", "irq", "bus", "fs", "sysrq-trigger")
_PROC_HIDDEN = ("kcore", "keys", "timer_list", "kmsg")


def break_ground(report: socket.socket) -> None:
    """In a child: a user namespace in which we are root; its descriptor is sent through report."""
    uid, gid = os.geteuid(), os.getegid()
    kernel.unshare(kernel.NEW_USER)
    kernel.map_root(uid, gid)
    _send_namespace(report, "user")


def leave_host() -> int:
    """In a child that may: leave the host's mounts, processes, IPC; fork pid 1. Returns its pid, or 0 in it."""
    kernel.unshare(kernel.NEW_MOUNTS | kernel.NEW_PIDS | kernel.NEW_IPC)
    return os.fork()


def settle(hostname: str, control: socket.socket | None) -> None:
    """In pid 1: get the file system, the hostname and an empty network; send the network's descriptor to the room."""
    kernel.mount(None, "/", flags=kernel.RECURSIVE | kernel.PRIVATE)
    held = volumes.lift()
    kernel.mount("disk", "disk", flags=kernel.BIND)
    os.chdir("disk")
    _mount_system()
    _mount_devices()
    _mount_proc()
    kernel.pivot(".")
    volumes.lay(held, 0)
    kernel.unshare(kernel.NEW_USER | kernel.NEW_MOUNTS | kernel.NEW_HOSTNAME | kernel.NEW_NET | kernel.NEW_IPC)
    kernel.map_root(0, 0)
    socket.sethostname(hostname)
    if control is not None:
        _send_namespace(control, "net")


def probe() -> bytes:
    """In a child whose working directory is the registry's: go the whole way once, and raise OSError where it ends.

    Some systems allow the first call and refuse a later one, so the first one proves nothing.
    """
    uid, gid = os.geteuid(), os.getegid()
    kernel.unshare(kernel.NEW_USER)
    kernel.map_root(uid, gid)
    kernel.unshare(kernel.NEW_MOUNTS | kernel.NEW_PIDS | kernel.NEW_IPC)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            kernel.mount(None, "/", flags=kernel.RECURSIVE | kernel.PRIVATE)
            kernel.mount("tmpfs", "trash", "tmpfs")
            os.chdir("trash")
            for name in ("usr", "proc"):
                Path(name).mkdir()
            kernel.bind_read_only("/usr", "usr")
            kernel.mount("proc", "proc", "proc")
            kernel.unshare(kernel.NEW_USER | kernel.NEW_MOUNTS | kernel.NEW_HOSTNAME | kernel.NEW_NET)
            kernel.map_root(0, 0)
            socket.sethostname("probe")
            os.write(writer, b"+")
        except OSError as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        text = file.read()
    os.waitpid(pid, 0)
    if text != b"+":
        raise OSError(text.decode() or "the first process of the new pid namespace died")
    return b""


def _mount_system() -> None:
    kernel.bind_read_only("/usr", "usr")
    if Path("usr/local").is_dir():
        kernel.mount("../local", "usr/local", flags=kernel.BIND)
    for name in disk.SYSTEM:
        if Path(name).is_dir() and not Path(name).is_symlink():
            kernel.bind_read_only(f"/{name}", name)
    for name in disk.ETC_SHOWN:
        own, shown = Path("etc") / name, Path("/etc") / name
        # What the machine has put in its place, or a link that it has planted, is its own affair.
        if shown.exists() and own.exists() and not any(each.is_symlink() for each in (own, own.parent)):
            kernel.bind_read_only(str(shown), str(own))
    kernel.mount("tmpfs", "run", "tmpfs", kernel.NO_SUID | kernel.NO_DEV, "mode=755")


def _mount_devices() -> None:
    kernel.mount("tmpfs", "dev", "tmpfs", kernel.NO_SUID, "mode=755,size=64k")
    for name in _DEVICES:
        Path("dev", name).touch()
        kernel.bind_read_only(f"/dev/{name}", f"dev/{name}")  # its rights, that is: the device itself can be written
    for name in ("pts", "shm"):
        Path("dev", name).mkdir()
    kernel.mount("devpts", "dev/pts", "devpts", kernel.NO_SUID | kernel.NO_EXEC, "newinstance,ptmxmode=0666,mode=620")
    kernel.mount("tmpfs", "dev/shm", "tmpfs", kernel.NO_SUID | kernel.NO_DEV, "mode=1777")
    links = {"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
    for name, target in links.items():
        Path("dev", name).symlink_to(target)


def _mount_proc() -> None:
    """Root's own uid may write in /proc/sys whatever its namespace, so where root runs us it has to be read-only."""
    kernel.mount("proc", "proc", "proc", kernel.NO_SUID | kernel.NO_DEV | kernel.NO_EXEC)
    for name in _PROC_READ_ONLY:
        if Path("proc", name).exists():
            kernel.bind_read_only(f"proc/{name}", f"proc/{name}")
    for name in _PROC_HIDDEN:
        if Path("proc", name).exists():
            kernel.bind_read_only("/dev/null", f"proc/{name}")


def _send_namespace(through: socket.socket, kind: str) -> None:
    descriptor = os.open(f"/proc/self/ns/{kind}", os.O_RDONLY)
    try:
        socket.send_fds(through, [b"n"], [descriptor])
    finally:
        os.close(descriptor)
