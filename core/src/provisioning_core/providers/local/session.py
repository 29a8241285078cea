"""One session of an SSH client in a machine: a login shell or a command, on a terminal or on three pipes.

The shell is a session of its own (setsid). Without a terminal the end is, as with OpenSSH, when nobody holds its output
open any more; with one, when the shell has ended and what it wrote is delivered.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pwd
import signal
import struct
import termios
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncssh

from .setting import Setting

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CHUNK = 65536


class Sessions:
    """All sessions of a machine. `reaped` is told what its parent, the machine's first process, has waited for."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._children: dict[int, asyncio.Future[int]] = {}

    def reaped(self, pid: int, status: int) -> None:
        ended = self._children.pop(pid, None)
        if ended is not None and not ended.done():
            ended.set_result(status)

    async def run(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        try:
            status = await (self._terminal(process) if process.term_type is not None else self._pipes(process))
        except OSError as error:
            process.stderr.write(f"{self._setting.hostname}: {error}\n".encode())
            process.exit(127)
            return
        except (asyncssh.Error, ConnectionError):
            return  # the other end has gone
        if os.WIFSIGNALED(status):
            number = signal.Signals(os.WTERMSIG(status))
            process.exit_with_signal(number.name.removeprefix("SIG"), os.WCOREDUMP(status))
        else:
            process.exit(os.WEXITSTATUS(status))

    async def _terminal(self, process: asyncssh.SSHServerProcess[bytes]) -> int:
        master, slave = os.openpty()
        try:
            _resize(master, process.term_size)
            path = os.ttyname(slave)
            # Opened by the new session itself, without O_NOCTTY: so it becomes its controlling terminal.
            actions = [
                (os.POSIX_SPAWN_OPEN, 0, path, os.O_RDWR, 0),
                (os.POSIX_SPAWN_DUP2, 0, 1),
                (os.POSIX_SPAWN_DUP2, 0, 2),
            ]
            pid, ended = self._spawn(process, actions, {"SSH_TTY": path, "TERM": process.term_type or "dumb"})
        except BaseException:
            os.close(master)
            raise
        finally:
            os.close(slave)
        os.set_blocking(master, False)
        feeding = asyncio.create_task(_feed(process, pid, master, terminal=True))
        try:
            async for data in _chunks(master, ended):
                process.stdout.write(data)
                await process.stdout.drain()
            return await asyncio.shield(ended)
        finally:
            feeding.cancel()
            os.close(master)

    async def _pipes(self, process: asyncssh.SSHServerProcess[bytes]) -> int:
        pairs = [os.pipe() for _ in range(3)]
        (child_in, stdin), (stdout, child_out), (stderr, child_err) = pairs
        try:
            actions = [(os.POSIX_SPAWN_DUP2, each, n) for n, each in enumerate((child_in, child_out, child_err))]
            pid, ended = self._spawn(process, actions, {})
        except BaseException:
            for each in (stdin, stdout, stderr):
                os.close(each)
            raise
        finally:
            for each in (child_in, child_out, child_err):
                os.close(each)
        for each in (stdin, stdout, stderr):
            os.set_blocking(each, False)
        feeding = asyncio.create_task(_feed(process, pid, stdin, terminal=False))
        drains = [
            asyncio.create_task(_drain(stdout, process.stdout)),
            asyncio.create_task(_drain(stderr, process.stderr)),
        ]
        try:
            await asyncio.gather(*drains)
            return await asyncio.shield(ended)
        finally:
            for task in (feeding, *drains):
                task.cancel()
            await asyncio.gather(feeding, *drains, return_exceptions=True)
            os.close(stdout)
            os.close(stderr)

    def _spawn(
        self, process: asyncssh.SSHServerProcess[bytes], actions: list[tuple[Any, ...]], more: dict[str, str]
    ) -> tuple[int, asyncio.Future[int]]:
        """Start the login shell, or the shell with the command, as a session of its own."""
        shell = _shell()
        command = process.command
        argv = [f"-{Path(shell).name}"] if command is None else [Path(shell).name, "-c", command]
        pid = os.posix_spawn(
            shell,
            argv,
            self._environment(process, shell) | more,
            file_actions=actions,
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD],
        )
        ended = asyncio.get_running_loop().create_future()
        self._children[pid] = ended
        return pid, ended

    def _environment(self, process: asyncssh.SSHServerProcess[bytes], shell: str) -> dict[str, str]:
        peer = process.get_extra_info("peername") or ("127.0.0.1", 0)
        own = process.get_extra_info("sockname") or ("127.0.0.1", 0)
        return {
            "LANG": "C.UTF-8",
            **dict(process.env),
            **environment(self._setting),
            "SHELL": shell,
            "SSH_CLIENT": f"{peer[0]} {peer[1]} {own[1]}",
            "SSH_CONNECTION": f"{peer[0]} {peer[1]} {own[0]} {own[1]}",
        }


