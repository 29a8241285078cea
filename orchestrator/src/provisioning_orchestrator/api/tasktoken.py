"""The token of one attempt: it opens the API for what an operation needs to submit child workflows, and no more.

    prvt_<workflow>.<seq of its task>.<attempt>.<HMAC-SHA256 of these by the daemon's key, hex>

Nothing of it is stored: the daemon makes and checks it with a key of its data directory. It is good as long as that
very attempt runs.
"""

from __future__ import annotations

import hmac
import os
import re
from pathlib import Path

from ..ports import AttemptId
from .token import create_private

PREFIX = b"prvt_"
FILE_NAME = "task-key"
KEY_BYTES = 32
_TOKEN = re.compile(rb"prvt_(wf_[A-Za-z0-9_-]{1,60})\.([1-9][0-9]{0,9})\.([1-9][0-9]{0,9})\.([0-9a-f]{64})")


class TaskTokens:
    def __init__(self, key: bytes) -> None:
        self._key = key

    def token(self, id: AttemptId) -> str:
        named = f"{id.workflow}.{id.task}.{id.number}"
        return f"{PREFIX.decode()}{named}.{self._mac(named.encode())}"

    def read(self, presented: bytes) -> AttemptId | None:
        """Whose token it is; None where it is none of ours."""
        found = _TOKEN.fullmatch(presented)
        if found is None:
            return None
        named = presented[len(PREFIX) :].rpartition(b".")[0]
        if not hmac.compare_digest(self._mac(named).encode(), found[4]):
            return None
        return AttemptId(found[1].decode(), int(found[2]), int(found[3]))

    def _mac(self, named: bytes) -> str:
        return hmac.digest(self._key, named, "sha256").hex()


def open_task_tokens(data_dir: Path) -> TaskTokens:
    """With the key of the data directory, made where there is none (or none that can be used). Raises OSError."""
    path = data_dir / FILE_NAME
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        key = b""
    if len(key) != KEY_BYTES:
        path.unlink(missing_ok=True)
        key = os.urandom(KEY_BYTES)
        create_private(path, key)
    return TaskTokens(key)
