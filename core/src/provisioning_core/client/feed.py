"""Follows a workflow's events over SSE, through broken connections and restarts of the daemon, without a gap.

The sequence of the last record that was given out is sent as `Last-Event-ID`, and what is not newer is dropped: each
record comes once and in order. While the daemon is away the feed says so once (`Away`), and once when it is back.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import UnreachableError
from .connection import Connection, OpenAnswer, path_of

AWAY_MAX_S = 600.0
SILENCE_MAX_S = 45.0  # the daemon says something every 15 s; three silences mean that nobody is there
PAUSES_S = (0.1, 0.2, 0.4, 0.8, 1.0)
LINE_BYTES_MAX = 64 * 1024 * 1024
ENDINGS = frozenset({"workflow.succeeded", "workflow.failed", "workflow.cancelled"})


@dataclass(frozen=True, slots=True)
class Record:
    """One event of the workflow. at: as sent (RFC 3339 or microseconds UTC). task: a flat id, None: the workflow's."""

    sequence: int
    at: str | int | float | None
    type: str
    task: str | None
    data: dict[str, Any]
    raw: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Away:
    reason: str


@dataclass(frozen=True, slots=True)
class Back:
    away_s: float


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing more will come."""


class Feed:
    def __init__(
        self, connection: Connection, workflow: str, *, after: int = 0, away_max_s: float = AWAY_MAX_S
    ) -> None:
        self._connection = connection
        self._workflow = workflow
        self._after = after
        self._away_max_s = away_max_s
        self._ended = False  # a record said that the workflow ended
        self._open: OpenAnswer | None = None
        self._closed = False

    def close(self) -> None:
        """End the iteration, from whatever thread."""
        self._closed = True
        if self._open is not None:
            self._open.abort()

    def __iter__(self) -> Iterator[Record | Away | Back | Ended]:
        """Raises UnreachableError when the daemon stays away, NotFoundError, AuthError."""
        away_since: float | None = None
        said = False
        pauses = 0
        while not self._closed:
            try:
                stream = self._connect()
            except UnreachableError as error:
                now = time.monotonic()
                away_since = away_since if away_since is not None else now
                if now - away_since > self._away_max_s:
                    raise
                if not said:
                    said = True
                    yield Away(error.message)
                time.sleep(PAUSES_S[min(pauses, len(PAUSES_S) - 1)])
                pauses += 1
                continue
            if stream is None:
                yield Ended()
                return
            if said and away_since is not None:
                yield Back(time.monotonic() - away_since)
            away_since, said = None, False
            before = self._after
            over = yield from self._read(stream)
            if over or self._ended:
                yield Ended()
                return
            # A stream that ends at once and brings nothing must not become a busy loop.
            pauses = 0 if self._after > before else pauses + 1
            if not self._closed:
                time.sleep(PAUSES_S[min(pauses, len(PAUSES_S) - 1)])

    def _connect(self) -> OpenAnswer | None:
        """None where the daemon says that there is nothing more (204)."""
        stream = self._connection.open(
            "GET",
            path_of("workflows", self._workflow, "events"),
            headers={"Accept": "text/event-stream", "Last-Event-ID": str(self._after)},
            timeout_s=SILENCE_MAX_S,
        )
        if stream.answer.status == 204:
            stream.close()
            return None
        self._open = stream
        return stream

    def _read(self, stream: OpenAnswer) -> Generator[Record, None, bool]:
        """Yields what comes; returns whether the daemon said that it is over."""
        name, id_ = "", ""
        data: list[str] = []
        with stream as answer:
            while True:
                try:
                    raw = answer.readline(LINE_BYTES_MAX)
                except (OSError, ValueError, http.client.HTTPException):
                    return False
                if not raw.endswith(b"\n"):
                    return False  # the end of the stream; a frame that was cut comes again
                line = raw.decode("utf-8", "replace").rstrip("\r\n")
                if line:
                    field, _, value = line.partition(":")
                    value = value.removeprefix(" ")
                    if field == "event":
                        name = value
                    elif field == "data":
                        data.append(value)
                    elif field == "id":
                        id_ = value
                    continue
                if name == "end":
                    return True
                if name == "bye":
                    return False
                if data:
                    record = self._record(name, "\n".join(data), id_)
                    if record is not None:
                        yield record
                name, data, id_ = "", [], ""

    def _record(self, name: str, text: str, id_: str) -> Record | None:
        try:
            raw = json.loads(text)
        except ValueError:
            return None
        if not isinstance(raw, dict):
            return None
        sequence = raw.get("sequence", id_)
        try:
            sequence = int(sequence)
        except (TypeError, ValueError):
            return None
        if sequence <= self._after:
            return None
        self._after = sequence
        type_ = str(raw.get("type") or name)
        self._ended = type_ in ENDINGS
        task, data = raw.get("task"), raw.get("data")
        return Record(
            sequence=sequence,
            at=raw.get("at"),
            type=type_,
            task=task if isinstance(task, str) else None,
            data=data if isinstance(data, dict) else {},
            raw=raw,
        )
