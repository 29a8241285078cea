"""Directories for a while: gone at the end with the local machines in them, or swept when their owner was killed."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = "lock"


@contextmanager
def throwaway(prefix: str, machines: str = ".") -> Iterator[Path]:
    """A new directory of that prefix. machines: where in it the provider `local` keeps its machines.

    It is locked as long as its owner lives; before, what killed owners have left under the same prefix is removed.
    """
    sweep(prefix, machines)
    path = Path(tempfile.mkdtemp(prefix=prefix))
    with (path / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield path
        finally:
            _remove(path, machines)


def sweep(prefix: str, machines: str = ".") -> None:
    """Remove what killed owners have left under that prefix."""
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        _sweep(left, machines)


def _sweep(path: Path, machines: str) -> None:
    try:
        with (path / LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(path, machines)
    except OSError:
        pass  # Somebody's who lives, or another user's.


def _remove(path: Path, machines: str) -> None:
    from .providers.local import destroy

    if (path / machines).is_dir():
        destroy(path / machines)
    shutil.rmtree(path, ignore_errors=True)
