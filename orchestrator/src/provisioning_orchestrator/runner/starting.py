"""The start of an attempt: a shim is asked for, which makes the state file and locks it. Nothing is recorded here.

What was asked for and not begun by the time this daemon dies never starts: whoever recovers makes the state file first,
with the poison in it, and the late shim finds that it is there.
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import tempfile
import time
from pathlib import Path

from provisioning_orchestrator.crash import crash_point
from provisioning_orchestrator.ports import (
    AttemptEnded,
    AttemptId,
    AttemptSpec,
    Exited,
    OrchestratorError,
    StartRefused,
)

from . import processes, statefile
from .command import Interpreters, Refusal
from .files import AttemptDirectories, AttemptFiles
from .filter import own_directory
from .library import LibraryFiles
from .references import INLINE_BYTES_MAX, Resolver, may_refer, references_in
from .request import INPUT_BYTES_MAX, TOKEN_VARIABLE, Request, Wanted
from .spawner import Spawner
from .watch import Watched, Watcher
from .workdirs import WorkDirectories

REFUSED_CODE = 126
_REASON_BYTES_MAX = 8192


class Starter:
    """Must be used from one loop's thread."""

    def __init__(
        self,
        *,
        directories: AttemptDirectories,
        work: WorkDirectories,
        spawner: Spawner,
        watcher: Watcher,
        interpreters: Interpreters,
        library: LibraryFiles,
        workspace: Path | None,
        sync: bool,
        url: str | None,
        resolver: Resolver,
    ) -> None:
        self._directories = directories
        self._work = work
        self._spawner = spawner
        self._watcher = watcher
        self._interpreters = interpreters
        self._library = library
        self._workspace = workspace
        self._sync = sync
        self._url = url
        self._resolver = resolver

    async def begin(self, spec: AttemptSpec, settled: asyncio.Future[None]) -> None:
        """Settled with a result when the attempt runs, or was told as a fact; with StartRefused when nothing runs.

        Raises StartRefused and ValueError (an id or a command that no file or message can hold).
        """
        files = self._directories.files(spec.id)
        crash_point("before-state-file")
        try:
            command = self._interpreters.command(self._library.locate(spec.operation))
        except (Refusal, OrchestratorError) as refusal:
            self._refuse(spec, files, str(refusal))
            settled.set_result(None)
            return
        wanted = await self._wanted(spec) if may_refer(spec.input) else None
        if os.path.exists(files.state):  # noqa: PTH110
            self._find(spec.id, files)
            settled.set_result(None)
            return
        try:
            self._directories.make(spec.id.workflow)
            work = self._work.take()
        except OSError as error:
            raise _no_room(spec.id, error) from error
        watched = Watched(spec.id, files, work, command, f"{spec.id}:{secrets.token_hex(8)}")
        try:
            request = self._request(spec, watched, wanted)
            input = _beside(spec.input) if request.input is None else None
            crash_point("before-spawn")
            self._ask(request, spec.id, watched, input, settled)
        except BaseException as error:
            self._work.give_back(work, files.kept)
            if isinstance(error, OSError):
                raise _no_room(spec.id, error) from error
            raise

    def _head(self, spec: AttemptSpec, mark: str, work: str, names: int = 0) -> bytes:
        fields: dict[str, object] = {
            "id": spec.id,
            "mark": mark,
            "boot": self._watcher.boot.id,
            "fence": spec.fence,
            "sync": int(self._sync),
            "timeout": spec.timeout_s,
            "grace": spec.grace_s,
            "work": work,
            "input": len(spec.input),
            "operation": spec.operation,
            "at": time.time_ns() // 1000,
        }
        if names:
            fields["secrets"] = names
        return statefile.head(fields).rstrip(b"\0")

    async def _wanted(self, spec: AttemptSpec) -> Wanted | None:
        """The secrets that it refers to: names only, here and in all that is stored. None: it refers to none."""
        large = len(spec.input) > INLINE_BYTES_MAX
        names = await asyncio.to_thread(references_in, spec.input) if large else references_in(spec.input)
        if not names:
            return None
        by = self._resolver
        return Wanted(names, list(by.command), by.timeout_s, by.directory_of(spec.id), list(by.environment))

    def _request(self, spec: AttemptSpec, watched: Watched, wanted: Wanted | None) -> Request:
        files = watched.files
        # With secrets it writes into memory, and a filter makes of that what is kept.
        private = wanted.directory if wanted is not None else None
        environment = [
            f"PROVISIONING_RESULT={files.result if private is None else private + '/result'}",
            f"PROVISIONING_EVENTS={files.events if private is None else private + '/events'}",
            f"PROVISIONING_LEAVE={files.leave}",
            f"{processes.MARK_VARIABLE}={watched.mark}",
        ]
        if private is not None:
            environment.append(f"PROVISIONING_PRIVATE={own_directory(private)}")
        if self._url is not None and spec.token:
            # The shim puts the token into an anonymous file: no other process may read it in an environment.
            environment += [f"PROVISIONING_URL={self._url}", f"{TOKEN_VARIABLE}={spec.token}"]
        if self._workspace is not None:
            environment.append(f"PROVISIONING_WORKSPACE={self._workspace}")
        return Request(
            number=0,
            id=str(spec.id),
            state=files.state,
            head=self._head(spec, watched.mark, watched.work, len(wanted.names) if wanted else 0).decode(),
            input=None if len(spec.input) > INPUT_BYTES_MAX or b"\0" in spec.input else spec.input,
            log=files.log,
            work=self._work.path(watched.work),
            keep=files.kept,
            leave=files.leave,
            timeout_s=spec.timeout_s,
            grace_s=spec.grace_s,
            sync=self._sync,
            arguments=watched.command,
            environment=environment,
            wanted=wanted,
        )

    def _ask(
        self,
        request: Request,
        id: AttemptId,
        watched: Watched,
        input: int | None,
        settled: asyncio.Future[None],
    ) -> None:
        def sent() -> None:
            if input is not None:
                os.close(input)

        def answered(pid: int, pidfd: int, error: int) -> None:
            sent()
            if pid == 0:
                self._work.give_back(watched.work, watched.files.kept)
                if not settled.done():
                    settled.set_exception(_no_room(id, OSError(error, os.strerror(error))))
                return
            crash_point("after-spawn")
            self._watcher.watch(watched, pidfd)
            if not settled.done():
                settled.set_result(None)

        def lost() -> None:
            sent()
            self._watcher.find(watched)
            if not settled.done():
                settled.set_result(None)

        def over(error: int | None) -> None:
            self._watcher.over_with(watched, error)

        try:
            self._spawner.ask(request, input, answered=answered, lost=lost, over=over)
        except BaseException:
            sent()
            raise

    def _refuse(self, spec: AttemptSpec, files: AttemptFiles, reason: str) -> None:
        """The operation cannot be run at all: an end like any other, written down before it is told."""
        now = time.time_ns() // 1000
        text = reason.encode("utf-8", "replace")[:_REASON_BYTES_MAX]
        claim = statefile.record(statefile.CLAIM, {"poisoned": 1, "at": now})
        said: dict[str, object] = {
            "kind": "refused",
            "text": len(text),
            "code": REFUSED_CODE,
            "started": now,
            "ended": now,
        }
        outcome = statefile.record(statefile.OUTCOME, said)
        try:
            self._directories.make(spec.id.workflow)
            fd = os.open(files.state, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                _write_all(fd, statefile.new_content(self._head(spec, f"{spec.id}:", ""), text, claim, outcome))
            finally:
                os.close(fd)
        except FileExistsError:
            self._find(spec.id, files)
            return
        except OSError as error:
            raise _no_room(spec.id, error) from error
        verdict = Exited(exit_code=REFUSED_CODE, refused=reason, started_at=now, ended_at=now)
        self._watcher.facts.emit(AttemptEnded(spec.id, verdict))

    def _find(self, id: AttemptId, files: AttemptFiles) -> None:
        """It was started before: by an earlier daemon, if it is not known here."""
        if id not in self._watcher.watched:
            self._watcher.find(Watched(id, files))


def _write_all(fd: int, content: bytes) -> None:
    if os.write(fd, content) != len(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _beside(input: bytes) -> int:
    """An anonymous file with a large input. Raises OSError."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("input", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    try:
        _write_all(fd, input + b"\n")
    except BaseException:
        os.close(fd)
        raise
    return fd


def _no_room(id: AttemptId, error: OSError) -> StartRefused:
    return StartRefused(f"starting attempt {id}: {error.strerror or error}; nothing of it runs")
