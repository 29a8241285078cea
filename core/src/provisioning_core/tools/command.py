"""A program run for its output: here or on a server, its output in the log as it comes and captured for the result."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ProviderError, UsageError
from ..login import login
from ..yamlfile import shown

CAPTURED_BYTES_MAX = 160 * 1024  # a result may have 1 MiB, and JSON makes six bytes of one at worst
CHUNK = 65_536
CONNECT_S = 15
_NO_CONNECTION = "no_connection"

Heard = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Ran:
    """exit_code: 128 + n where signal n ended it. output: what it printed, the first bytes of it.

    cut: how many bytes of the output are not there.
    """

    exit_code: int
    output: bytes
    cut: int = 0

    @property
    def text(self) -> str:
        return self.output.decode("utf-8", "replace")


class _Captured:
    def __init__(self, heard: Heard, most: int = CAPTURED_BYTES_MAX) -> None:
        self._heard = heard
        self._most = most
        self._parts: list[bytes] = []
        self._size = 0
        self._cut = 0

    def take(self, data: bytes) -> None:
        self._heard(data)
        room = self._most - self._size
        if room > 0:
            self._parts.append(data[:room])
            self._size += len(self._parts[-1])
        self._cut += max(0, len(data) - max(room, 0))

    def ran(self, exit_code: int) -> Ran:
        return Ran(exit_code, b"".join(self._parts), self._cut)


def to_log(data: bytes) -> None:
    """Into the log of the attempt, at once."""
    sys.stdout.flush()
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def run_here(
    argv: Sequence[str],
    *,
    directory: Path,
    environment: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    heard: Heard = to_log,
    most: int = CAPTURED_BYTES_MAX,
    errors_too: bool = False,
) -> Ran:
    """Run it and wait. environment: added to this process's. Its standard error goes to the log.

    heard: gets the output as it comes. most: how many bytes of it are captured. errors_too: standard error is output.
    Raises UsageError (`not_runnable`) where it cannot be started.
    """
    try:
        process = subprocess.Popen(
            list(argv),
            cwd=directory,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if errors_too else None,
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot run {shown(argv[0] if argv else '')}: {reason}", code="not_runnable") from error
    captured = _Captured(heard, most)
    with _ended_after_it(), process:
        feeding = _feeding(process, stdin)
        assert process.stdout is not None
        while data := os.read(process.stdout.fileno(), CHUNK):
            captured.take(data)
        code = process.wait()
        feeding.join()
    return captured.ran(code if code >= 0 else 128 - code)


@contextlib.contextmanager
def _ended_after_it() -> Iterator[None]:
    """Who cancels us ends the program, too, by the same signal: we hear it out. Were we gone at once, its next word
    would end it by SIGPIPE, while it writes down what it has made and unlocks it. Sending it the signal again
    would be worse: OpenTofu takes a second one for impatience, and leaves everything as it lies."""
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if came:
            signal.raise_signal(signal.SIGTERM)


def _feeding(process: subprocess.Popen[bytes], stdin: bytes) -> Any:
    """In a thread: a program may print much before it reads, and then both would wait."""
    import threading

    def feed() -> None:
        assert process.stdin is not None
        try:
            process.stdin.write(stdin)
            process.stdin.close()
        except OSError:
            pass  # it does not want its input

    thread = threading.Thread(target=feed, daemon=True, name="standard input")
    thread.start()
    return thread


def run_there(
    ssh: Mapping[str, Any],
    argv: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    heard: Heard = to_log,
) -> Ran:
    """The same on a server. ssh: its attribute. Raises ProviderError (`no_connection`) where it cannot be reached."""
    words = [f"{name}={value}" for name, value in (environment or {}).items()]
    line = shlex.join(["env", *words, *argv] if words else argv)
    return asyncio.run(_run_there(ssh, line, stdin, _Captured(heard)))


async def _run_there(ssh: Mapping[str, Any], line: str, stdin: bytes, captured: _Captured) -> Ran:
    import asyncssh

    try:
        connection = await asyncssh.connect(**login(ssh, CONNECT_S))
        async with connection:
            process: asyncssh.SSHClientProcess[bytes] = await connection.create_process(line, encoding=None)

            async def errors() -> None:
                while data := await process.stderr.read(CHUNK):
                    to_log(data)

            async def feed() -> None:
                try:
                    process.stdin.write(stdin)
                    await process.stdin.drain()
                    process.stdin.write_eof()
                except (OSError, asyncssh.Error):
                    pass  # it does not want its input

            telling, feeding = asyncio.create_task(errors()), asyncio.create_task(feed())
            while data := await process.stdout.read(CHUNK):
                captured.take(data)
            await process.wait_closed()
            await asyncio.gather(telling, feeding)
    except (OSError, asyncssh.Error) as error:
        where = f"{ssh['user']}@{ssh['host']} port {ssh['port']}"
        raise ProviderError(f"the connection to {where}: {error}", code=_NO_CONNECTION) from error
    if process.exit_signal:
        return captured.ran(128 + int(getattr(signal, f"SIG{process.exit_signal[0]}", signal.SIGHUP)))
    if process.exit_status is None:
        raise ProviderError("the connection ended before the command did", code=_NO_CONNECTION)
    return captured.ran(process.exit_status)


def find_program(name: str, hint: str) -> str:
    """Beside this Python, else on PATH. Raises UsageError (`not_installed`) with the hint."""
    import shutil

    beside = Path(sys.executable).parent / name
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which(name)
    if found is None:
        raise UsageError(f"there is no `{name}` on PATH", code="not_installed", hint=hint)
    return found
