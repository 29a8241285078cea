"""Attempts that are alive, until their end: who tells it, what is read then, and what is made sure first.

A shim says when it is over with an attempt; should it die, its pidfd becomes readable. The lock of attempts that an
earlier daemon started, and of those whose shim has no pidfd (another system, not claimed yet, no descriptor left), is
looked at every PATROL_S. Whatever woke us, the state file decides.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import deque
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from provisioning_orchestrator.crash import crash_point
from provisioning_orchestrator.ports import (
    Alive,
    AttemptEnded,
    AttemptId,
    AttemptReported,
    Exited,
    Fact,
    NeverStarted,
    OrchestratorError,
    Vanished,
    Verdict,
)

from . import processes, statefile
from .boot import Boot
from .classify import Finding, classify, is_over
from .command import Interpreters, Refusal, explain
from .files import AttemptFiles
from .filter import await_filter, remove
from .library import LibraryFiles
from .logs import log_size
from .references import Resolver
from .reports import ReportReader
from .sweep import Remains, sweep
from .workdirs import WorkDirectories

SLICE_S = 0.004
PATROL_S = 0.1
REPORTS_EVERY = 3
LOCKS_AT_ONCE = 500
REPORTS_AT_ONCE_BYTES = 256 * 1024
SWEEP_AGAIN_S = 1.0

Ending = Exited | NeverStarted | Vanished


class Watched:
    """An attempt that is alive as far as this daemon knows.

    work, mark: its working directory's name and its mark, where this daemon asked for it; else empty. pidfd: its
    shim's, -1 without. shim: the shim's pid and start time, once its claim was looked at. command: what was to be
    executed, where this daemon started it. asked: a shim has it, which has perhaps not made its state file yet, and
    will tell when it is over. ending: its end is being dealt with by a task, and nobody else may.
    """

    __slots__ = (
        "asked",
        "cancel_grace_s",
        "command",
        "ending",
        "files",
        "id",
        "mark",
        "pidfd",
        "reports",
        "shim",
        "work",
    )

    def __init__(
        self, id: AttemptId, files: AttemptFiles, work: str = "", command: Sequence[str] = (), mark: str = ""
    ) -> None:
        self.id = id
        self.files = files
        self.work = work
        self.command = list(command)
        self.mark = mark
        self.asked = False
        self.reports = ReportReader(id, files.events)
        self.pidfd = -1
        self.shim: tuple[int, int] | None = None
        self.cancel_grace_s: float | None = None
        self.ending = False


@dataclass
class Facts:
    """What is to be told, in order."""

    queue: deque[Fact] = field(default_factory=deque)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def emit(self, fact: Fact) -> None:
        self.queue.append(fact)
        self.arrived.set()


class Watcher:
    """Must be used from one loop's thread. `boot` may be replaced when recovery is over."""

    def __init__(
        self,
        boot: Boot,
        work: WorkDirectories,
        interpreters: Interpreters,
        library: LibraryFiles,
        resolver: Resolver,
    ) -> None:
        self.boot = boot
        self.facts = Facts()
        self.watched: dict[AttemptId, Watched] = {}
        self._work = work
        self._interpreters = interpreters
        self._library = library
        self._resolver = resolver
        self._loop = asyncio.get_running_loop()
        self._polled: dict[AttemptId, None] = {}  # in the order in which they are looked at next
        self._cancels: set[AttemptId] = set()
        self._growing: dict[asyncio.Future[None], tuple[AttemptId, AttemptFiles, int]] = {}
        self._busy = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._do(self._patrol())

    def close(self) -> None:
        """Forget them; they live on."""
        self._closed = True
        for task in tuple(self._tasks):
            task.cancel()
        for watched in self.watched.values():
            self._unwatch(watched)
        for grown in self._growing:
            grown.cancel()

    # --- watching ----------------------------------------------------------------------------------------------------

    def watch(self, watched: Watched, pidfd: int) -> None:
        """pidfd: of its shim, -1 where none could be had or there are none: then its lock is looked at."""
        self.watched[watched.id] = watched
        self._busy.set()
        watched.asked = True
        if pidfd >= 0:
            watched.pidfd = pidfd
            self._loop.add_reader(pidfd, self._noticed, watched)
        else:
            self._polled.setdefault(watched.id)

    def over_with(self, watched: Watched, error: int | None) -> None:
        """Its shim says that it is over with it (and may serve another attempt).

        error: the errno for want of which the shim could not even make the state file, else 0. None: nobody will say
        when it is over, because the helper has died.
        """
        if self.watched.get(watched.id) is watched and not watched.ending:
            self._noticed(watched, error)

    def find(self, watched: Watched) -> None:
        """Whether it is alive is not known: watch it, or tell its end."""
        self.watched[watched.id] = watched
        self.conclude(watched)

    def conclude(self, watched: Watched, error: int | None = None) -> None:
        """Its shim seems to be gone: find out, and tell. What is still alive is looked at again and again.

        error: as in over_with; None: it is not certain that its shim is gone.
        """
        if self._closed or watched.ending or watched.id not in self.watched:
            return
        crash_point("before-outcome-read")
        finding = self._classify(watched, error is not None)
        if watched.mark and finding.header.get("mark", watched.mark) != watched.mark:
            # An earlier daemon's shim was quicker: what is watched is its attempt.
            self._work.give_back(watched.work, watched.files.kept)
            watched.work = watched.mark = ""
        if error and isinstance(finding.verdict, NeverStarted):
            finding = replace(finding, verdict=NeverStarted(f"its shim could not begin: {os.strerror(error)}"))
        if isinstance(finding.verdict, Alive):
            self._follow(watched, finding)
            return
        self._polled.pop(watched.id, None)
        if isinstance(finding.verdict, Vanished):
            watched.ending = True
            self._do(self._bury(watched, finding))
        elif _many_reports(watched):
            watched.ending = True
            self._do(self._end_slowly(watched, finding))
        else:
            self._end(watched, finding, [])

    def cancel(self, watched: Watched, grace_s: float) -> None:
        """Write the wish into the state file, then wake the shim; what is not possible now is tried again."""
        watched.cancel_grace_s = None
        try:
            fd = os.open(watched.files.state, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                begun = os.pread(fd, 1, 0) != b""
                if begun:  # Before, its shim would write over it.
                    statefile.write(fd, statefile.CANCEL, {"grace": float(grace_s)})
            finally:
                os.close(fd)
        except OSError:
            begun = False
        if not begun:
            self._cancel_later(watched, grace_s)
            return
        if watched.pidfd >= 0:
            processes.send_by(watched.pidfd, signal.SIGTERM)
        elif watched.shim is not None:
            processes.send(*watched.shim, signal.SIGTERM)
        else:
            self._cancel_later(watched, grace_s)

    def _cancel_later(self, watched: Watched, grace_s: float) -> None:
        watched.cancel_grace_s = grace_s
        self._cancels.add(watched.id)
        self._busy.set()

    def _classify(self, watched: Watched, gone: bool = False) -> Finding:
        try:
            return classify(watched.id, watched.files, self.boot, gone)
        except OSError:  # No descriptor is free, the disk is full or does not answer: nothing can be said now.
            return Finding(Alive())

    def _noticed(self, watched: Watched, error: int | None = 0) -> None:
        self._unwatch(watched)
        watched.asked = False
        self.conclude(watched, error)

    def _unwatch(self, watched: Watched) -> None:
        if watched.pidfd >= 0:
            self._loop.remove_reader(watched.pidfd)
            os.close(watched.pidfd)
            watched.pidfd = -1

    def _follow(self, watched: Watched, finding: Finding) -> None:
        """Alive, and not known from its start: by pidfd, which is quick, and by its lock, which is always right (its
        shim may serve another attempt after it)."""
        self._polled.setdefault(watched.id)
        self._busy.set()
        claim = finding.claim
        if watched.pidfd >= 0 or claim.get("boot") != self.boot.id:
            return
        watched.shim = (int(claim["pid"]), int(claim["start"]))
        pidfd = processes.open_exactly(*watched.shim, int(claim["inode"]))
        if pidfd is not None:
            self.watch(watched, pidfd)

    # --- the end -----------------------------------------------------------------------------------------------------

    def _end(self, watched: Watched, finding: Finding, read: list[AttemptReported]) -> None:
        """The last facts of an attempt; from here on it is not known any more. read: reports that are read already."""
        try:
            reports = read + watched.reports.read(final=True)
            verdict = self._completed(watched, finding)
        except OSError:  # Its files cannot be read now. An end is never told half: look again later.
            watched.reports = ReportReader(watched.id, watched.files.events)
            self._later(watched)
            return
        self.watched.pop(watched.id, None)
        for fact in reports:
            self.facts.emit(fact)
        self.facts.emit(AttemptEnded(watched.id, verdict))
        for grown, (followed, _, _) in self._growing.items():
            if followed == watched.id and not grown.done():
                grown.set_result(None)

    async def _end_slowly(self, watched: Watched, finding: Finding) -> None:
        """The same where reading all reports may take long."""
        try:
            read = await asyncio.to_thread(watched.reports.read, True)
        except OSError:
            self._later(watched)
            return
        self._end(watched, finding, read)

    def _later(self, watched: Watched) -> None:
        watched.ending = False
        self._polled.setdefault(watched.id)
        self._busy.set()

    async def _bury(self, watched: Watched, finding: Finding) -> None:
        """Nobody saw the end: it is told when nothing of it is alive any more."""
        while not await asyncio.to_thread(sweep, self._remains(watched, finding)):  # noqa: ASYNC110
            await asyncio.sleep(SWEEP_AGAIN_S)
        await self._filtered([(watched, finding)])
        await self._end_slowly(watched, finding)

    async def _filtered(self, vanished: list[tuple[Watched, Finding]]) -> None:
        """Filters outlive their shims until all that was written before is where it is kept."""
        logs = [watched.files.log for watched, finding in vanished if "secrets" in finding.header]
        if logs:
            await asyncio.to_thread(await_filter, logs)

    def _remains(self, watched: Watched, finding: Finding) -> list[Remains]:
        if finding.header.get("boot", self.boot.id) != self.boot.id:
            return []  # No process outlives a restart of the machine.
        shim, start = int(finding.claim.get("pid", 0)), int(finding.claim.get("start", 0))
        return [Remains(finding.header.get("mark", f"{watched.id}:"), shim, start, watched.files.leave)]

    def _completed(self, watched: Watched, finding: Finding) -> Ending:
        """The verdict with everything that is read from other files; the working directory may serve again. Raises
        OSError where a file cannot be read now."""
        verdict = finding.verdict
        assert not isinstance(verdict, Alive)
        if isinstance(verdict, Exited):
            result, oversized = watched.files.read_result()
            refused = self._explanation(watched, finding) if finding.errno else verdict.refused
            verdict = replace(verdict, result=result, result_oversized=oversized, refused=refused)
        if "secrets" in finding.header:  # Only where shim and filter were shot both is there anything left.
            remove(self._resolver.directory_of(watched.id))
        in_use = isinstance(verdict, Vanished) and Path(watched.files.leave).exists()
        if watched.work:
            self._work.give_back(watched.work, watched.files.kept, in_use)
        elif name := finding.header.get("work", ""):
            self._work.inherit(name, watched.files.kept, in_use)
        return verdict

    def _explanation(self, watched: Watched, finding: Finding) -> str:
        """Why exec refused, in words."""
        try:
            operation = finding.header["operation"]
            command = watched.command or self._interpreters.command(self._library.locate(operation))
            return explain(finding.errno, command)
        except (KeyError, Refusal, OrchestratorError):
            return f"it could not be executed: {os.strerror(finding.errno)}"

    # --- recovery ----------------------------------------------------------------------------------------------------

    async def reconcile(self, attempts: Sequence[Watched]) -> dict[AttemptId, Verdict]:
        """What became of them; the living are watched. Reports of the ended are emitted before this returns."""
        verdicts: dict[AttemptId, Verdict] = {}
        vanished: list[tuple[Watched, Finding]] = []
        turn = Turn()
        for watched in attempts:
            crash_point("mid-recovery")
            await turn.over()
            if watched.id in self.watched:
                verdicts[watched.id] = Alive()
                continue
            finding = self._classify(watched)
            if isinstance(finding.verdict, Alive):
                self.watched[watched.id] = watched
                self._follow(watched, finding)
                verdicts[watched.id] = Alive()
            elif isinstance(finding.verdict, Vanished):
                vanished.append((watched, finding))
            else:
                verdicts[watched.id] = await self._tell(watched, finding)
        await self._clear(vanished, verdicts)
        return verdicts

    async def _clear(self, vanished: list[tuple[Watched, Finding]], verdicts: dict[AttemptId, Verdict]) -> None:
        """End what is left of the vanished, all in one sweep; what will not die stays alive until it does."""
        remains = [each for watched, finding in vanished for each in self._remains(watched, finding)]
        swept = await asyncio.to_thread(sweep, remains) if remains else True
        if swept:
            await self._filtered(vanished)
        turn = Turn()
        for watched, finding in vanished:
            await turn.over()
            if swept:
                verdicts[watched.id] = await self._tell(watched, finding)
            else:
                self.watched[watched.id] = watched
                watched.ending = True
                verdicts[watched.id] = Alive()
                self._do(self._bury(watched, finding))

    async def _tell(self, watched: Watched, finding: Finding) -> Verdict:
        """An end that is returned instead of emitted; alive where its files cannot be read now."""
        many = _many_reports(watched)
        try:
            facts = await asyncio.to_thread(watched.reports.read, True) if many else watched.reports.read(final=True)
            verdict = self._completed(watched, finding)
        except OSError:
            self.watched[watched.id] = again = Watched(watched.id, watched.files)
            self._later(again)
            return Alive()
        for fact in facts:
            self.facts.emit(fact)
        return verdict

    # --- what nothing signals ----------------------------------------------------------------------------------------

    async def grown(self, id: AttemptId, files: AttemptFiles, offset: int) -> None:
        """Return when the log is longer than offset, or the attempt is over."""
        while not self._closed and log_size(files) <= offset and not self.over(id, files):
            grown: asyncio.Future[None] = self._loop.create_future()
            self._growing[grown] = (id, files, offset)
            self._busy.set()
            try:
                await grown
            finally:
                self._growing.pop(grown, None)

    def over(self, id: AttemptId, files: AttemptFiles) -> bool:
        return id not in self.watched and is_over(files)

    async def _patrol(self) -> None:
        """Look at event files, at logs that someone follows and at the locks of shims that are not known."""
        round = 0
        while True:
            if not (self.watched or self._growing):
                self._busy.clear()
                await self._busy.wait()
            await asyncio.sleep(PATROL_S)
            await self._look_at_locks()
            for grown, (id, files, offset) in tuple(self._growing.items()):
                if not grown.done() and (log_size(files) > offset or id not in self.watched):
                    grown.set_result(None)
            round += 1
            if round % REPORTS_EVERY == 0:
                await self._gather_reports()

    async def _look_at_locks(self) -> None:
        turn = Turn()
        for id in tuple(islice(self._polled, LOCKS_AT_ONCE)):
            self._polled.pop(id, None)
            watched = self.watched.get(id)
            if watched is not None:
                self._polled[id] = None
                if not watched.asked or os.path.exists(watched.files.state):  # noqa: PTH110
                    self.conclude(watched)
            await turn.over()
        for id in tuple(self._cancels):
            self._cancels.discard(id)
            watched = self.watched.get(id)
            if watched is not None and watched.cancel_grace_s is not None:
                self.cancel(watched, watched.cancel_grace_s)

    async def _gather_reports(self) -> None:
        turn = Turn()
        for watched in tuple(self.watched.values()):
            if watched.id in self.watched and not watched.ending:
                try:
                    facts = watched.reports.read(final=False)
                except OSError:
                    facts = []
                for fact in facts:
                    self.facts.emit(fact)
            await turn.over()

    def _do(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Turn:
    """Lets the loop have its turn whenever SLICE_S have passed."""

    def __init__(self) -> None:
        self._ends = time.monotonic() + SLICE_S

    async def over(self) -> None:
        if time.monotonic() > self._ends:
            await asyncio.sleep(0)
            self._ends = time.monotonic() + SLICE_S


def _many_reports(watched: Watched) -> bool:
    try:
        size = os.stat(watched.files.events).st_size  # noqa: PTH116
    except OSError:
        return False
    return size - watched.reports.offset > REPORTS_AT_ONCE_BYTES
