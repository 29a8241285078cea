"""Reads an attempt's log by byte offsets; what the cap has cut is told as a hole, and offsets never change."""

from __future__ import annotations

import os

from provisioning_orchestrator.ports import LogChunk

from . import statefile
from .files import AttemptFiles
from .statefile import Torn


def read_log(files: AttemptFiles, offset: int, limit: int, over: bool) -> LogChunk:
    """Up to `limit` bytes from `offset` on. over: the attempt had ended before this call."""
    try:
        fd = os.open(files.log, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return LogChunk(offset, b"", offset, ended=over)
    try:
        start, data = offset, os.pread(fd, limit, offset)
        # The record of the hole is written before the hole is made, so it is read after the bytes: what a hole has
        # turned to zeros meanwhile is never taken for output.
        while (hole := _hole(files)) is not None:
            begin, end = hole
            if start < begin < start + len(data):
                data = data[: begin - start]
            elif begin <= start < end:
                start, data = end, os.pread(fd, limit, end)
                continue
            break
        next_offset = start + len(data)
        ended = over and next_offset >= os.fstat(fd).st_size
        return LogChunk(offset, data, next_offset, hole=start - offset, ended=ended)
    finally:
        os.close(fd)


def log_size(files: AttemptFiles) -> int:
    try:
        return os.stat(files.log).st_size  # noqa: PTH116
    except OSError:
        return 0


def _hole(files: AttemptFiles) -> tuple[int, int] | None:
    try:
        fd = os.open(files.state, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        for _ in range(_LOOKS):
            try:
                fields = statefile.fields_of(os.pread(fd, statefile.REGIONS_END, 0), statefile.HOLE)
            except Torn:
                continue  # It is being written.
            begin, _, end = fields.get("hole", "").partition(":")
            return (int(begin), int(end)) if begin and end and int(begin) < int(end) else None
        return None
    finally:
        os.close(fd)


_LOOKS = 3
