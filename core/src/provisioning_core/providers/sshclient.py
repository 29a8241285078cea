"""An SSH client of our own, for machines without OpenSSH's `ssh`: a command with its streams, or a shell on a terminal.

Host keys are checked strictly against the provider's known_hosts file; nothing of the user's own SSH settings is read.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import termios
import threading
import tty
from collections.abc import Iterator, Mapping
from typing import Any

import asyncssh

from ..login import login

_CHUNK = 65536
_NO_CONNECTION = 255
_CONNECT_S = 15


def run(ssh: Mapping[str, Any], command: list[str]) -> int:
    """Run a command, or a login shell where it is empty. Returns its exit code, 128 + n for signal n.

    ssh: the attribute `ssh` of a server. command: joined by blanks for the remote shell, as OpenSSH's client does it:
    quote what is not meant for that shell. A shell gets a terminal where standard input is one. Without a connection
    it says why on standard error and returns 255.
    """
    try:
        return asyncio.run(_run(ssh, " ".join(command) or None))
    except (OSError, asyncssh.Error) as error:
        sys.stderr.write(f"cannot connect to {ssh['user']}@{ssh['host']} port {ssh['port']}: {error}\n")
        return _NO_CONNECTION


async def _run(ssh: Mapping[str, Any], command: str | None) -> int:
    connection = await asyncssh.connect(**login(ssh, _CONNECT_S))
    on_terminal = command is None and sys.stdin.isatty()
    term = {"term_type": os.environ.get("TERM", "xterm"), "term_size": _size()} if on_terminal else {}
    async with connection:
        process: asyncssh.SSHClientProcess[bytes] = await connection.create_process(command, encoding=None, **term)
        with _raw_terminal(process) if on_terminal else contextlib.nullcontext():
            _feed_standard_input(process)
            await asyncio.gather(_copy(process.stdout, 1), _copy(process.stderr, 2))
            await process.wait_closed()
    if process.exit_signal:
        return 128 + int(getattr(signal, f"SIG{process.exit_signal[0]}", signal.SIGHUP))
    return _NO_CONNECTION if process.exit_status is None else process.exit_status


def _feed_standard_input(process: asyncssh.SSHClientProcess[bytes]) -> None:
    """From a thread: standard input may be a file, which no event loop can wait for, and it must stay blocking."""
    loop = asyncio.get_running_loop()

    async def write(data: bytes) -> None:
        process.stdin.write(data)
        await process.stdin.drain()

    def feed() -> None:
        with contextlib.suppress(OSError, asyncssh.Error, RuntimeError):  # the session has ended before its input
            while data := os.read(0, _CHUNK):
                asyncio.run_coroutine_threadsafe(write(data), loop).result()
            loop.call_soon_threadsafe(process.stdin.write_eof)

    threading.Thread(target=feed, daemon=True, name="standard input").start()


async def _copy(source: asyncssh.SSHReader[bytes], into: int) -> None:
    while data := await source.read(_CHUNK):
        view = memoryview(data)
        while view:
            view = view[os.write(into, view) :]


@contextlib.contextmanager
def _raw_terminal(process: asyncssh.SSHClientProcess[bytes]) -> Iterator[None]:
    """Every key goes to the other side, and so does every change of the window's size."""
    loop = asyncio.get_running_loop()
    before = termios.tcgetattr(0)
    loop.add_signal_handler(signal.SIGWINCH, lambda: process.change_terminal_size(*_size()))
    try:
        tty.setraw(0, termios.TCSADRAIN)  # not FLUSH: what was typed while we connected is meant for the other side
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
        loop.remove_signal_handler(signal.SIGWINCH)


def _size() -> tuple[int, int]:
    size = shutil.get_terminal_size()
    return size.columns, size.lines