def environment(setting: Setting) -> dict[str, str]:
    """What every program of the machine finds in its environment, whatever its client sends."""
    return {
        "PATH": _PATH if setting.first else os.environ.get("PATH", _PATH),
        "HOME": setting.home,
        "PWD": setting.home,
        "USER": setting.user,
        "LOGNAME": setting.user,
        "HOSTNAME": setting.hostname,
    }


async def _feed(process: asyncssh.SSHServerProcess[bytes], pid: int, into: int, *, terminal: bool) -> None:
    """Bytes, resizes and signals of the client into the session, until either goes. A lost line hangs it up."""
    writing = True
    try:
        while not process.stdin.at_eof():
            try:
                data = await process.stdin.read(_CHUNK)
            except asyncssh.TerminalSizeChanged as change:
                _resize(into, change.term_size)
            except asyncssh.SignalReceived as received:
                _signal(pid, getattr(signal, f"SIG{received.signal}", signal.SIGTERM))
            except asyncssh.BreakReceived:
                pass
            else:
                writing = writing and await _write(into, data)
        if not terminal:
            os.close(into)
            into = -1
        await process.channel.wait_closed()
        _signal(pid, signal.SIGHUP)
    except asyncssh.Error:
        _signal(pid, signal.SIGHUP)
    finally:
        if not terminal and into >= 0:
            os.close(into)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


async def _drain(source: int, into: asyncssh.SSHWriter[bytes]) -> None:
    async for data in _chunks(source, None):
        into.write(data)
        await into.drain()


async def _chunks(source: int, over: asyncio.Future[int] | None) -> AsyncIterator[bytes]:
    """What comes from a non-blocking descriptor, until its end, or until `over` is done and nothing is left to read."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            data = os.read(source, _CHUNK)
        except BlockingIOError:
            if over is not None and over.done():
                return
            readable: asyncio.Future[None] = loop.create_future()
            loop.add_reader(source, _wake, readable)
            try:
                waiting: list[asyncio.Future[Any]] = [readable] if over is None else [readable, over]
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            finally:
                loop.remove_reader(source)
            continue
        except OSError:
            return  # a terminal whose other side nobody holds open any more
        if not data:
            return
        yield data


async def _write(into: int, data: bytes) -> bool:
    """Write all of it as the reader takes it. False where nobody reads any more."""
    loop = asyncio.get_running_loop()
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(into, view) :]
        except BlockingIOError:
            writable: asyncio.Future[None] = loop.create_future()
            loop.add_writer(into, _wake, writable)
            try:
                await writable
            finally:
                loop.remove_writer(into)
        except OSError:
            return False
    return True


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _resize(terminal: int, size: tuple[int, int, int, int]) -> None:
    width, height, pixels_wide, pixels_high = size
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, pixels_wide, pixels_high))


def _shell() -> str:
    try:
        found = pwd.getpwuid(os.getuid()).pw_shell
    except KeyError:  # a user whom nobody has entered anywhere, as in some containers
        found = ""
    return found if found and os.access(found, os.X_OK) else "/bin/sh"
