"""Asks a person for a line, on standard error and standard input."""

from __future__ import annotations

import os
import select
import signal

from .session import Session

LINE_BYTES_MAX = 4096


def ask(session: Session, question: str) -> str:
    """The answer without its newline; empty at the end of the input. Raises KeyboardInterrupt.

    Not `input`: a Ctrl-C that comes between the question and its read would be noticed only after the next key.
    Here the signal itself wakes the wait.
    """
    session.err.stream.write(f"{question} ")
    session.err.stream.flush()
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    before = signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    line = b""
    try:
        while b"\n" not in line and len(line) < LINE_BYTES_MAX:
            if 0 in select.select([0, woken], [], [])[0]:
                chunk = os.read(0, LINE_BYTES_MAX)
                if not chunk:
                    session.err.say()
                    break
                line += chunk
            else:
                os.read(woken, 64)
    finally:
        signal.set_wakeup_fd(before)
        os.close(woken)
        os.close(wakes)
    return line.partition(b"\n")[0].decode("utf-8", "replace").strip()
