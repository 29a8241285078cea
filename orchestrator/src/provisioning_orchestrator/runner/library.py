"""Operations as files: `servers/create` is `create.py`, `create.nu` or an executable `create` in `servers/` of a root.

A name has one segment or more (`play`, `clusters/k8s/nodes/add`); only `POST /workflows/{resource}/{action}` wants two.
The cases are in contract/examples/library.json, which the core's direct mode obeys too.

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
SEGMENTS_MAX = 16
OPERATIONS_MAX = 10_000
_SEGMENT = re.compile(r"[a-z][a-z0-9-]{0,62}")
_NAME = re.compile(rf"{_SEGMENT.pattern}(/{_SEGMENT.pattern}){{0,{SEGMENTS_MAX - 1}}}")
_Mark = tuple[int, int, int, int] | None


class BrokenLibrary(OrchestratorError):
    """A library's directory is not one."""


class OutsideLibrary(UnknownOperation):
    """The operation is a link that leads out of its library."""

    def __init__(self, operation: str, file: str, root: str) -> None:
        super().__init__(operation)
        self.args = (f"operation {operation!r}: {file} leads out of the library {root}, and only what is in it is run",)


class NotExecutable(UnknownOperation):
    """There is a file of that name, but nothing says how to run it."""

    def __init__(self, operation: str, file: str) -> None:
        super().__init__(operation)
        self.args = (f"operation {operation!r}: {file} is not executable; 'chmod +x' it, or name it .py or .nu",)


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
        """At most OPERATIONS_MAX."""
        found: set[str] = set()
        for root in self._roots:
            for directory, directories, files in os.walk(root):
                within = directory[len(root) + 1 :] + "/" if directory != root else ""
                deep = within.count("/") >= SEGMENTS_MAX - 1
                directories[:] = [] if deep else [name for name in directories if _SEGMENT.fullmatch(name)]
                for name in files:
                    stem = name.removesuffix(".py").removesuffix(".nu")
                    if _SEGMENT.fullmatch(stem) and (stem != name or os.access(f"{directory}/{name}", os.X_OK)):
                        found.add(within + stem)
                if len(found) > OPERATIONS_MAX:
                    break
        return sorted(found)[:OPERATIONS_MAX]

    def _look(self, operation: str) -> _Known:
        known = self._known.get(operation)
        if known is None or known.marks != tuple(map(_mark, known.watched)):
            self._known.pop(operation, None)
            known = self._known[operation] = self._read(operation)
        return known

    def _read(self, operation: str) -> _Known:
        if not _NAME.fullmatch(operation):
            raise self._unknown(operation)
        watched: list[str] = []
        barred = None  # what would be meant if it could be executed
        for root in self._roots:
            plain = f"{root}/{operation}"
            watched += [os.path.dirname(plain), plain]  # noqa: PTH120
            candidates = [f"{plain}{suffix}" for suffix in SUFFIXES]
            files = [file for file in candidates if os.path.isfile(file)]  # noqa: PTH113
            if plain in files and not os.access(plain, os.X_OK):
                files.remove(plain)
                barred = barred or plain
            if len(files) > 1:
                raise AmbiguousOperation(
                    f"operation {operation!r} is in the library {root} more than once: {' and '.join(files)}; keep one"
                )
            if files:
                return self._describe(operation, root, files[0], f"{plain}.toml", watched)
        raise NotExecutable(operation, barred) if barred is not None else self._unknown(operation)

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
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_mode
