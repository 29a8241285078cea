"""The workspaces that a user has registered, and the active one: one JSON file, written whole or not at all.

    {"active": "wuji" or null, "workspaces": [{"name": "wuji", "path": "/home/you/wuji"}]}

The active one is used where there is no workspace upwards from here. Two processes at once: one after the other, by a
lock that ends with its process.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import ConflictError, NotFoundError, UsageError
from ..yamlfile import shown, suggestion

ENTRIES_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Entry:
    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Content:
    """entries: in the order in which they were registered; names and paths are unique."""

    entries: tuple[Entry, ...] = ()
    active: str | None = None


class Registry:
    def __init__(self, file: Path) -> None:
        self._file = file

    def read(self) -> Content:
        """Raises UsageError where the file is not what it should be."""
        try:
            data = self._file.read_bytes()
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return Content()
        try:
            return _content(json.loads(data))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(
                f"{self._file} is not a list of workspaces: {error}",
                code="bad_registry",
                hint="remove the file, and register each with `provisioning workspace switch DIR`",
            ) from error

    def active(self) -> Entry | None:
        content = self.read()
        return next((entry for entry in content.entries if entry.name == content.active), None)

    def register(self, name: str, path: Path, *, activate: bool = False) -> None:
        """Raises ConflictError where another directory has that name. The same again changes nothing."""

        def change(content: Content) -> Content:
            other = next((each for each in content.entries if each.name == name and each.path != path), None)
            if other is not None and (other.path / "provisioning.yaml").is_file():
                raise ConflictError(
                    f"the name {shown(name)} is taken by the workspace {other.path}",
                    code="name_taken",
                    hint="give one of them another `name` in its provisioning.yaml",
                )
            if Entry(name, path) in content.entries:
                entries = content.entries
            else:  # a directory that got another name, or a name whose directory is gone, gives way
                entries = tuple(each for each in content.entries if name != each.name and path != each.path)
                entries = (*entries, Entry(name, path))
            if len(entries) > ENTRIES_MAX:
                raise UsageError(f"more than {ENTRIES_MAX} workspaces are registered", code="too_many")
            return Content(entries, name if activate else content.active)

        self._change(change)

    def switch(self, name: str) -> Entry:
        """Make it the active one. Raises NotFoundError."""
        found: list[Entry] = []

        def change(content: Content) -> Content:
            found.extend(each for each in content.entries if each.name == name)
            if not found:
                names = [each.name for each in content.entries]
                raise NotFoundError(
                    f"no workspace {shown(name)} is registered",
                    code="unknown_workspace",
                    hint=f"registered: {', '.join(names) or 'none'}.{suggestion(name, names)} "
                    "A directory is registered by `provisioning workspace switch DIR`",
                )
            return replace(content, active=name)

        self._change(change)
        return found[0]

    def _change(self, change: Callable[[Content], Content]) -> None:
        with self._locked():
            before = self.read()
            after = change(before)
            if after != before:
                self._write(after)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Not the file itself: it is replaced, and a lock on what was replaced keeps nobody out.
        lock = os.open(self._file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _write(self, content: Content) -> None:
        entries = [{"name": each.name, "path": str(each.path)} for each in content.entries]
        part = self._file.with_suffix(".part")  # under the lock: a killed writer's is overwritten by the next
        with part.open("w", encoding="utf-8") as file:
            json.dump({"active": content.active, "workspaces": entries}, file, indent=1, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._file)


def _content(document: dict[str, Any]) -> Content:
    entries = [Entry(str(each["name"]), Path(each["path"])) for each in document["workspaces"]]
    active = document.get("active")
    return Content(tuple(entries), active if isinstance(active, str) else None)
