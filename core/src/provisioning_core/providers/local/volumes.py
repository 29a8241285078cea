"""The storages of a machine: directories of the host's disk beside the machine's own, mounted at /mnt/<name>.

They live and die with the machine, as its definition says. Their size is not enforced. At the level `process`, where
nothing can be mounted, there is a link to each in the machine's directory `mnt`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from .processes import LINUX
from .registry import Record
from .removal import remove_tree

if LINUX:
    from . import kernel

WHERE = "volumes"


def names(record: Record) -> list[str]:
    return sorted(each["name"] for each in record.spec.get("storages") or ())


def prepare(home: Path, record: Record) -> None:
    """Make those that are wished; remove those that are not any more, with what is in them. The machine is stopped."""
    place = home / WHERE
    place.mkdir(mode=0o700, exist_ok=True)
    wished = set(names(record))
    for there in place.iterdir():
        if there.name not in wished:
            gone = place / f".{secrets.token_hex(4)}"
            there.rename(gone)  # so that no half of it comes back
            remove_tree(gone)
    for name in sorted(wished):
        if not (place / name).exists():
            fresh = place / f".{secrets.token_hex(4)}"
            fresh.mkdir(mode=0o755)
            if record.first is not None:
                os.chown(fresh, record.first, record.first)
            fresh.rename(place / name)
    if not record.inside:
        _link(home / "disk/mnt", place, wished)


def observed(home: Path) -> list[str]:
    """Those that are there."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(each.name for each in (home / WHERE).iterdir() if not each.name.startswith("."))
    return []


def lift() -> list[tuple[str, int]]:
    """In pid 1, its working directory the server's: hold each of them, for after the way back is closed."""
    found = []
    for name in observed(Path()):
        found.append((name, kernel.hold(f"{WHERE}/{name}")))
    return found


def lay(held: list[tuple[str, int]], owner: int) -> None:
    """After the pivot, when every link leads to a place in the machine only: mount them. owner: of the mount points."""
    for name, tree in held:
        point = Path("/mnt", name)
        with contextlib.suppress(OSError):
            point.mkdir(parents=True, exist_ok=True)
            os.chown(point, owner, owner)
        try:
            kernel.attach(tree, str(point))
        except OSError as error:
            os.write(2, f"cannot mount the storage {name}: {error}\n".encode())
        finally:
            os.close(tree)


def _link(points: Path, place: Path, wished: set[str]) -> None:
    """The machine is a process of our own user: what it has put in the place of a link is left as it is."""
    for name in sorted(wished):
        with contextlib.suppress(FileExistsError):
            (points / name).symlink_to(place / name)
    for there in points.iterdir():
        if there.is_symlink() and there.parent == points and there.name not in wished:
            there.unlink()
