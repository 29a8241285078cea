"""Children of the machine room: they find everything imported, and hold nothing of it but what they need.

The room is single threaded whenever it forks. Secrets are made and kernel state is touched in short-lived children, so
that the room itself, whose memory every machine inherits, never holds a private key or changes its own namespaces.
"""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable, Iterable
from typing import NoReturn


def fork(body: Callable[[], None], *, keep: Iterable[int]) -> int:
    """Run body in a child that holds only standard error and the descriptors in keep. Returns its pid; reap it."""
    pid = os.fork()
    if pid == 0:
        _become(body, sorted(keep))
    return pid


def answer(body: Callable[[], bytes], *, keep: Iterable[int] = ()) -> bytes:
    """What body returns in a child of its own. Raises OSError with the child's reason where it failed."""
    reader, writer = os.pipe()

    def write() -> None:
        try:
            text = b"+" + body()
        except Exception as error:
            text = b"-" + f"{type(error).__name__}: {error}".encode(errors="backslashreplace")
        with os.fdopen(writer, "wb") as file:
            file.write(text)

    pid = fork(write, keep=(*keep, writer))
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        text = file.read()
    os.waitpid(pid, 0)
    if not text.startswith(b"+"):
        raise OSError(text[1:].decode() or "the child ended without an answer")
    return text[1:]


def _become(body: Callable[[], None], keep: list[int]) -> NoReturn:
    """Never returns and never raises: the frames above belong to the parent."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        start = 3
        for descriptor in [each for each in keep if each >= 3]:
            os.closerange(start, descriptor)
            start = descriptor + 1
        os.closerange(start, os.sysconf("SC_OPEN_MAX"))
        body()
        code = 0
    except BaseException:
        os.write(2, traceback.format_exc().encode(errors="backslashreplace"))
    finally:
        os._exit(code)
