"""One HTTP exchange: what was asked, as handlers want to read it, and the answer. Plain ASGI below."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from ..ports import Submitter
from .problems import PROBLEM_TYPE, Refused, encode_problem

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
Write = Callable[[bytes], Awaitable[None]]

JSON_TYPE = b"application/json"
# On every answer. Nothing that is served here may run, be framed, be kept or be taken for another type by a browser.
STANDING: Headers = [
    (b"server", b"provisioning-orchestrator"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]
QUERY_FIELDS_MAX = 20


class ClientGone(Exception):
    """Nobody is there any more to be answered."""


class BodyRoom:
    """How many bytes of bodies may be in memory at one time, over all exchanges."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.taken = 0

    def take(self, count: int) -> None:
        if self.taken + count > self.bytes_max:
            raise Refused(
                "too_busy",
                f"bodies of {self.taken} bytes are being read; together they may have {self.bytes_max}",
                headers=[(b"retry-after", b"1")],
            )
        self.taken += count

    def give_back(self, count: int) -> None:
        self.taken -= count


class Exchange:
    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.parts: dict[str, str] = {}
        self.submitter: Submitter | None = None  # where the token is an attempt's
        self.answered = False
        self._receive = receive
        self._send = send
        self._held = 0

    # --- the question ------------------------------------------------------------------------------------------------

    def header(self, name: bytes) -> bytes | None:
        """The one header of that name (lower case). Raises Refused where there are several."""
        found = headers_named(self.scope, name)
        if len(found) > 1:
            raise Refused("bad_header", f"the header {name.decode()} is there {len(found)} times; once is expected")
        return found[0] if found else None

    def query(self, *known: str) -> dict[str, str]:
        """The query's fields. Raises Refused for others than the known ones, and for one that comes twice."""
        raw: bytes = self.scope["query_string"]
        if not raw:
            return {}
        try:
            pairs = parse_qsl(
                raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=QUERY_FIELDS_MAX
            )
        except ValueError:
            raise Refused("bad_query", "the query is no percent-encoded UTF-8, or has too many fields") from None
        fields: dict[str, str] = {}
        for name, value in pairs:
            if name not in known:
                accepted = f"known are {', '.join(known)}" if known else "none is known here"
                raise Refused("bad_query", f"no query parameter {name[:80]!r} is known; {accepted}")
            if name in fields:
                raise Refused("bad_query", f"the query parameter {name!r} is there twice")
            fields[name] = value
        return fields

    async def body(self, bytes_max: int, room: BodyRoom) -> bytes:
        """The whole body. Raises Refused where it is larger than bytes_max or the room left, ClientGone."""
        length = headers_named(self.scope, b"content-length")
        if length and length[0].isdigit() and int(length[0][:20]) > bytes_max:
            raise _too_large(bytes_max)
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            whole: bytes = message.get("body", b"")
            if len(whole) > bytes_max:
                raise _too_large(bytes_max)
            return whole
        parts = bytearray()
        while True:
            if message["type"] != "http.request":
                raise ClientGone
            part = message.get("body", b"")
            room.take(len(part))
            self._held += len(part)
            parts += part
            if len(parts) > bytes_max:
                raise _too_large(bytes_max)
            if not message.get("more_body"):
                return bytes(parts)
            message = await self._receive()

    def give_back(self, room: BodyRoom) -> None:
        room.give_back(self._held)
        self._held = 0

    # --- the answer --------------------------------------------------------------------------------------------------

    async def reply(
        self, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]] = (), type: bytes = JSON_TYPE
    ) -> None:
        self.answered = True
        await answer(self._send, status, body, headers, type)

    async def refuse(self, refused: Refused) -> None:
        await self.reply(refused.status, encode_problem(refused, self.path), refused.headers, PROBLEM_TYPE)

    async def stream(
        self, type: bytes, headers: Iterable[tuple[bytes, bytes]], produce: Callable[[Write], Awaitable[bool]]
    ) -> None:
        """Send what `produce` writes, until it returns or the client is gone.

        produce: returns whether the end was reached; False cuts the connection off, so that nobody takes it for the
        end.
        """
        self.answered = True
        await self._send(
            {"type": "http.response.start", "status": 200, "headers": [*STANDING, (b"content-type", type), *headers]}
        )
        if self.method == "HEAD":
            await self._send({"type": "http.response.body", "body": b""})
            return
        gone = asyncio.create_task(self._gone())
        pump = asyncio.ensure_future(produce(self._write))
        try:
            await asyncio.wait({gone, pump}, return_when=asyncio.FIRST_COMPLETED)
            if not pump.done():
                raise ClientGone
            if await pump:
                await self._send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()
            pump.cancel()
            await asyncio.gather(gone, pump, return_exceptions=True)

    async def _write(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def _gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def answer(
    send: Send, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]] = (), type: bytes = JSON_TYPE
) -> None:
    """A whole answer."""
    head = [*STANDING, (b"content-type", type), (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


def headers_named(scope: Scope, name: bytes) -> list[bytes]:
    return [value for other, value in scope["headers"] if other == name]


def _too_large(bytes_max: int) -> Refused:
    return Refused(
        "too_large",
        f"the body has more than {bytes_max} bytes",
        hint="send less, or start the daemon with a larger PROVISIONING_ORCHESTRATOR_BODY_BYTES_MAX",
    )
