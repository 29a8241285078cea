"""The log of the orchestrator that was started from here: where it is, and printed as `tail -f` does."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import BinaryIO

from ..errors import NotFoundError
from ..render.text import clean_lines
from .session import Session

CHUNK_BYTES = 64 * 1024
LOOK_EVERY_S = 0.2


def log_file(session: Session) -> Path:
    return Path(session.settings.data_dir().value) / "orchestrator.log"


def print_log(session: Session, path: Path, *, follow: bool, tail: int | None, raw: bool) -> None:
    try:
        file = path.open("rb")
    except OSError as error:
        raise NotFoundError(
            f"no log at {path} ({error.strerror})",
            code="no_log",
            hint="it is written by `provisioning orchestrator start`; --data-dir says where",
        ) from error
    with file:
        if tail is not None:
            file.seek(_start_of_tail(file, tail))
        clean = session.out.tty and not raw
        while True:
            chunk = file.readline(CHUNK_BYTES) if clean else file.read(CHUNK_BYTES)
            if chunk:
                _write(chunk, clean=clean)
            elif not follow:
                return
            else:
                time.sleep(LOOK_EVERY_S)


def _write(chunk: bytes, *, clean: bool) -> None:
    out = sys.stdout.buffer
    out.write(clean_lines(chunk.decode("utf-8", "backslashreplace")).encode() if clean else chunk)
    out.flush()


def _start_of_tail(file: BinaryIO, lines: int) -> int:
    """The offset at which the last so many lines begin; reads backwards, only as far as needed."""
    end = file.seek(0, 2)
    position, wanted = end, lines + 1
    while position > 0:
        size = min(CHUNK_BYTES, position)
        position -= size
        file.seek(position)
        chunk = file.read(size)
        if position + size == end and chunk.endswith(b"\n"):
            chunk = chunk[:-1]
        for offset in range(len(chunk) - 1, -1, -1):
            if chunk[offset] == 10:
                wanted -= 1
                if wanted == 1:
                    return position + offset + 1
    return 0 if lines else end
