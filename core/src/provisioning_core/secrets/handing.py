"""Direct mode's part of handing secrets to an attempt, and of keeping nothing of them; the runner does it with more
promises.

Everything that the operation writes goes into memory, and what is kept is made of it when it has ended. Should this
process be killed, memory is all that it leaves; the next attempt with secrets removes that.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .named import SecretUnavailable, resolve_all
from .private import private_directory
from .redaction import Redactor
from .reference import SCHEME, name_of, references_in

NAMES_MAX = 256


@dataclass(frozen=True, slots=True)
class Handed:
    """redactor: of the values. descriptor: what the operation inherits. output: where it writes its log.
    private: the directory of its result and events, and of `own`, which it may use as it likes."""

    redactor: Redactor
    descriptor: int
    output: int
    private: Path

    def environment(self) -> dict[str, str]:
        return {
            "PROVISIONING_SECRETS": f"/dev/fd/{self.descriptor}",
            "PROVISIONING_RESULT": str(self.private / "result"),
            "PROVISIONING_EVENTS": str(self.private / "events"),
            "PROVISIONING_PRIVATE": str(self.private / "own"),
        }

    def log(self) -> bytes:
        """What it has written so far, without the secrets."""
        size = os.fstat(self.output).st_size
        return self.redactor.end(os.pread(self.output, size, 0))


@contextmanager
def handed(params: Any, environ: Mapping[str, str] = os.environ) -> Iterator[Handed | None]:
    """None where the parameters refer to no secret. Raises SecretUnavailable, naming each that cannot be had."""
    names = [name_of(reference) for reference in references_in(params)]
    if not names:
        yield None
        return
    if len(names) > NAMES_MAX:
        raise SecretUnavailable(f"it refers to {len(names)} secrets; at most {NAMES_MAX} are given to one task")
    values = _values(names, environ)
    with private_directory() as private, _anonymous(private, "secrets") as descriptor:
        (private / "own").mkdir(mode=0o700)
        os.write(descriptor, json.dumps(values, ensure_ascii=False).encode() + b"\n")
        os.lseek(descriptor, 0, os.SEEK_SET)
        with _anonymous(private, "output") as output:
            fcntl.fcntl(output, fcntl.F_SETFL, fcntl.fcntl(output, fcntl.F_GETFL) | os.O_APPEND)
            yield Handed(Redactor(values), descriptor, output, private)


def _values(names: list[str], environ: Mapping[str, str]) -> dict[str, str]:
    answer = resolve_all(names, environ)
    failures = answer["failures"]
    if failures:
        message = "; ".join(failure["message"] for failure in failures.values())
        raise SecretUnavailable(message, retryable=all(failure["retryable"] for failure in failures.values()))
    missing = [name for name in names if name not in answer["secrets"]]
    if missing:
        raise SecretUnavailable("; ".join(f"{SCHEME}{name}: there is no such secret" for name in missing))
    values: dict[str, str] = answer["secrets"]
    return values


@contextmanager
def _anonymous(private: Path, name: str) -> Iterator[int]:
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create(name, os.MFD_CLOEXEC)
    else:
        path = private / f".{name}"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        path.unlink()
    try:
        yield fd
    finally:
        os.close(fd)
