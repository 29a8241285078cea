"""Operations by name, in libraries: `servers/create` is create.py, create.nu or an executable `create` below a root.

Of several libraries the first that holds the operation counts; the same operation twice in one library is an error.
The cases are in contract/examples/library.json, which the orchestrator obeys too.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from .errors import NotFoundError, UsageError
from .yamlfile import shown

NAME = re.compile(r"[a-z][a-z0-9-]{0,62}(/[a-z][a-z0-9-]{0,62}){0,15}")
SUFFIXES = (".py", ".nu", "")
TIMEOUT_DEFAULT_S = 300.0
OPERATIONS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Operation:
    """name: as called. file: what is run; its suffix says by what. timeout_s: its sidecar's, else the default."""

    name: str
    file: Path
    timeout_s: float = TIMEOUT_DEFAULT_S

    def command(self, python: str, nu: str) -> list[str]:
        """The argv that runs it; data never goes there."""
        return {
            ".py": [python, "-P", str(self.file)],
            ".nu": [nu, "--no-config-file", "--stdin", str(self.file)],
        }.get(self.file.suffix, [str(self.file)])


def _nu() -> str:
    return shutil.which("nu") or "nu"


@dataclass(frozen=True, slots=True)
class Interpreters:
    """What runs .py and .nu operations; a bare name is looked up on PATH."""

    python: str = sys.executable
    nu: str = field(default_factory=_nu)


def library_root() -> Path:
    """The shipped operations in Python."""
    return _shipped("library")


def nu_library_root() -> Path:
    """The shipped operations in Nushell; the same names, params, results and keys."""
    return _shipped("library-nu")


def find_operation(roots: Sequence[Path], name: str) -> Operation:
    """Raises NotFoundError (`unknown_operation`, with the nearest names), UsageError (`ambiguous_operation`)."""
    if NAME.fullmatch(name):
        for root in roots:
            found = [file for suffix in SUFFIXES if (file := executable_in(root, name, suffix)) is not None]
            if len(found) > 1:
                raise UsageError(
                    f"operation {shown(name)} is in one library twice: {' and '.join(str(file) for file in found)}",
                    code="ambiguous_operation",
                    hint="remove or rename one of the two",
                )
            if found:
                return Operation(name, found[0], _timeout_s(found[0]))
    close = get_close_matches(name[:200], list_operations(roots), n=3)
    hint = f"did you mean {', '.join(close)}?" if close else "names look like servers/create"
    raise NotFoundError(f"no operation {shown(name)} in any library", code="unknown_operation", hint=hint)


def list_operations(roots: Sequence[Path]) -> list[str]:
    """The names of all operations, sorted."""
    names: set[str] = set()
    for root in roots:
        for directory, _, files in os.walk(root):
            for file in files:
                path = Path(directory, file)
                name = path.relative_to(root).as_posix()
                stem = name[:-3] if path.suffix in (".py", ".nu") else name
                if NAME.fullmatch(stem) and executable_in(root, stem, name[len(stem) :]) is not None:
                    names.add(stem)
            if len(names) > OPERATIONS_MAX:
                break
    return sorted(names)


def executable_in(root: Path, name: str, suffix: str) -> Path | None:
    """The file of that name, where it lies in there and can be run: by what its suffix says, or by itself."""
    file = root / f"{name}{suffix}"
    try:
        if not file.is_file() or not file.resolve().is_relative_to(root.resolve()):
            return None
    except OSError:  # a loop of links, a directory that may not be entered
        return None
    return file if suffix or os.access(file, os.X_OK) else None


def _timeout_s(file: Path) -> float:
    timeout_s = sidecar_of(file).get("timeout_s", TIMEOUT_DEFAULT_S)
    if isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float) or not timeout_s > 0:
        raise UsageError(f"{file.with_suffix('.toml')}: timeout_s is {shown(timeout_s)}; a number above 0 is expected")
    return float(timeout_s)


def sidecar_of(file: Path) -> Mapping[str, Any]:
    """What stands beside an operation's file, {} for nothing. Raises UsageError (`bad_sidecar`)."""
    sidecar = file.with_name(file.name.removesuffix(file.suffix) + ".toml")
    try:
        return tomllib.loads(sidecar.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {sidecar}: {error}", code="bad_sidecar") from error


def _shipped(name: str) -> Path:
    inside = Path(__file__).parent / name  # a wheel carries its own copy; a checkout has them beside src/
    return inside if inside.is_dir() else Path(__file__).parents[2] / name
