"""Working directories: an empty one serves the next attempt, one in which something was left is kept with its attempt.

Whose directory it is, is said by its flock, which the shim takes and holds as long as it lives: so a directory is never
shared with a living attempt, also not with one that an earlier daemon started, or that starts late.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from .files import make_directory


class WorkDirectories:
    """Raises OSError where a directory cannot be made."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        make_directory(self._root, False)
        numbers = [int(name) for name in os.listdir(self._root) if name.isdigit()]  # noqa: PTH208
        self._last = max(numbers, default=0)
        self._taken: set[str] = set()
        self._free = [str(number) for number in sorted(numbers, reverse=True) if self._usable(str(number))]

    def path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def take(self) -> str:
        """The name of an empty directory that nobody uses."""
        if self._free:
            name = self._free.pop()
        else:
            self._last += 1
            name = str(self._last)
            os.mkdir(self.path(name), 0o700)  # noqa: PTH102
        self._taken.add(name)
        return name

    def give_back(self, name: str, kept: str, in_use: bool = False) -> None:
        """The attempt that took it has ended. kept: where it goes if the shim could not move it away itself.

        in_use: a process that was handed over may be in it, so that it goes there even if it is empty.
        """
        self._taken.discard(name)
        self.inherit(name, kept, in_use)

    def inherit(self, name: str, kept: str, in_use: bool = False) -> None:
        """The same for an attempt that an earlier daemon started; one of ours may have taken its directory since."""
        if not name.isdigit() or name in self._taken:
            return
        if in_use and name in self._free:
            self._free.remove(name)
        elif name in self._free:
            return
        elif not in_use and self._usable(name):
            self._free.append(name)
            return
        try:
            os.rename(self.path(name), kept)  # noqa: PTH104
        except OSError:
            return  # It was moved by its shim, or stays, unused.

    def _usable(self, name: str) -> bool:
        """Empty and in nobody's hands."""
        try:
            fd = os.open(self.path(name), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return not os.listdir(fd)  # noqa: PTH208
        except OSError:
            return False
        finally:
            os.close(fd)
