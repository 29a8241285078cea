"""The composition root: everything is built here once, and this is the only exit.

    lock the data directory ► token ► sockets ► serve (health says `starting`) ► runner, store ► recovery ► ready
    SIGTERM, SIGINT ► answer 503 ► tell streams `bye` ► HTTP ► engine ► runner ► store ► exit 0

Running attempts outlive it: they are processes of their own, and the next daemon finds them. A second SIGINT ends at
once.

Exit codes: 0 stopped as asked · 2 a setting is wrong · 69 the port or the token can't be had · 70 a bug · 74 the store
failed · 75 the data directory has another owner.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import uvloop

from . import __version__
from .api.app import guarded
from .api.backend import Backend, Services
from .api.listeners import PortTaken, listen
from .api.server import Server
from .api.streams import frame
from .api.tasktoken import open_task_tokens
from .api.token import BadTokenFile, Token, open_token
from .clock import SystemChance, SystemClock
from .engine.embedded import EmbeddedEngine
from .logs import set_up_logs
from .monitor.feed import Feed
from .ports import AttemptId, Idempotency, StoreCorrupt, StoreFailed, Submitter
from .runner import LibraryFiles, LocalDispatch
from .settings import Settings, resolver_command
from .store import DataDirInUse, DataDirLock, SqliteStore, lock_data_dir
from .workflow.events import Resolution
from .workflow.records import Parent

log = logging.getLogger(__name__)

EXIT_OK, EXIT_SETTINGS, EXIT_UNAVAILABLE, EXIT_BUG, EXIT_STORE, EXIT_LOCKED = 0, 2, 69, 70, 74, 75
EXIT_INTERRUPTED = 130
STOP_MAX_S = 4.7
FILES_WANTED = 65_536
FILES_KEPT = 512  # for attempts, the store and logs: clients never get these
SWITCH_S = 0.001
GC_THRESHOLDS = (10_000, 5, 1_000_000)
GC_WHOLE_S = 600.0


def run(settings: Settings) -> int:
    """Serve until told to stop; the exit code."""
    set_up_logs(settings.log_level, settings.log_file)
    settings = _with_room(settings)
    try:
        with contextlib.ExitStack() as held:
            os.umask(0o077)
            lock = held.enter_context(_owned(settings.data_dir))
            token = None if settings.auth == "none" else open_token(settings.data_dir)
            sockets = listen(settings.port)
            for one in sockets:
                held.enter_context(one)
            # A large body is read in a thread of its own: the loop has to get the interpreter back from it quickly.
            sys.setswitchinterval(SWITCH_S)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(_Daemon(settings, lock, token, sockets).run())
    except DataDirInUse as error:
        return _fail(settings, EXIT_LOCKED, error)
    except (PortTaken, BadTokenFile, PermissionError) as error:
        return _fail(settings, EXIT_UNAVAILABLE, error)
    except (StoreFailed, OSError) as error:
        return _fail(settings, EXIT_STORE, error)
    except Exception as error:
        log.exception("the daemon ends by a bug")
        return EXIT_BUG if settings.log_file is None else _fail(settings, EXIT_BUG, error)


class _Daemon:
    def __init__(
        self, settings: Settings, lock: DataDirLock, token: Token | None, sockets: Sequence[socket.socket]
    ) -> None:
        self._settings = settings
        self._lock = lock
        self._sockets = sockets
        self._port: int = sockets[0].getsockname()[1]
        self._feed = Feed(frame, settings.limits.stream_bytes_max)
        self._tasks = open_task_tokens(settings.data_dir)
        self._backend = Backend(settings.limits, self._feed, token, self._tasks)
        self._server = Server(guarded(self._backend, self._port), settings.limits)
        self._stop = asyncio.Event()
        self._interrupts = 0
        self._exit = EXIT_OK
        self._dispatch: LocalDispatch | None = None
        self._store: SqliteStore | None = None
        self._engine: EmbeddedEngine | None = None

    async def run(self) -> int:
        self._listen_to_signals()
        await self._server.start(self._sockets)
        opening = asyncio.create_task(self._open())
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({opening, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if opening.done():
                opening.result()
                self._say_ready()
                await stopped
            return self._exit
        finally:
            opening.cancel()
            stopped.cancel()
            await asyncio.gather(opening, stopped, return_exceptions=True)
            await self._close()

    # --- start -------------------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        """Everything behind the API. Raises StoreFailed, OSError."""
        settings = self._settings
        library = LibraryFiles(settings.libraries)
        python = settings.python or Path(sys.executable)
        dispatch = self._dispatch = LocalDispatch(
            settings.data_dir,
            library,
            python=python,
            nu=settings.nu,
            workspace=settings.workspace,
            sync_attempts=settings.sync_attempts,
            secrets_command=resolver_command(settings),
            pass_environment=settings.pass_environment,
            secrets_timeout_s=settings.secrets_timeout_s,
            url=f"http://127.0.0.1:{self._port}",
        )
        await dispatch.open()
        store = self._store = await SqliteStore.open(settings.data_dir, self._failed, lock=self._lock)
        if not store.was_clean:
            self._backend.detail = "the last daemon did not stop in order: the database is being checked"
            try:
                await store.check()
            except StoreCorrupt as error:
                log.critical("nothing is scheduled: %s", error)
                services = Services(_NoEngine(str(error)), store.records, library, dispatch)
                self._backend.open(services, degraded=f"read-only, nothing is scheduled: {error}")
                return
        self._backend.detail = "attempts of the last daemon are being looked at"
        engine = self._engine = EmbeddedEngine(
            store=store,
            dispatch=dispatch,
            library=library,
            clock=SystemClock(),
            chance=SystemChance(),
            observers=[self._feed],
            slots=settings.slots,
            loans_max=settings.loans_max,
            children_max=settings.children_max,
            grace_s=settings.grace_s,
            sign=self._tasks.token,
            on_failure=self._failed,
            offload=asyncio.to_thread,
        )
        await engine.start()
        dispatch.recovered()
        _calm_collector()
        self._backend.open(Services(engine, store.records, library, dispatch))

    def _say_ready(self) -> None:
        """The line on standard output comes last: who waits for it may rely on everything before."""
        settings = self._settings
        url = f"http://127.0.0.1:{self._port}"
        if len(self._sockets) == 1:
            log.warning("there is no IPv6 on this machine: only 127.0.0.1 is served")
        if self._backend.token is None:
            text = "no token is asked for (--auth none): every user and program of this machine can run operations"
            _tell(settings, logging.WARNING, text)
        log.info("ready at %s", url)
        where = f"{url} (pid {os.getpid()}, data {settings.data_dir})"
        print(f"provisioning-orchestrator {__version__} at {where}", flush=True)

    # --- end ---------------------------------------------------------------------------------------------------------

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop.set)
        loop.add_signal_handler(signal.SIGINT, self._interrupted)
        # Not SIG_IGN: an ignored signal would stay ignored in every operation.
        loop.add_signal_handler(signal.SIGHUP, lambda: None)

    def _interrupted(self) -> None:
        self._interrupts += 1
        if self._interrupts > 1:
            _leave(EXIT_INTERRUPTED)
        self._stop.set()

    def _failed(self, error: Exception) -> None:
        """The store can't write any more: what was committed is safe, and only a new process may go on."""
        log.critical("the store failed: %s: %s", type(error).__name__, error)
        self._exit = EXIT_STORE
        self._stop.set()

    async def _close(self) -> None:
        watchdog = threading.Timer(STOP_MAX_S, _leave, [self._exit])
        watchdog.daemon = True
        watchdog.start()
        self._backend.stop()
        self._feed.close()
        await self._server.stop()
        if self._engine is not None:
            await self._engine.stop()
        if self._dispatch is not None:
            await self._dispatch.close()
        if self._store is not None:
            with contextlib.suppress(StoreFailed):
                await self._store.close()
        log.info("stopped")


