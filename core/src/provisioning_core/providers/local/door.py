"""The way to the machine room of a workspace: find its socket, start a room where none answers, ask, listen.

Light to import: operations pay for it at every start, so no SSH library here.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ...errors import ProviderError
from . import processes
from .processes import LINUX, Identity
from .registry import Registry

_TRIES = 5
_ANSWER_S = 120.0
# All that a room gets: the environment of a process can be read by what it forks.
ROOM_ENVIRONMENT = (
    "PATH",
    "PYTHONPATH",
    "PYTHONHOME",
    "LD_LIBRARY_PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "PROVISIONING_LEAVE",
)


def ask_room(workspace: Path, request: dict[str, Any], announced: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """The room's last answer to a request; `announced` gets the record as soon as it is durable.

    A room that dies under the request is started again: every request finds before it creates. Raises ProviderError.
    """
    registry = Registry(workspace)
    for _ in range(_TRIES):
        with _connected(registry, workspace) as connection:
            try:
                answer = _converse(connection, request, announced)
            except (ConnectionError, TimeoutError):
                answer = None
        if answer is not None and "error" in answer:
            raise ProviderError(**answer["error"])
        if answer is not None:
            return answer
    raise ProviderError(
        f"the machine room of {workspace} ended {_TRIES} times while it was asked",
        code="room_died",
        hint=f"see {registry.root / 'room.log'}",
    )


def room_of(registry: Registry) -> Identity | None:
    """The living room of this workspace, if there is one."""
    try:
        identity = Identity(**json.loads((registry.root / "room.json").read_bytes()))
    except FileNotFoundError:
        return None
    return identity if processes.alive(identity) else None


def _converse(
    connection: socket.socket, request: dict[str, Any], announced: Callable[[dict[str, Any]], None]
) -> dict[str, Any] | None:
    connection.sendall(json.dumps(request).encode() + b"\n")
    with connection.makefile("rb") as lines:
        for line in lines:
            if not line.endswith(b"\n"):
                return None
            answer: dict[str, Any] = json.loads(line)
            if "announce" not in answer:
                return answer
            announced(answer["announce"])
    return None


@contextlib.contextmanager
def _connected(registry: Registry, workspace: Path) -> Iterator[socket.socket]:
    registry.prepare()
    connection = _connect(registry)
    if connection is None:
        with registry.locked("start.lock"):
            connection = _connect(registry)  # another has been quicker
            for _ in range(_TRIES):
                if connection is None:
                    _start_room(registry, workspace)
                    connection = _connect(registry)
    if connection is None:
        raise ProviderError(
            f"the machine room of {workspace} does not answer", hint=f"see {registry.root / 'room.log'}"
        )
    with connection:
        connection.settimeout(_ANSWER_S)
        yield connection


def _connect(registry: Registry) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        with at_door(registry.root) as path:
            connection.connect(path)
        return connection
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None


def _start_room(registry: Registry, workspace: Path) -> None:
    """Start a room and wait until it listens. Without the starter it would be of no use: so it looks for us."""
    starter = processes.identify(os.getpid())
    argv = [sys.executable, "-m", __package__, "room", str(workspace.absolute()), str(starter)]
    kept = {name: os.environ[name] for name in ROOM_ENVIRONMENT if name in os.environ}
    with subprocess.Popen(
        argv, env=kept, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as child:
        assert child.stdout is not None
        heard = child.stdout.read().decode(errors="replace").strip()  # until the room has let go of it
    if heard == "ready":
        return
    if room_of(registry) is None and heard:
        raise ProviderError(f"cannot start the machine room of {workspace}: {heard}", code="room_failed")
    time.sleep(0.05)  # an ending room still holds its lock


@contextlib.contextmanager
def at_door(root: Path) -> Iterator[str]:
    """A short path to the room's socket: addresses of sockets end at 108 bytes, those of workspaces do not."""
    directory = os.open(root, os.O_RDONLY)
    try:
        if LINUX:
            yield f"/proc/self/fd/{directory}/room.socket"
        else:
            before = os.open(".", os.O_RDONLY)
            try:
                os.fchdir(directory)
                yield "room.socket"
            finally:
                os.fchdir(before)
                os.close(before)
    finally:
        os.close(directory)
