"""Operations as files: `servers/create` is `create.py`, `create.nu` or an executable `create` in `servers/` of a root.

The first root that has an operation wins, so that a workspace's own library can come before the shipped one. Within one
root it must be one file. What was read is kept as long as the file's time, size and inode, and its directory's, are the
same: an edit counts from the next look on, and a look that finds no change costs a few microseconds.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from provisioning_orchestrator.ports import AmbiguousOperation, Operation, OrchestratorError, UnknownOperation

from .sidecar import Sidecar, parse_sidecar

SUFFIXES = (".py", ".nu", "")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_Mark = tuple[int, int, int] | None


class BrokenLibrary(OrchestratorError):
    """A library's directory is not one."""


class OutsideLibrary(UnknownOperation):
    """The operation is a link that leads out of its library."""

    def __init__(self, operation: str, file: str, root: str) -> None:
        super().__init__(operation)
        self.args = (f"operation {operation!r}: {file} leads out of the library {root}, and only what is in it is run",)


@dataclass(frozen=True, slots=True)
class _Known:
    operation: Operation
    file: str
    watched: tuple[str, ...]
    marks: tuple[_Mark, ...]


class LibraryFiles:
    """The port `Library` over directories. Raises BrokenLibrary where a root is no directory."""

    def __init__(self, roots: Sequence[Path]) -> None:
        for root in roots:
            if not root.is_dir():
                raise BrokenLibrary(f"opening the library {str(root)!r}: there is no such directory")
        self._roots = [str(root.resolve()) for root in roots]
        self._known: dict[str, _Known] = {}

    def describe(self, operation: str) -> Operation:
        """Also raises BrokenSidecar."""
        return self._look(operation).operation

    def locate(self, operation: str) -> str:
        """The operation's file, absolute. Raises as describe does."""
        return self._look(operation).file

    def operations(self) -> list[str]:
        found = set()
        for root in self._roots:
            for resource in _names(root, directories=True):
                for name in _names(f"{root}/{resource}", directories=False):
                    stem = name.removesuffix(".py").removesuffix(".nu")
                    if _NAME.fullmatch(stem):
                        found.add(f"{resource}/{stem}")
        return sorted(found)

    def _look(self, operation: str) -> _Known:
        known = self._known.get(operation)
        if known is None or known.marks != tuple(map(_mark, known.watched)):
            self._known.pop(operation, None)
            known = self._known[operation] = self._read(operation)
        return known

    def _read(self, operation: str) -> _Known:
        resource, slash, action = operation.partition("/")
        if not (slash and _NAME.fullmatch(resource) and _NAME.fullmatch(action)):
            raise self._unknown(operation)
        watched = []
        for root in self._roots:
            directory = f"{root}/{resource}"
            watched.append(directory)
            candidates = [f"{directory}/{action}{suffix}" for suffix in SUFFIXES]
            files = [file for file in candidates if os.path.isfile(file)]  # noqa: PTH113
            if len(files) > 1:
                raise AmbiguousOperation(
                    f"operation {operation!r} is in the library {root} more than once: {' and '.join(files)}; keep one"
                )
            if files:
                return self._describe(operation, root, files[0], f"{directory}/{action}.toml", watched)
        raise self._unknown(operation)

    def _describe(self, operation: str, root: str, file: str, sidecar: str, watched: list[str]) -> _Known:
        for path in (file, sidecar):
            if not Path(path).resolve().is_relative_to(root):
                raise OutsideLibrary(operation, path, root)
        # Marks first: what changes while it is read is read again at the next look.
        paths = (*watched, file, sidecar)
        marks = tuple(map(_mark, paths))
        try:
            code = Path(file).read_bytes()
            said = Path(sidecar).read_bytes() if marks[-1] is not None else b""
        except FileNotFoundError:
            raise self._unknown(operation) from None
        says = parse_sidecar(sidecar, said) if marks[-1] is not None else Sidecar()
        digest = hashlib.sha256(b"%d\0%b%b" % (len(code), code, said)).hexdigest()
        described = Operation(operation, digest, says.repeatable, says.timeout_s, says.retry, says.params)
        return _Known(described, file, paths, marks)

    def _unknown(self, operation: str) -> UnknownOperation:
        return UnknownOperation(operation, get_close_matches(operation, self.operations(), n=3))


def _mark(path: str) -> _Mark:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _names(directory: str, directories: bool) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            return [e.name for e in entries if (e.is_dir() and _NAME.fullmatch(e.name) if directories else e.is_file())]
    except OSError:
        return []
