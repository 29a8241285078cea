"""Where operations are looked up: those that were named, else the workspace's own and those shipped with the core."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import NotFoundError
from ..library import library_root, nu_library_root
from ..settings import WORKSPACE_FILE, Settings


def library_roots(settings: Settings, *, nu: bool = False) -> list[Path]:
    """In the order in which they are asked. Raises NotFoundError for a directory that is not there.

    nu: the shipped library in Nushell, where none is named.
    """
    given = settings.library()
    if given is None or nu:
        own = Path(settings.workspace().value).absolute() / "library"
        return [*([own] if _is_workspaces(own) else []), nu_library_root() if nu else library_root()]
    roots = [Path(part).absolute() for part in given.value.split(os.pathsep) if part]
    for root in roots:
        if not root.is_dir():
            raise NotFoundError(f"the library {root} (from {given.origin}) is no directory", code="no_library")
    return roots


def layer_of(settings: Settings, root: Path) -> str:
    """`workspace`, `built-in`, or the path of what was named."""
    if root in (library_root(), nu_library_root()):
        return "built-in"
    return "workspace" if root == Path(settings.workspace().value).absolute() / "library" else str(root)


def _is_workspaces(library: Path) -> bool:
    return library.is_dir() and (library.parent / WORKSPACE_FILE).is_file()
