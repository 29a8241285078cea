"""A new workspace: its files, all of them or none.

What is there is never overwritten. A directory that does not exist is built beside its place and renamed into it, so
that it is there whole or not at all, whenever this is killed. Into a directory that exists, whose name a shell may be
standing in, the files go one by one, `provisioning.yaml` last: it makes a workspace of it. After a kill the same again
goes on; after an error what was put there is taken away.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import ConflictError, NotFoundError, ProvisioningError, UsageError
from ..names import LABEL, LABEL_WORDS, PROVIDER
from ..yamlfile import shown, suggestion

WORKSPACE_FILE = "provisioning.yaml"
LAYOUTS = Path(__file__).parent / "layouts"
DOT = "dot."  # a file that begins with it in a layout begins with a dot in the workspace
ID_BYTES = 3


def layouts() -> list[str]:
    return sorted(path.name for path in LAYOUTS.iterdir() if path.is_dir())


def found_workspace(directory: Path, layout: str = "wuji-like", *, name: str | None, provider: str = "local") -> str:
    """Make it, and return its name. directory: absolute. name: None: made of the directory's.

    Raises ConflictError where something is in the way, UsageError, NotFoundError (layout, parent).
    """
    if layout not in layouts():
        known = layouts()
        raise NotFoundError(
            f"no template {shown(layout)} of a workspace.{suggestion(layout, known)}".removesuffix("."),
            code="unknown_template",
            hint=f"there are: {', '.join(known)}",
        )
    own = name or re.sub(r"[^a-z0-9]+", "-", directory.name.lower())[:63].strip("-")
    if not LABEL.fullmatch(own):
        raise UsageError(
            f"{shown(own)} is not a name for a workspace", code="bad_name", hint=f"accepted: {LABEL_WORDS}; say --name"
        )
    if not PROVIDER.fullmatch(provider):
        raise UsageError(f"{shown(provider)} is not the name of a provider", code="bad_name")
    # Two people's workspaces of one name in one account must not find each other's servers.
    id = f"{own[:50].rstrip('-')}-{secrets.token_hex(ID_BYTES)}"
    files = _files(layout, {"name": own, "id": id, "provider": provider})
    try:
        if os.path.lexists(directory):
            _fill(directory, files)
        else:
            _build(directory, files)
    except OSError as error:
        raise ProvisioningError(f"cannot make {error.filename}: {error.strerror}", code="init_failed") from error
    return own


def _files(layout: str, values: Mapping[str, str]) -> dict[str, str]:
    """By path below the workspace; the file that makes it one comes last."""
    root = LAYOUTS / layout
    files = {}
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        relative = path.relative_to(root)
        name = relative.name.removeprefix(DOT)
        text = path.read_text("utf-8")
        for key, value in values.items():
            text = text.replace(f"@{key}@", value)
        files[str(relative.with_name(f".{name}" if name != relative.name else name))] = text
    files[WORKSPACE_FILE] = files.pop(WORKSPACE_FILE)
    return files


def _build(directory: Path, files: Mapping[str, str]) -> None:
    parent = directory.parent
    if not parent.is_dir():
        raise NotFoundError(f"there is no directory {parent}", code="no_directory", hint=f"mkdir -p {parent}")
    stage = parent / f".{directory.name}.init"
    with _held(stage):
        for path in list(stage.iterdir()):  # of one that was killed
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        try:
            (stage / "infra").mkdir()
            for name, text in files.items():
                (stage / name).parent.mkdir(parents=True, exist_ok=True)
                _write(stage / name, text)
            _sync(stage)
            if os.path.lexists(directory):
                raise ConflictError(f"{directory} was made by somebody else meanwhile", code="in_the_way")
            stage.rename(directory)
        except BaseException:
            shutil.rmtree(stage, ignore_errors=True)
            raise
    _sync(parent)


@contextlib.contextmanager
def _held(stage: Path) -> Iterator[None]:
    """The directory, made and locked: two at once would mix their files."""
    stage.mkdir(exist_ok=True)
    lock = os.open(stage, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConflictError(f"somebody else is making {stage} this moment", code="in_the_way") from None
        yield
    finally:
        os.close(lock)


def _fill(directory: Path, files: Mapping[str, str]) -> None:
    if not directory.is_dir():
        raise ConflictError(f"{directory} is there, and is no directory", code="in_the_way")
    if os.path.lexists(directory / WORKSPACE_FILE):
        raise ConflictError(
            f"{directory} is a workspace already",
            code="in_the_way",
            hint=f"provisioning workspace switch {directory}",
        )
    conflicts = [name for name, text in files.items() if _differs(directory / name, text)]
    if conflicts:
        raise ConflictError(
            f"{directory} has {', '.join(conflicts)} already, and nothing is overwritten",
            code="in_the_way",
            hint="name a directory that does not exist, or use `--template empty`",
        )
    made: list[Path] = []
    with _held(directory):
        try:
            for path in (directory / "infra", *(directory / name for name in files)):
                for parent in reversed(path.relative_to(directory).parents[:-1]):
                    _make_directory(directory / parent, made)
                if path.name == "infra":
                    _make_directory(path, made)
                elif not path.exists():
                    _place(path, files[str(path.relative_to(directory))])
                    made.append(path)
            _sync(directory)
        except BaseException:
            for path in reversed(made):
                with contextlib.suppress(OSError):
                    path.rmdir() if path.is_dir() else path.unlink()
            raise


def _make_directory(path: Path, made: list[Path]) -> None:
    if not path.is_dir():
        path.mkdir()
        made.append(path)


def _differs(path: Path, text: str) -> bool:
    """It is there, and is not what we would write."""
    if not os.path.lexists(path):
        return False
    try:
        return path.is_symlink() or path.read_text("utf-8") != text
    except (OSError, ValueError):
        return True


def _place(path: Path, text: str) -> None:
    """Whole or not at all, and never over what somebody else put there meanwhile."""
    part = path.with_name(f".{path.name.removeprefix('.')}.init")
    part.unlink(missing_ok=True)
    _write(part, text)
    try:
        path.hardlink_to(part)
    finally:
        part.unlink()


def _write(path: Path, text: str) -> None:
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
