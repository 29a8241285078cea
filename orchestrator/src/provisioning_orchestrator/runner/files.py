"""Where the files of attempts are: flat in one directory per workflow, named `<task>.<attempt>`.

    attempts/<workflow>/<task>.<n>           state: input, claim, outcome; its flock is the life of the attempt
                        <task>.<n>.log       output, from the start
                        <task>.<n>.result .events .leave      only when the operation makes them
                        <task>.<n>.files/    only when it left something in its working directory
    work/<number>/                           working directories, empty, one for each attempt at a time

Creations are what an attempt costs on a disk (a directory 0.8 ms, a file 0.3 ms on ext4), so there are two.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from pathlib import Path

from provisioning_orchestrator.ports import AttemptId
from provisioning_orchestrator.workflow.spec import EXPANSION_BYTES_MAX, RESULT_BYTES_MAX

RESULT_FILE_BYTES_MAX = RESULT_BYTES_MAX + EXPANSION_BYTES_MAX + 64 * 1024
_WORKFLOW = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")


class AttemptFiles:
    """The paths of one attempt, as strings: they are made a thousand times a second."""

    __slots__ = ("directory", "state")

    def __init__(self, directory: str, id: AttemptId) -> None:
        self.directory = directory
        self.state = f"{directory}/{id.task}.{id.number}"

    @property
    def log(self) -> str:
        return self.state + ".log"

    @property
    def result(self) -> str:
        return self.state + ".result"

    @property
    def events(self) -> str:
        return self.state + ".events"

    @property
    def leave(self) -> str:
        return self.state + ".leave"

    @property
    def kept(self) -> str:
        return self.state + ".files"

    def read_result(self) -> tuple[bytes | None, bool]:
        """The bytes of the result file (None: there is none), and whether it is larger than may be read.

        What is no file (a link, a pipe, a directory) reads as empty: unreadable, as any bytes that are no JSON. Raises
        OSError where it cannot be read now (no descriptor left, a bad disk): it is not the operation's fault.
        """
        try:
            fd = os.open(self.result, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return None, False
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO, errno.EACCES):
                return b"", False
            raise
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                return b"", False
            if status.st_size > RESULT_FILE_BYTES_MAX:
                return None, True
            return os.read(fd, RESULT_FILE_BYTES_MAX), False
        finally:
            os.close(fd)


class AttemptDirectories:
    """Makes, names and removes the directories of workflows."""

    def __init__(self, root: Path, sync: bool) -> None:
        self._root = str(root)
        self._sync = sync
        self._made: set[str] = set()
        make_directory(self._root, sync)

    def files(self, id: AttemptId) -> AttemptFiles:
        """Raises ValueError where the workflow's id cannot be a name."""
        if not _WORKFLOW.fullmatch(id.workflow):
            raise ValueError(f"{id.workflow!r} cannot be the id of a workflow: letters, digits, '.', '_' and '-' can")
        return AttemptFiles(f"{self._root}/{id.workflow}", id)

    def empty(self) -> bool:
        """No attempt has ever been made here, or all were removed."""
        with os.scandir(self._root) as entries:
            return next(entries, None) is None

    def make(self, workflow: str) -> None:
        if workflow not in self._made:
            make_directory(f"{self._root}/{workflow}", self._sync)
            self._made.add(workflow)

    def remove(self, workflow: str) -> None:
        """Raises ValueError as files() does."""
        self.files(AttemptId(workflow, 0, 0))
        self._made.discard(workflow)
        shutil.rmtree(f"{self._root}/{workflow}", ignore_errors=True)


def make_directory(path: str, sync: bool) -> None:
    try:
        os.mkdir(path, 0o700)  # noqa: PTH102
    except FileExistsError:
        return
    if sync:
        sync_directory(os.path.dirname(path))  # noqa: PTH120


def sync_directory(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
