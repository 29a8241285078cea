"""`LocalDispatch`: attempts as processes of this host, which outlive the daemon.

    start           state file (exclusively), its lock, then a shim forked by the frozen helper      starting, spawner
    the end         the shim's pidfd becomes readable; the state file says what happened             watch, classify
    after kill -9   `reconcile` classifies every attempt from its files and watches the living       watch, classify

Only the thread of the loop that opened it may use it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

from provisioning_orchestrator.ports import (
    Alive,
    AttemptId,
    AttemptSpec,
    Fact,
    LogChunk,
    NotPossibleNow,
    Verdict,
)

from . import boot, processes
from .command import Interpreters, kept_environment
from .files import AttemptDirectories
from .library import LibraryFiles
from .logs import read_log
from .references import resolver
from .spawner import Spawner
from .starting import Starter
from .watch import Watched, Watcher
from .workdirs import WorkDirectories


class LocalDispatch:
    """The port `Dispatch` on this host.

    data_dir: belongs to this daemon alone. python, nu: what runs `.py` and `.nu` operations (nu None: the one on PATH).
    workspace: handed to operations as PROVISIONING_WORKSPACE. sync_attempts: the files of attempts reach the disk
    before and after the operation (docs/decisions/102-sync-attempts.md). boot_id: not the machine's own, for tests.
    secrets_command: asked for the values of `secret://` references (resolving). secrets_timeout_s: how long.
    pass_environment: variables of the daemon that operations get, beside those of the contract.
    url: handed to operations as PROVISIONING_URL, with the token of each attempt.
    """

    def __init__(
        self,
        data_dir: Path,
        library: LibraryFiles,
        *,
        python: Path,
        nu: Path | None,
        workspace: Path | None,
        sync_attempts: bool = False,
        url: str | None = None,
        secrets_command: Sequence[str] = (),
        secrets_timeout_s: float = 30.0,
        pass_environment: Sequence[str] = (),
        boot_id: str | None = None,
    ) -> None:
        self._data = data_dir.absolute()
        self._library = library
        self._interpreters = Interpreters(python, nu)
        self._workspace = workspace
        self._sync = sync_attempts
        self._url = url
        self._pass_on = frozenset(pass_environment)
        self._resolver = resolver(tuple(secrets_command), secrets_timeout_s, self._data, os.environ)
        self._boot_id = boot_id or processes.boot_id()
        self._starting: dict[AttemptId, asyncio.Future[None]] = {}
        self._closed = False

    async def open(self) -> None:
        """Raises OSError where the data directory cannot be used or no process can be made."""
        self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directories = AttemptDirectories(self._data / "attempts", self._sync)
        work = WorkDirectories(self._data / "work")
        here = boot.open_boot(self._data / "boot", self._boot_id, self._sync, self._directories.empty())
        self._watcher = Watcher(here, work, self._interpreters, self._library, self._resolver)
        self._spawner = Spawner(kept_environment(os.environ, self._pass_on))
        self._starter = Starter(
            directories=self._directories,
            work=work,
            spawner=self._spawner,
            watcher=self._watcher,
            interpreters=self._interpreters,
            library=self._library,
            workspace=self._workspace.absolute() if self._workspace is not None else None,
            sync=self._sync,
            url=self._url,
            resolver=self._resolver,
        )
        self._spawner.start()

    async def close(self) -> None:
        """Running attempts live on; their files tell the next daemon."""
        self._closed = True
        self._watcher.close()
        self._spawner.close()
        for settled in self._starting.values():
            settled.cancel()
        self._watcher.facts.arrived.set()
        try:
            os.rmdir(self._resolver.directory)  # noqa: PTH106 - only if no attempt with secrets lives on in it
        except OSError:
            pass

    def recovered(self) -> None:
        """Every attempt of earlier daemons has been asked about: from now on a missing state file proves that nothing
        ran. Until then, if the machine was restarted, it proves nothing and the attempt has vanished. Raises OSError.
        """
        boot.recovered(self._data / "boot", self._boot_id)
        self._watcher.boot = replace(self._watcher.boot, doubtful=False)

    def helper_pid(self) -> int | None:
        """Of the process that forks the shims; None while there is none."""
        return self._spawner.pid

    async def start(self, spec: AttemptSpec) -> None:
        if spec.id in self._watcher.watched:
            return
        settled = self._starting.get(spec.id)
        if settled is None:
            settled = self._starting[spec.id] = asyncio.get_running_loop().create_future()
            settled.add_done_callback(lambda done: self._settled(spec.id, done))
            try:
                await self._starter.begin(spec, settled)
            except BaseException as error:
                self._starting.pop(spec.id, None)
                if isinstance(error, Exception):
                    settled.set_exception(error)
                else:
                    settled.cancel()
                raise
        await asyncio.shield(settled)

    def _settled(self, id: AttemptId, done: asyncio.Future[None]) -> None:
        if self._starting.get(id) is done:
            del self._starting[id]
        if not done.cancelled():
            done.exception()  # It was raised to whoever waited, and perhaps nobody did.

    async def cancel(self, id: AttemptId, grace_s: float) -> None:
        settled = self._starting.get(id)
        if settled is not None:
            await asyncio.wait([settled])
        watched = self._watcher.watched.get(id)
        if watched is not None:
            self._watcher.cancel(watched, grace_s)

    async def reconcile(self, ids: Sequence[AttemptId]) -> dict[AttemptId, Verdict]:
        """Reports of attempts that ended are among the facts before this returns."""
        starting = {id: Alive() for id in ids if id in self._starting}
        attempts = [Watched(id, self._directories.files(id)) for id in ids if id not in starting]
        return {**starting, **await self._watcher.reconcile(attempts)}

    async def facts(self) -> AsyncIterator[Fact]:
        facts = self._watcher.facts
        while not self._closed:
            while facts.queue:
                yield facts.queue.popleft()
            facts.arrived.clear()
            await facts.arrived.wait()

    async def settled(self, ids: Sequence[AttemptId]) -> None:
        """Nothing to do: an end is kept in the attempt's files alone, until the workflow is forgotten."""

    async def forget_workflow(self, workflow: str) -> None:
        """Remove all files of its attempts. Raises NotPossibleNow while one of them is alive."""
        alive = [str(id) for id in (*self._watcher.watched, *self._starting) if id.workflow == workflow]
        if alive:
            raise NotPossibleNow(
                f"removing the files of {workflow}: {', '.join(alive[:5])} still run; cancel them first"
            )
        await asyncio.to_thread(self._directories.remove, workflow)

    async def log(self, id: AttemptId, offset: int, limit: int) -> LogChunk:
        files = self._directories.files(id)
        over = id not in self._starting and self._watcher.over(id, files)
        return read_log(files, offset, limit, over)

    async def log_grown(self, id: AttemptId, offset: int) -> None:
        settled = self._starting.get(id)
        if settled is not None:
            await asyncio.wait([settled])
        await self._watcher.grown(id, self._directories.files(id), offset)
