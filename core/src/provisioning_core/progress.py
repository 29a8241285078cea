"""What people are told while an attempt goes on: a line of its log, and a line of its events file.

Whoever is inside of an operation may tell, however deep: what it works for is in the environment. Elsewhere, as in
`infra plan`, there is no such file, and only the line is written.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from .secrets.telling import clean

CHARS_MAX = 4_000


def tell(message: str) -> None:
    """Why nothing seems to happen, on standard error and in the workflow's feed."""
    sys.stderr.write(f"{clean(message)}\n")
    append_event(progress_event(message))


def progress_event(message: str) -> dict[str, Any]:
    # Cleared before it is cut: half a secret is not recognised any more.
    return {"type": "progress", "message": clean(message)[:CHARS_MAX]}


def append_event(event: Mapping[str, Any]) -> None:
    """One line, by one write: lines of several processes never mix. Without PROVISIONING_EVENTS nothing happens."""
    path = os.environ.get("PROVISIONING_EVENTS")
    if path:
        line = json.dumps(clean(event)).encode() + b"\n"
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with contextlib.closing(os.fdopen(descriptor, "wb", buffering=0)) as file:
            file.write(line)
