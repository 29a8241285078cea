"""How a machine room comes to be, and the door at which it is found.

`starter` is the process that wants a room. The room appends itself to PROVISIONING_LEAVE, and then looks whether its
starter still lives; if so, nobody has yet begun to clear away the starter's attempt, and every clearing that comes will
read the line. Only then does it listen. Two rooms of one workspace cannot be: each holds room.lock for life.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import os
import signal
import socket
import sys
from dataclasses import asdict
from pathlib import Path

from . import machine, processes
from .door import at_door
from .launch import live_beside
from .processes import LINUX, Identity
from .registry import Registry, replace_file
from .room import Room
from .setting import Setting

if LINUX:
    from . import kernel


def run_room(workspace: Path, starter: Identity) -> None:
    """Become the machine room: in the background, with standard output as the starter's ear until we listen.

    Says `ready` there, or a reason. Where another room has been quicker it ends, and that is `ready` too.
    """
    if os.fork() != 0:
        os._exit(0)
    os.setsid()
    registry = Registry(workspace)
    ear = os.dup(1)
    try:
        registry.prepare()
        _take_log(registry.root / "room.log")
        os.umask(0o022)
        lock = os.open(registry.root / "room.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(ear, "ready")
            return
        if LINUX:
            kernel.adopt_orphans()
        processes.hand_over(starter)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.chdir("/")
        machine.warm_up()
        room = Room(workspace)
        gc.freeze()  # what is collected never is written to, so machines go on sharing it
        listener = _open_door(registry.root)
        identity = processes.identify(os.getpid())
        assert identity is not None
        replace_file(registry.root / "room.json", json.dumps(asdict(identity)).encode(), sync=False)
        _say(ear, "ready")
    except Exception as error:
        _say(ear, f"{type(error).__name__}: {error}")
        raise
    finally:
        os.close(ear)
    room.serve(listener)
    (registry.root / "room.socket").unlink(missing_ok=True)


def _say(ear: int, text: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # the starter has been killed
        os.write(ear, f"{text}\n".encode())


def _take_log(path: Path) -> None:
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(log)
    os.close(nothing)


def _open_door(root: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    with at_door(root) as path:
        Path(path).unlink(missing_ok=True)
        listener.bind(path)
    listener.listen(128)
    return listener


def run_machine(listener: int, control: int) -> None:
    """The interpreter that `_spawn_beside` starts."""
    setting = Setting(**json.load(sys.stdin))
    live_beside(setting, socket.socket(fileno=listener), socket.socket(fileno=control))
