"""Where taskservs are found: the infra's own, then the workspace's, then the built-in ones. The first one counts.

<workspace>/infra/<infra>/taskservs/NAME    <workspace>/taskservs/NAME    shipped with this package
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from ..errors import NotFoundError, UsageError
from ..names import LABEL, LABEL_WORDS
from ..workspace import Workspace
from ..yamlfile import shown, suggestion
from .manifest import MANIFEST, Manifest, read_manifest

Layer = Literal["infra", "workspace", "built-in"]
FILES_MAX = 1000
BYTES_MAX = 64 * 1024 * 1024
_NOT_INSTALLED = ("README.md", "test.yaml")


@dataclass(frozen=True)
class Taskserv:
    """A folder. hidden: the layers further down that have one of this name too, and do not count."""

    name: str
    layer: Layer
    folder: Path
    shown_as: str
    hidden: tuple[Layer, ...] = ()

    @cached_property
    def manifest(self) -> Manifest:
        """Raises DefinitionErrors."""
        return read_manifest(self.folder, self.shown_as)

    @cached_property
    def digest(self) -> str:
        """Of all files that installing may read: another one means that what is there was made by another folder.

        Raises UsageError.
        """
        digest = hashlib.sha256()
        size = 0
        for path in sorted(_files(self.folder)):
            size += path.stat().st_size
            if size > BYTES_MAX:
                raise UsageError(
                    f"the taskserv {self.folder} has more than {BYTES_MAX} bytes", code="taskserv_too_large"
                )
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(self.folder).as_posix()}\0{content}\n".encode())
        return digest.hexdigest()

    @property
    def signature(self) -> str:
        """The digest as plans and the inventory keep it: `sha256:…`. Raises UsageError."""
        return f"sha256:{self.digest}"


def find_taskserv(workspace: Workspace | None, infra: str | None, name: str) -> Taskserv:
    """workspace: None: of the built-in ones. Raises UsageError for what is no name, NotFoundError with the nearest."""
    if not LABEL.fullmatch(name):
        raise UsageError(
            f"{shown(name)} is not the name of a taskserv", code="bad_name", hint=f"accepted: {LABEL_WORDS}"
        )
    found = [each for each in all_taskservs(workspace, infra) if each.name == name]
    if found:
        return found[0]
    known = [each.name for each in all_taskservs(workspace, infra)]
    raise NotFoundError(
        f"no taskserv {shown(name)}.{suggestion(name, known)}".removesuffix("."),
        code="unknown_taskserv",
        hint=f"there are: {', '.join(known)}; a new one: provisioning taskserv generate {name}",
    )


def all_taskservs(workspace: Workspace | None, infra: str | None = None) -> list[Taskserv]:
    """By name; of several of one name the one that counts. workspace: None: the built-in ones alone. infra: whose own
    ones are looked at as well."""
    found: dict[str, list[tuple[Layer, Path]]] = {}
    for layer, root in layers(workspace, infra):
        for folder in sorted(root.iterdir()) if root.is_dir() else ():
            if LABEL.fullmatch(folder.name) and (folder / MANIFEST).is_file():
                found.setdefault(folder.name, []).append((layer, folder))
    taskservs = []
    for name, places in sorted(found.items()):
        layer, folder = places[0]
        hidden = tuple(lower for lower, _ in places[1:])
        taskservs.append(Taskserv(name, layer, folder, _shown(workspace, folder), hidden))
    return taskservs


def layers(workspace: Workspace | None, infra: str | None) -> list[tuple[Layer, Path]]:
    """The roots, those that count more first; each may not be there."""
    if workspace is None:
        return [("built-in", builtin_root())]
    own: list[tuple[Layer, Path]] = [("infra", workspace.path / "infra" / infra / "taskservs")] if infra else []
    return [*own, ("workspace", workspace.path / "taskservs"), ("built-in", builtin_root())]


def builtin_root() -> Path:
    """The shipped taskservs."""
    inside = Path(__file__).parent / "builtin"  # a wheel carries its own copy; a checkout has them beside src/
    return inside if inside.is_dir() else Path(__file__).parents[3] / "taskservs"


def _shown(workspace: Workspace | None, folder: Path) -> str:
    manifest = folder / MANIFEST
    if workspace is not None and manifest.is_relative_to(workspace.path):
        return manifest.relative_to(workspace.path).as_posix()
    return f"(built-in) {folder.name}/{MANIFEST}"


def _files(folder: Path) -> Iterator[Path]:
    for count, path in enumerate(folder.rglob("*")):
        if count > FILES_MAX:
            raise UsageError(f"the taskserv {folder} has more than {FILES_MAX} files", code="taskserv_too_large")
        if path.is_file() and "__pycache__" not in path.parts and path.name not in _NOT_INSTALLED:
            yield path
