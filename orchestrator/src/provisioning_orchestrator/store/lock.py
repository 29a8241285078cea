"""One owner per data directory.

The owner holds `flock` on DATA/lock for as long as it lives; the kernel lets go of it when the last process that has
the descriptor is gone, so there is never a stale lock to remove. The file itself stays. What is written in it (the pid)
is information for people and decides nothing.

The descriptor is close-on-exec. A helper that is forked *without* exec must close it (`fileno()`) or be forked before:
it would own the directory beyond the daemon's death.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from provisioning_orchestrator.ports import OrchestratorError

LOCK_NAME = "lock"


class DataDirInUse(OrchestratorError):
    """Another process owns the data directory. pid: as it wrote it down, None where it did not."""

    def __init__(self, data_dir: Path, pid: int | None) -> None:
        who = f"process {pid}" if pid else "another process"
        super().__init__(
            f"cannot use the data directory {str(data_dir)!r}: {who} owns it; stop that one or choose another directory"
        )
        self.data_dir = data_dir
        self.pid = pid


class DataDirLock:
    """The right to use a data directory; ends with `close()` or with the process."""

    def __init__(self, data_dir: Path, descriptor: int) -> None:
        self.data_dir = data_dir
        self._descriptor: int | None = descriptor

    def fileno(self) -> int:
        if self._descriptor is None:
            raise ValueError("the lock was given back")
        return self._descriptor

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)  # never LOCK_UN: it would release every copy of the descriptor
            self._descriptor = None

    def __enter__(self) -> DataDirLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def lock_data_dir(data_dir: Path) -> DataDirLock:
    """Make the directory where it is missing (0700) and become its owner. Raises DataDirInUse, OSError."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = data_dir / LOCK_NAME
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still_there(path, descriptor):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
                return DataDirLock(data_dir, descriptor)
        except BlockingIOError:
            pid = os.pread(descriptor, 20, 0).strip()
            os.close(descriptor)
            raise DataDirInUse(data_dir, int(pid) if pid.isdigit() else None) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # somebody removed the file between open and lock: a lock on it would bind nobody


def _is_still_there(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
