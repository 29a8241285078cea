"""What the handlers work on, and whether it is there yet."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal, Protocol

from .. import __version__
from ..monitor.feed import Feed
from ..ports import AttemptId, Engine, Library, LogChunk, Records
from ..settings import Limits
from .exchange import BodyRoom
from .problems import Refused
from .tasktoken import TaskTokens
from .token import Token

Phase = Literal["starting", "ok", "stopping", "degraded"]


class Logs(Protocol):
    """The part of `ports.Dispatch` that reads logs."""

    async def log(self, id: AttemptId, offset: int, limit: int) -> LogChunk: ...

    async def log_grown(self, id: AttemptId, offset: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Services:
    engine: Engine
    records: Records
    library: Library
    logs: Logs


class Backend:
    """starting ──open()──► ok | degraded ──stop()──► stopping. detail: what there is to say about it."""

    def __init__(self, limits: Limits, feed: Feed, token: Token | None, tasks: TaskTokens | None = None) -> None:
        self.limits = limits
        self.feed = feed
        self.token = token
        self.tasks = tasks
        self.version = __version__
        self.room = BodyRoom(limits.bodies_bytes_max)
        self.phase: Phase = "starting"
        self.detail: str | None = "the store is being opened"
        self._services: Services | None = None
        self._settled = asyncio.Event()

    def open(self, services: Services, *, degraded: str | None = None) -> None:
        """Serve from now on. degraded: what is wrong, where something is."""
        self._services = services
        self.phase, self.detail = ("degraded", degraded) if degraded else ("ok", None)
        self._settled.set()

    def stop(self) -> None:
        self.phase, self.detail = "stopping", "the orchestrator stops; running tasks live on"
        self._settled.set()

    @property
    def services(self) -> Services:
        """Raises Refused while the daemon starts or stops."""
        if self._services is None or self.phase == "stopping":
            code = "stopping" if self.phase == "stopping" else "starting"
            raise Refused(code, self.detail or "", headers=[(b"retry-after", b"1")])
        return self._services

    async def ready(self) -> Services:
        """The services; waits a moment for a daemon that is just starting. Raises Refused."""
        if self.phase == "starting":
            try:
                async with asyncio.timeout(self.limits.start_wait_s):
                    await self._settled.wait()
            except TimeoutError:
                pass
        return self.services
