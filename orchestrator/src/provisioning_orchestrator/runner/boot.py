"""Which boot of the machine this is, and whether attempts of an earlier one may still be asked about.

What was written shortly before a power cut may be gone, also a whole state file. So after a restart of the machine a
missing file proves nothing until every attempt of the time before has been asked about: `recovered` writes that down.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .files import sync_directory


@dataclass(frozen=True, slots=True)
class Boot:
    """id: of this boot. doubtful: missing files prove nothing. sync: the files of attempts reach the disk in time."""

    id: str
    doubtful: bool
    sync: bool


def open_boot(path: Path, id: str, sync: bool, fresh: bool) -> Boot:
    """fresh: there are no attempts yet, of whatever boot. Raises OSError."""
    if fresh:
        recovered(path, id)
    try:
        return Boot(id, path.read_text() != id, sync)
    except FileNotFoundError:
        return Boot(id, True, sync)


def recovered(path: Path, id: str) -> Boot:
    """All attempts of earlier boots are dealt with. Raises OSError."""
    new = path.with_suffix(".new")
    with new.open("w") as file:
        file.write(id)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync_directory(str(path.parent))
    return Boot(id, False, False)
