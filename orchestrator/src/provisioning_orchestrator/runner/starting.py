"""The start of an attempt: its state file, exclusively and locked, then a shim. Nothing is recorded after the spawn."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import secrets
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
from .files import AttemptDirectories, AttemptFiles, sync_directory
from .filter import own_directory
from .library import LibraryFiles
from .references import INLINE_BYTES_MAX, Resolver, may_refer, references_in
from .request import TOKEN_VARIABLE, Request, Wanted
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
        try:
            work = self._work.take()
        except OSError as error:
            raise _no_room(spec.id, error) from error
        header = self._header(spec, work) | ({"secrets": len(wanted.names)} if wanted is not None else {})
        try:
            state = self._create(spec, files, header)
        except FileExistsError:
            self._work.give_back(work, files.kept)
            self._find(spec.id, files)
            settled.set_result(None)
            return
        except OSError as error:
            self._work.give_back(work, files.kept)
            raise _no_room(spec.id, error) from error
        crash_point("after-state-file")
        await self._go(spec, Watched(spec.id, files, work, command), state, str(header["mark"]), wanted, settled)

    def _header(self, spec: AttemptSpec, work: str) -> dict[str, object]:
        return {
            "id": spec.id,
            "mark": f"{spec.id}:{secrets.token_hex(8)}",
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

    def _create(self, spec: AttemptSpec, files: AttemptFiles, header: dict[str, object]) -> int:
        """The state file with its lock taken. Raises OSError (FileExistsError: it is there): then nothing is left."""
        self._directories.make(spec.id.workflow)
        state = os.open(files.state, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(state, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _write_all(state, statefile.new_content(header, spec.input))
        except BaseException:
            os.unlink(files.state)  # noqa: PTH108
            os.close(state)
            raise
        return state

    async def _wanted(self, spec: AttemptSpec) -> Wanted | None:
        """The secrets that it refers to: names only, here and in all that is stored. None: it refers to none."""
        large = len(spec.input) > INLINE_BYTES_MAX
        names = await asyncio.to_thread(references_in, spec.input) if large else references_in(spec.input)
        if not names:
            return None
        by = self._resolver
        return Wanted(names, list(by.command), by.timeout_s, by.directory_of(spec.id), list(by.environment))

    async def _go(
        self,
        spec: AttemptSpec,
        watched: Watched,
        state: int,
        mark: str,
        wanted: Wanted | None,
        settled: asyncio.Future[None],
    ) -> None:
        try:
            if self._sync:
                await asyncio.to_thread(_sync, state, watched.files)
            request = self._request(spec, watched, mark, wanted)
            crash_point("before-spawn")
            self._ask(request, spec.id, watched, state, settled)
        except BaseException as error:
            self._take_back(watched, state)
            if isinstance(error, OSError):
                raise _no_room(spec.id, error) from error
            raise

    def _request(self, spec: AttemptSpec, watched: Watched, mark: str, wanted: Wanted | None) -> Request:
        files = watched.files
        # With secrets it writes into memory, and a filter makes of that what is kept.
        private = wanted.directory if wanted is not None else None
        environment = [
            f"PROVISIONING_RESULT={files.result if private is None else private + '/result'}",
            f"PROVISIONING_EVENTS={files.events if private is None else private + '/events'}",
            f"PROVISIONING_LEAVE={files.leave}",
            f"{processes.MARK_VARIABLE}={mark}",
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
            input=len(spec.input),
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
        self, request: Request, id: AttemptId, watched: Watched, state: int, settled: asyncio.Future[None]
    ) -> None:
        def answered(pid: int, pidfd: int, error: int) -> None:
            if pid == 0:
                self._take_back(watched, state)
                if not settled.done():
                    settled.set_exception(_no_room(id, OSError(error, os.strerror(error))))
                return
            crash_point("after-spawn")
            os.close(state)
            self._watcher.watch(watched, pidfd)
            if not settled.done():
                settled.set_result(None)

        def lost() -> None:
            os.close(state)  # First: the lock must be held only if a shim has it.
            self._watcher.find(watched)
            if not settled.done():
                settled.set_result(None)

        def over() -> None:
            self._watcher.over_with(watched)

        self._spawner.ask(request, state, answered=answered, lost=lost, over=over)

    def _take_back(self, watched: Watched, state: int) -> None:
        """Nothing runs and nobody else holds the descriptor: as if the start had not been asked for."""
        try:
            os.unlink(watched.files.state)  # noqa: PTH108
        except OSError:
            pass
        os.close(state)
        self._work.give_back(watched.work, watched.files.kept)

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
                _write_all(fd, statefile.new_content(self._header(spec, ""), text, claim, outcome))
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


def _sync(state: int, files: AttemptFiles) -> None:
    os.fdatasync(state)
    sync_directory(files.directory)


def _no_room(id: AttemptId, error: OSError) -> StartRefused:
    return StartRefused(f"starting attempt {id}: {error.strerror or error}; nothing of it runs")
