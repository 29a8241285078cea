"""A TCP connection: uvicorn's HTTP protocol with limits on what one client may take.

    accepted ──too many connections──► 503, closed
       │
      idle ──first byte──► head ──complete──► body ──complete──► idle
       └ keep_alive_s        │ head_timeout_s: 408   └ body_timeout_s: 408
                             └ head_bytes_max: 431

Timers run only while something is incomplete after a read: a request that comes in one piece arms none. What is refused
here is refused before any code of ours has seen a request, in the same words (problem+json) and with the same headers.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from ..settings import Limits
from .exchange import STANDING
from .problems import PROBLEM_TYPE, Refused, encode_problem

Phase = Literal["idle", "head", "body"]


class Connection(HttpToolsProtocol):
    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: Limits,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._phase: Phase = "idle"
        self._timed: Phase = "idle"
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._refusal: Refused | None = None

    # --- the connection ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if len(self.connections) >= self._limits.connections_max:
            count = self._limits.connections_max
            busy = Refused("too_busy", f"{count} connections are open, which is all", headers=[(b"retry-after", b"1")])
            transport.write(_answer(busy))
            transport.close()
            self.transport = transport
            return
        super().connection_made(transport)
        self._arm("head", self._limits.head_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self.resume_writing()
        if self in self.connections:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.parser is None or self.transport.is_closing():
            return
        in_head = self._phase != "body"
        super().data_received(data)
        if in_head and self._phase == "head":
            self._head_bytes += len(data)
            if self._head_bytes > self._limits.head_bytes_max:
                self._refuse(self._head_too_large())
        if self._phase == "idle":
            self._disarm()
        elif self._phase != self._timed:
            limits = self._limits
            self._arm(self._phase, limits.head_timeout_s if self._phase == "head" else limits.body_timeout_s)

    # --- the parser's callbacks --------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._phase = "head"
        self._head_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._phase = "body"
        if not self.url.startswith(b"/"):
            # `GET http://elsewhere/ HTTP/1.1` and `OPTIONS *`: nothing of ours sends these, and the host would be two.
            raise httptools.HttpParserInvalidURLError("the target is not a path")
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._phase = "idle"
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._refusal or Refused("bad_http", "the request is no valid HTTP/1.1"))

    def _unsupported_upgrade_warning(self) -> None:
        """Upgrades are answered as the plain request that they come with; a line in the log for each helps nobody."""

    # --- slow readers ------------------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(self._limits.write_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        if self.flow is not None:
            super().resume_writing()

    # --- limits ------------------------------------------------------------------------------------------------------

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._limits.head_bytes_max:
            self._refusal = self._head_too_large()
            raise ValueError("the head is too large")

    def _head_too_large(self) -> Refused:
        return Refused("head_too_large", f"the head of the request has more than {self._limits.head_bytes_max} bytes")

    def _arm(self, phase: Phase, delay_s: float) -> None:
        self._disarm()
        self._timed = phase
        self._timer = self.loop.call_later(delay_s, self._too_slow)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timed = "idle"

    def _too_slow(self) -> None:
        self._timer = None
        if self._phase == "idle":  # it connected and said nothing
            self.transport.close()
        else:
            self._refuse(Refused("too_slow", f"the {self._phase} of the request did not arrive in time"))

    def _refuse(self, refused: Refused) -> None:
        """Answer where no other answer has begun, and close."""
        if self.transport.is_closing():
            return
        cycle = self.cycle
        answering = cycle is not None and not cycle.response_complete
        busy = bool(self.pipeline) or (answering and (cycle.response_started or self._phase == "head"))
        if not busy:
            self.transport.write(_answer(refused))
            if cycle is not None:
                cycle.disconnected = True
                cycle.message_event.set()
        self.transport.close()


def _answer(refused: Refused) -> bytes:
    body = encode_problem(refused, None)
    head = [*STANDING, (b"content-type", PROBLEM_TYPE), (b"content-length", b"%d" % len(body)), *refused.headers]
    lines = b"".join(b"%b: %b\r\n" % pair for pair in [*head, (b"connection", b"close")])
    return STATUS_LINE[refused.status] + lines + b"\r\n" + body
