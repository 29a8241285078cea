"""The token that opens the API: made at the first start, kept in a file that only its owner reads.

The gate knows its SHA-256 only. Removing the file makes a new token at the next start.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
from pathlib import Path

PREFIX = "prv_"
FILE_NAME = "token"
_TOKEN = re.compile(rb"prv_[A-Za-z0-9_-]{20,200}")


class BadTokenFile(Exception):
    """The token's file can't be used. The text says why and what to do."""


class Token:
    """What the gate compares with. hash: SHA-256, hex. file: where clients of this machine read the token."""

    def __init__(self, hash: str, file: Path) -> None:
        self.hash = hash
        self.file = file

    def fits(self, presented: bytes) -> bool:
        return hmac.compare_digest(hash_of(presented), self.hash)


def hash_of(token: bytes) -> str:
    return hashlib.sha256(token).hexdigest()


def open_token(data_dir: Path) -> Token:
    """The token of the data directory, made where there is none. Raises BadTokenFile."""
    path = data_dir / FILE_NAME
    try:
        return Token(hash_of(_read(path)), path)
    except FileNotFoundError:
        token = (PREFIX + secrets.token_urlsafe(32)).encode()
        create_private(path, token + b"\n")
        return Token(hash_of(token), path)


def _read(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise BadTokenFile(
            f"the token file {path} can't be opened: {error.strerror}; remove it to get a new one"
        ) from error
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise BadTokenFile(f"the token file {path} is not a plain file of this user; remove it to get a new one")
        if found.st_mode & 0o077:
            raise BadTokenFile(
                f"the token file {path} can be read by others (mode {found.st_mode & 0o777:04o}); "
                "remove it to get a new token, or `chmod 600` it if nobody did"
            )
        token = file.read(4096).strip()
    if not _TOKEN.fullmatch(token):
        raise BadTokenFile(f"the token file {path} holds no token ({PREFIX}…); remove it to get a new one")
    return token


def create_private(path: Path, content: bytes) -> None:
    """Whole or not at all: a daemon that dies half-way leaves no file that the next one can't read."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    os.link(draft, path)
    draft.unlink()
