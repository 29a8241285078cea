"""Directories in memory, for files that hold a secret: no disk ever has them."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from .named import SecretUnavailable

VARIABLE = "PROVISIONING_PRIVATE"
_MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of our own in it, 0700
_TRIES = 20
_PREFIX = "provisioning-attempt-"


@contextmanager
def scratch(environ: Mapping[str, str] = os.environ) -> Iterator[Path]:
    """For an operation: the directory that its runner gave it, which is gone after a kill too; by hand, a new one.

    What is in it is removed afterwards. Raises SecretUnavailable.
    """
    if VARIABLE not in environ:
        with private_directory() as directory:
            yield directory
        return
    directory = Path(tempfile.mkdtemp(dir=environ[VARIABLE]))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def private_directory() -> Iterator[Path]:
    """A new one, 0700, removed afterwards: ours as long as its lock is held, which ends with this process.

    What a killed process left, the next one removes. Raises SecretUnavailable.
    """
    root = _root()
    _remove_abandoned(root)
    private, fd = _locked(root)
    try:
        yield private
    finally:
        shutil.rmtree(private, ignore_errors=True)
        os.close(fd)


def _locked(root: Path) -> tuple[Path, int]:
    for _ in range(_TRIES):
        private = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
        try:
            fd = os.open(private, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # Another process took it for abandoned: it was not locked yet.
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:
            return private, fd
        os.close(fd)
    raise SecretUnavailable(f"no private directory can be made in {root}: each was removed at once", retryable=True)


def _root() -> Path:
    if not os.access(_MEMORY, os.W_OK | os.X_OK):
        return Path(tempfile.gettempdir())
    root = _MEMORY / f"provisioning-{os.geteuid()}"
    try:
        root.mkdir(mode=0o700, exist_ok=True)
        status = root.lstat()
    except OSError as error:
        raise SecretUnavailable(f"no private directory can be made at {root}: {error.strerror}") from None
    if not root.is_dir() or root.is_symlink() or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise SecretUnavailable(f"{root} is not a directory of ours alone, and it is needed for what is not to be kept")
    return root


def _remove_abandoned(root: Path) -> None:
    for left in root.glob(_PREFIX + "*"):
        try:
            fd = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
        except OSError:
            pass  # Somebody works in it.
        finally:
            os.close(fd)
