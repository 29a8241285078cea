"""uvicorn, as the daemon wants it: its own sockets and signals, our limits, and a stop that streams don't hold up."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, cast

import uvicorn
from uvicorn.lifespan.off import LifespanOff

from ..settings import Limits
from .connection import Connection

DATE_S = 1.0
BACKLOG = 1024


class Server(uvicorn.Server):
    """`start`, then `stop`; a second `stop` does nothing."""

    def __init__(self, app: Any, limits: Limits) -> None:
        protocol = cast("type[asyncio.Protocol]", partial(Connection, limits=limits))
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=BACKLOG,
                timeout_keep_alive=cast(int, limits.keep_alive_s),
                timeout_graceful_shutdown=cast(int, limits.stop_s),
            )
        )
        self._sockets: list[socket.socket] = []
        self._dating: asyncio.Task[None] | None = None

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Returns when connections are accepted."""
        self._sockets = list(sockets)
        self.config.load()
        self.lifespan = LifespanOff(self.config)
        await self.on_tick(0)
        await self.startup(self._sockets)
        self._dating = asyncio.create_task(self._keep_date())

    async def stop(self) -> None:
        """Accept no more, let requests in flight end for at most stop_s, cut off the rest."""
        if self._dating is None:
            return
        self._dating.cancel()
        self._dating = None
        self.should_exit = True
        await self.shutdown(self._sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    async def _keep_date(self) -> None:
        while True:
            await asyncio.sleep(DATE_S)
            await self.on_tick(0)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
