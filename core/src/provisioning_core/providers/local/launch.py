"""A machine's first process: forked from the room, out of the host, into what its level gives it.

The room hears the pid on a pipe. Inside of namespaces the machine waits on its control socket for `go`, which comes
when its network is laid.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
from dataclasses import asdict
from pathlib import Path

from . import forks, machine
from .processes import LINUX
from .setting import Setting

if LINUX:
    from . import imagebox, kernel, owners, sandbox
    from .imagebox import Layers


def into_namespaces(
    home: Path, ground: int, setting: Setting, layers: Layers | None, listener: socket.socket, control: socket.socket
) -> int:
    """The pid of the new machine's first process, which is our child. home: the server's directory.

    layers: what its disk lies on at the level `image`. Raises OSError where it could not leave the host.
    """
    told, tell = os.pipe()
    # Root needs no ground to show an image: he shows it with the owners that the machine has.
    base = -1 if layers is not None and layers.first is not None else ground

    def live() -> None:
        _move_in(home)
        ids = -1
        if base >= 0:
            kernel.enter(base, kernel.NEW_USER)
        if layers is not None:
            ids = owners.new_namespace(layers.first)
        pid = sandbox.leave_host()
        if pid != 0:
            os.write(tell, str(pid).encode())
            return
        os.close(tell)
        if layers is None:
            sandbox.settle(setting.hostname, control)
        else:
            imagebox.settle(setting.hostname, layers, ids, control)
            os.close(ids)
        if base >= 0:
            os.close(base)
        _serve_when_told(setting, listener, control)

    porter = forks.fork(live, keep={tell, listener.fileno(), control.fileno(), base})
    os.close(tell)
    with os.fdopen(told, "rb") as file:
        word = file.read()
    os.waitpid(porter, 0)  # its child, whose pid it has told, is ours now
    if not word:
        raise OSError("it could not leave the host")
    return int(word)


def beside(home: Path, setting: Setting, listener: socket.socket, control: socket.socket) -> int:
    """The pid of a new machine that is a plain process."""
    if not LINUX:
        log = _open_log(home)
        try:
            return spawn_beside(setting, listener, control, log)
        finally:
            os.close(log)

    def live() -> None:
        _move_in(home)
        live_beside(setting, listener, control)

    return forks.fork(live, keep={listener.fileno(), control.fileno()})


def live_beside(setting: Setting, listener: socket.socket, control: socket.socket) -> None:
    if LINUX:
        kernel.adopt_orphans()
        kernel.die_with_parent(signal.SIGTERM)  # it has to clear its sessions away itself
    machine.serve(setting, listener, control)


def spawn_beside(setting: Setting, listener: socket.socket, control: socket.socket, log: int) -> int:
    """Where forking without exec is unsafe (macOS): a fresh interpreter per machine."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as file:
        json.dump(asdict(setting), file)
    kept = (listener.fileno(), control.fileno())
    for descriptor in kept:
        os.set_inheritable(descriptor, True)
    actions = [(os.POSIX_SPAWN_DUP2, reader, 0), (os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)]
    argv = [sys.executable, "-m", __package__, "machine", str(kept[0]), str(kept[1])]
    try:
        return os.posix_spawn(sys.executable, argv, os.environ, file_actions=actions)
    finally:
        os.close(reader)
        for descriptor in kept:
            os.set_inheritable(descriptor, False)


def _serve_when_told(setting: Setting, listener: socket.socket, control: socket.socket) -> None:
    if control.recv(3) != b"go\n":
        return
    kernel.die_with_parent(signal.SIGKILL)  # not before: joining a namespace clears it, and the porter was our parent
    control.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        if control.recv(1, socket.MSG_PEEK) == b"":
            return  # the room had died just before
    machine.serve(setting, listener, control)


def _move_in(home: Path) -> None:
    log = _open_log(home)
    for target in (1, 2):
        os.dup2(log, target)
    os.close(log)
    os.chdir(home)


def _open_log(home: Path) -> int:
    return os.open(home / "machine.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
