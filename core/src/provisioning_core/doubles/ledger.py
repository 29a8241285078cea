"""Everything that a double ever created, changed or deleted: appended to a file before the answer leaves.

`<directory>/ledger.jsonl`, one line each: {"at": wall time, "event": "created" | "changed" | "deleted", "kind", "id",
"data"}. What a `kill -9` leaves is complete up to a torn last line, which is no entry: its answer never left. A double
that starts again with the same directory goes on from `existing()`. Power cuts are not meant: nothing is synced.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..errors import ConflictError

Event = Literal["created", "changed", "deleted"]


@dataclass(frozen=True, slots=True)
class Entry:
    """data: plain data of the double's own, whole, not a difference."""

    at: float
    event: Event
    kind: str
    id: str
    data: Mapping[str, Any] = field(default_factory=dict)


class Ledger:
    """Any process may read; one writes, which `hold` (or the first entry) makes sure of. Thread-safe."""

    def __init__(self, directory: Path) -> None:
        self.file = Path(directory) / "ledger.jsonl"
        self._descriptor: int | None = None
        self._lock = threading.Lock()

    def hold(self) -> None:
        """Become the writer until `close` or the end of the process. Raises ConflictError where another one is."""
        with self._lock:
            self._hold()

    def create(self, kind: str, id: str, data: Mapping[str, Any] = {}) -> None:
        self._append("created", kind, id, data)

    def change(self, kind: str, id: str, data: Mapping[str, Any]) -> None:
        self._append("changed", kind, id, data)

    def delete(self, kind: str, id: str) -> None:
        self._append("deleted", kind, id, {})

    def created(self, kind: str | None = None) -> list[Entry]:
        """All that was ever made, in order, as it was made, whether it still exists or not."""
        return [each for each in self.entries() if each.event == "created" and kind in (None, each.kind)]

    def existing(self, kind: str | None = None) -> list[Entry]:
        """What has not been deleted, in the order in which it was made, with its last data."""
        there: dict[tuple[str, str], Entry] = {}
        for entry in self.entries():
            if entry.event == "deleted":
                there.pop((entry.kind, entry.id), None)
            elif kind in (None, entry.kind):
                there[entry.kind, entry.id] = entry
        return list(there.values())

    def entries(self) -> Iterator[Entry]:
        try:
            text = self.file.read_bytes()
        except FileNotFoundError:
            return
        whole, _, _torn = text.rpartition(b"\n")
        for line in whole.splitlines():
            yield Entry(**json.loads(line))

    def close(self) -> None:
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def _append(self, event: Event, kind: str, id: str, data: Mapping[str, Any]) -> None:
        fields = {"at": time.time(), "event": event, "kind": kind, "id": id, "data": data}
        line = json.dumps(fields).encode() + b"\n"
        with self._lock:
            written = os.write(self._hold(), line)
        assert written == len(line), f"the disk of {self.file} is full"

    def _hold(self) -> int:
        if self._descriptor is not None:
            return self._descriptor
        self.file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise ConflictError(
                f"another double writes to {self.file}", code="ledger_held", hint="stop it, or use another directory"
            ) from None
        text = self.file.read_bytes()
        os.ftruncate(descriptor, text.rfind(b"\n") + 1)
        self._descriptor = descriptor
        return descriptor
