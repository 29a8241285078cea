"""Where things are kept, and files that only their owner may read."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ..errors import UsageError


def config_dir(environ: Mapping[str, str]) -> Path:
    """$XDG_CONFIG_HOME/provisioning, by default below ~/.config. Relative values count as none, as XDG says."""
    base = environ.get("XDG_CONFIG_HOME") or ""
    home = Path(environ.get("HOME") or "~").expanduser()
    return (Path(base) if base.startswith("/") else home / ".config") / "provisioning"


def read_private(path: Path) -> bytes | None:
    """All of the file, None where there is none. Raises UsageError where others could read or change it, or where it
    is somebody else's: what is in it may be known, or not ours."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", code="bad_secrets_file") from None
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{path} is not a file", code="bad_secrets_file")
        if status.st_uid != os.geteuid():
            raise UsageError(
                f"{path} belongs to another user (uid {status.st_uid}), not to us (uid {os.geteuid()}): it is not used",
                code="unsafe_secrets_file",
            )
        if status.st_mode & 0o077:
            raise UsageError(
                f"{path} can be read by others (mode {stat.S_IMODE(status.st_mode):04o}): it is not used",
                code="unsafe_secrets_file",
                hint=f"chmod 600 {path}",
            )
        return file.read()


def write_private(path: Path, content: bytes) -> None:
    """The file with this content, 0600, whole or as it was, on the disk when this returns."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            os.fchmod(fd, 0o600)
            file.write(content)
            file.flush()
            os.fsync(fd)
        part.replace(path.resolve())
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def changing(path: Path) -> Iterator[None]:
    """Alone while the file is read and written again. What a killed writer left behind is removed."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)  # It ends with this process, however that ends.
        for left in path.parent.glob(f".{path.name}.*.part"):
            left.unlink(missing_ok=True)
        yield
    finally:
        os.close(fd)