class _NoEngine:
    """Stands for the engine where the database is damaged: what is there can be read, and nothing is decided."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    async def submit(
        self, name: str, tasks: Sequence[Any], idempotency: Idempotency | None, parent: Parent | None = None
    ) -> tuple[str, bool]:
        raise StoreCorrupt(self._reason)

    def submitter(self, attempt: AttemptId) -> Submitter | None:
        return None

    def waits_for(self, workflow: str, seq: int) -> str | None:
        return None

    async def cancel(self, workflow: str) -> None:
        raise StoreCorrupt(self._reason)

    async def resolve(self, workflow: str, task: str, as_: Resolution) -> None:
        raise StoreCorrupt(self._reason)


def _owned(data_dir: Path) -> DataDirLock:
    """The lock of the data directory, which nobody else may look into. Raises DataDirInUse, OSError."""
    lock = lock_data_dir(data_dir)
    if data_dir.stat().st_mode & 0o077:
        data_dir.chmod(0o700)
    return lock


def _with_room(settings: Settings) -> Settings:
    """With as many files as the system allows, and never more connections than leave room for the work."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(hard, FILES_WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    room = max(soft - FILES_KEPT, soft // 4)
    if soft == resource.RLIM_INFINITY or settings.limits.connections_max <= room:
        return settings
    log.warning("only %s files may be open: at most %s connections are taken", soft, room)
    return replace(settings, limits=replace(settings.limits, connections_max=room))


def _calm_collector() -> None:
    """Keep the garbage collector's pauses short: a look at all objects of a 100,000-task workflow takes 0.2 s.

    What is there at the start stays for good and is never looked at again; young objects are looked at in small lots,
    and all others, where cycles are rare, every ten minutes.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)

    def look_at_all() -> None:
        gc.collect()
        loop.call_later(GC_WHOLE_S, look_at_all)

    loop = asyncio.get_running_loop()
    loop.call_later(GC_WHOLE_S, look_at_all)


def _fail(settings: Settings, code: int, error: Exception) -> int:
    _tell(settings, logging.CRITICAL, str(error))
    return code


def _tell(settings: Settings, level: int, text: str) -> None:
    """To the log and to whoever started us; once, where both are the same standard error: in words at a terminal, and
    else as a line of the log."""
    in_words = settings.log_file is not None or sys.stderr.isatty()
    if settings.log_file is not None or not in_words:
        log.log(level, "%s", text)
    if in_words:
        word = "WARNING: " if level == logging.WARNING else ""
        print(f"provisioning-orchestrator: {word}{text}", file=sys.stderr, flush=True)


def _leave(code: int) -> NoReturn:
    """At once, whatever still hangs. Nothing is lost by it: that is what the store is for."""
    log.warning("leaving without having stopped everything")
    os._exit(code)
