"""Reads the event file of an attempt: JSON objects, one a line, while it grows and to its end.

Each line becomes one fact, so that the offsets of a fact are the same whoever reads the file again. Blank lines belong
to the line after them. What is not a JSON object becomes a record of the type `unreadable` with a reason and the first
bytes. Limits: 64 KiB a line, 16 MiB and 20,000 lines a file; what comes after them is one `unreadable` record.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from typing import Any

from provisioning_orchestrator.ports import AttemptId, AttemptReported

LINE_BYTES_MAX = 64 * 1024
FILE_BYTES_MAX = 16 * 1024 * 1024
LINES_MAX = 20_000
_CHUNK = 1 << 20
_EXCERPT = 200


class ReportReader:
    """path: of the event file, which may not exist yet. offset: bytes that have become facts."""

    __slots__ = ("_id", "_line_start", "_lines", "_over", "_path", "_scanned", "offset")

    def __init__(self, id: AttemptId, path: str) -> None:
        self._id = id
        self._path = path
        self._scanned = 0
        self._line_start = 0
        self._lines = 0
        self._over = False
        self.offset = 0

    def read(self, final: bool) -> list[AttemptReported]:
        """The next facts. final: the attempt is over, a last line without a newline counts. At most a MiB a call,
        unless final. Raises OSError where the file is there and cannot be read now."""
        if self._over:
            return []
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return []
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO, errno.EACCES):
                return []  # No file: a link, a pipe.
            raise
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or (status.st_size <= self._scanned and not final):
                return []
            facts: list[AttemptReported] = []
            while not self._over:
                chunk = os.pread(fd, _CHUNK, self._scanned)
                facts += self._take(fd, chunk)
                if not final:
                    break
                if not chunk:
                    facts += self._last(fd)
                    break
            return facts
        finally:
            os.close(fd)

    def _take(self, fd: int, chunk: bytes) -> list[AttemptReported]:
        """Facts of the lines that end in the chunk at _scanned."""
        facts = []
        begin = 0
        while (newline := chunk.find(b"\n", begin)) >= 0:
            whole = self._line_start >= self._scanned
            facts += self._line(fd, self._scanned + newline, chunk[begin:newline] if whole else None, 1)
            begin = newline + 1
            if self._lines >= LINES_MAX:
                return facts + self._stop(self._line_start)
        self._scanned += len(chunk)
        if self._scanned >= FILE_BYTES_MAX:
            facts += self._stop(self._scanned)
        return facts

    def _line(self, fd: int, end: int, line: bytes | None, newline: int) -> list[AttemptReported]:
        """The fact of the line that ends before `end`; line: its bytes, None where they must be read."""
        length = end - self._line_start
        if line is None:
            line = os.pread(fd, min(length, LINE_BYTES_MAX), self._line_start)
        self._line_start = end + newline
        if not line.strip():
            return []
        self._lines += 1
        too_long = length > LINE_BYTES_MAX
        record = _unreadable(f"a line of more than {LINE_BYTES_MAX} bytes", line) if too_long else _record(line)
        return [self._fact(end + newline, record)]

    def _last(self, fd: int) -> list[AttemptReported]:
        """What follows the last newline of a finished file."""
        self._over = True
        return self._line(fd, self._scanned, None, 0) if self._scanned > self._line_start else []

    def _stop(self, end: int) -> list[AttemptReported]:
        self._over = True
        reason = f"the event file has more than {LINES_MAX} lines or {FILE_BYTES_MAX} bytes: the rest is not read"
        return [self._fact(end, {"type": "unreadable", "reason": reason})]

    def _fact(self, end: int, record: dict[str, Any]) -> AttemptReported:
        fact = AttemptReported(self._id, self.offset, end, (record,))
        self.offset = end
        return fact


def _record(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line.decode("utf-8"))
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except RecursionError:
        return _unreadable("it is nested too deeply", line)
    except ValueError as error:
        return _unreadable(f"no JSON: {error}", line)
    return value if isinstance(value, dict) else _unreadable("JSON, but no object", line)


def _unreadable(reason: str, line: bytes) -> dict[str, Any]:
    return {"type": "unreadable", "reason": reason, "line": line[:_EXCERPT].decode("utf-8", "replace")}
