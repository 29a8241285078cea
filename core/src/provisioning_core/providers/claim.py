"""A write-ahead intent for clouds without idempotency tokens: one create of a key at a time, and none forgotten.

`<workspace>/.provisioning/claims/<sha256 of the key>` is the lock (`flock`: it ends with the process that holds it)
and, while a create request is unsettled, the mark that it was sent. What a kill leaves behind:

    before `sending`         no mark: nothing was sent, create at once
    within `sending`         a torn mark counts as a mark: a settle window may be waited for nothing
    after it                 the mark: it may exist without being seen yet; look until the window is over
    after `answered`         the mark with the id: ask for that id, no list has to show it yet
    after `settled`          no file

The exclusion is among processes that share the workspace's file system. Two people with a clone each are kept apart by
the find before the create only, as far as the cloud's lists are up to date.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import ProviderError
from ..yamlfile import shown

WAIT_S = 300.0
_POLL_S = 0.02


class Claim:
    """The mark of one key, in the hands of the one process that holds its lock."""

    def __init__(self, descriptor: int, file: Path, key: str) -> None:
        self._descriptor = descriptor
        self._file = file
        self._key = key

    @property
    def sent_at(self) -> float | None:
        """Wall time at which a create request was sent that was never seen to end; None: there is none."""
        mark = _read(self._descriptor)
        return None if mark is None else float(mark["sent_at"])

    @property
    def id(self) -> str | None:
        """The id that the cloud gave in its answer to that request, where the answer arrived."""
        mark = _read(self._descriptor)
        return None if mark is None else mark.get("id")

    def remaining_s(self, window_s: float) -> float:
        """What is left of the settle window, 0 to window_s; 0 without a mark. A clock set back costs a wait."""
        sent_at = self.sent_at
        return 0.0 if sent_at is None else _remaining_s(sent_at, window_s)

    def sending(self) -> None:
        """On the disk before it returns: call it right before the request goes out."""
        self._write({"sent_at": time.time(), "key": self._key})

    def answered(self, id: str) -> None:
        """The cloud has said the id; the mark stays until the resource is seen where a find looks for it."""
        self._write({"sent_at": self.sent_at or time.time(), "key": self._key, "id": id})

    def settled(self) -> None:
        """The resource has been seen, or was certainly refused, or is gone: the mark goes."""
        os.ftruncate(self._descriptor, 0)

    def _write(self, mark: dict[str, Any]) -> None:
        line = json.dumps(mark).encode(errors="replace")
        os.pwrite(self._descriptor, line, 0)
        os.ftruncate(self._descriptor, len(line))
        os.fsync(self._descriptor)

    def _close(self) -> None:
        """Unlinked only while it is locked and empty; whoever waits for this file sees that it has lost its name."""
        if os.fstat(self._descriptor).st_size == 0:
            self._file.unlink(missing_ok=True)
        os.close(self._descriptor)


@contextmanager
def claim(workspace: Path, key: str, *, wait_s: float = WAIT_S) -> Iterator[Claim]:
    """Nobody else in this workspace creates a resource of that key until the block ends.

    Raises ProviderError (`claimed_elsewhere`, retryable) where another process keeps it for longer than wait_s.
    """
    file = _file_of(workspace, key)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    held = Claim(_locked(file, key, wait_s), file, key)
    try:
        yield held
    finally:
        held._close()


def claimed_id(workspace: Path, key: str) -> str | None:
    """The id in the mark of that key, read without the lock: for a find of what no list shows yet."""
    mark = _peek(workspace, key)
    return None if mark is None else mark.get("id")


def unsettled_s(workspace: Path, key: str, window_s: float) -> float:
    """As `Claim.remaining_s`, without the lock: for a find that must not miss what a killed create has just sent."""
    mark = _peek(workspace, key)
    return 0.0 if mark is None else _remaining_s(float(mark["sent_at"]), window_s)


def _peek(workspace: Path, key: str) -> dict[str, Any] | None:
    try:
        descriptor = os.open(_file_of(workspace, key), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return _read(descriptor)
    finally:
        os.close(descriptor)


def _remaining_s(sent_at: float, window_s: float) -> float:
    return min(window_s, max(0.0, sent_at + window_s - time.time()))


def _file_of(workspace: Path, key: str) -> Path:
    digest = hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()
    return Path(workspace) / ".provisioning" / "claims" / digest


def _locked(file: Path, key: str, wait_s: float) -> int:
    """A descriptor with the lock of the file that has this name now."""
    deadline = time.monotonic() + wait_s
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if _try_lock(descriptor, deadline) and _is_named(descriptor, file):
                _sync_directory(file.parent)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if time.monotonic() > deadline:
            raise ProviderError(
                f"another process has been creating {shown(key)} for {wait_s:g} s",
                code="claimed_elsewhere",
                retry_after_s=10,
            )


def _try_lock(descriptor: int, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)


def _is_named(descriptor: int, file: Path) -> bool:
    try:
        named = file.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(named, os.fstat(descriptor))


def _sync_directory(directory: Path) -> None:
    """The name of a new file is as safe as its mark."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> dict[str, Any] | None:
    """The mark, None for an empty file. A torn one is a mark of the moment in which the file was last written."""
    text = os.pread(descriptor, 65_536, 0)
    if not text:
        return None
    try:
        mark = json.loads(text)
    except ValueError:
        mark = None
    if isinstance(mark, dict) and isinstance(mark.get("sent_at"), int | float):
        return mark
    return {"sent_at": os.fstat(descriptor).st_mtime}
