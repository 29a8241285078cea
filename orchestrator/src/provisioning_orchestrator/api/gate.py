"""The one gate under every route and every transport: whatever does not pass here reaches nothing.

In this order: the Host header names this daemon (else a web page rebound its name to us: 421); no Origin but our own
and no cross-site fetch (403); the token, on every path but exactly `GET /health` (401); a change is sent as
application/json, which no web page can do without asking first (415). No path is tested for its end, beginning or part:
the exemption is one string.
"""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Awaitable, Callable
from time import monotonic

from .exchange import JSON_TYPE, Receive, Scope, Send, answer, headers_named
from .problems import PROBLEM_TYPE, Refused, encode_problem
from .tasktoken import TaskTokens
from .token import Token

OPEN = ("GET", "/health")
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
FAILURES_FREE = 5
FAILURES_WINDOW_S = 60.0
HELD_BACK_MAX = 50
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9/_.-]{0,300}")

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Gate:
    """An ASGI application around the real one. token: None under `--auth none`: everything else stays checked.

    tasks: knows the tokens of attempts; whose it was is in the scope under `attempt` (see `scope`, which limits them).
    """

    def __init__(
        self, app: Application, port: int, token: Token | None, backoff_s: float = 1.0, tasks: TaskTokens | None = None
    ) -> None:
        self._app = app
        self._token = token
        self._tasks = tasks
        self._url = f"http://127.0.0.1:{port}"
        names = [f"{name}:{port}" for name in ("127.0.0.1", "[::1]", "localhost")]
        self._hosts = frozenset(name.encode() for name in names)
        self._origins = frozenset(b"http://" + host for host in self._hosts)
        self._backoff_s = backoff_s
        self._failures: list[float] = []
        self._held_back = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # there is no WebSocket here, and no lifespan
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        try:
            self._admit(scope)
        except Refused as refused:
            if refused.code == "unauthorized" and headers_named(scope, b"authorization"):
                await self._hold_back()
            body = encode_problem(refused, scope["path"])
            await answer(send, refused.status, body, refused.headers, PROBLEM_TYPE)
            return
        await self._app(scope, receive, send)

    def _admit(self, scope: Scope) -> None:
        self._check_host(headers_named(scope, b"host"))
        self._check_origin(headers_named(scope, b"origin"), headers_named(scope, b"sec-fetch-site"))
        if (scope["method"], scope["path"]) != OPEN and not self._is_task(scope) and self._token is not None:
            self._check_token(scope, self._token)
        if scope["method"] not in SAFE_METHODS and not _is_bodiless(scope):
            _check_type(headers_named(scope, b"content-type"))

    def _check_host(self, hosts: list[bytes]) -> None:
        if len(hosts) != 1 or hosts[0].strip().lower() not in self._hosts:
            shown = ", ".join(repr(host.decode("latin-1")) for host in hosts) or "none"
            raise Refused("foreign_host", f"the Host header is {shown}; this is {self._url}", hint=f"use {self._url}")

    def _check_origin(self, origins: list[bytes], sites: list[bytes]) -> None:
        if any(origin.strip().lower() not in self._origins for origin in origins):
            shown = origins[0].decode("latin-1")
            raise Refused("foreign_origin", f"requests from the web page {shown!r} are not taken")
        if any(site.strip().lower() not in (b"none", b"same-origin") for site in sites):
            raise Refused("foreign_origin", "requests from other web pages (Sec-Fetch-Site) are not taken")

    def _is_task(self, scope: Scope) -> bool:
        """Whether the token is an attempt's; then that is noted."""
        sent = headers_named(scope, b"authorization")
        scheme, _, presented = sent[0].strip().partition(b" ") if len(sent) == 1 else (b"", b"", b"")
        attempt = self._tasks.read(presented.strip()) if self._tasks and scheme.lower() == b"bearer" else None
        if attempt is not None:
            scope["attempt"] = attempt
        return attempt is not None

    def _check_token(self, scope: Scope, token: Token) -> None:
        sent = headers_named(scope, b"authorization")
        if not sent:
            raise self._unauthorized("there is no token in the request", scope)
        scheme, _, presented = sent[0].strip().partition(b" ")
        if len(sent) > 1 or scheme.lower() != b"bearer":
            raise self._unauthorized("the Authorization header is no `Bearer` token", scope)
        if not token.fits(presented.strip()):
            raise self._unauthorized("the token is not this daemon's", scope)

    def _unauthorized(self, what: str, scope: Scope) -> Refused:
        assert self._token is not None
        detail = f"{what}; it is in {self._token.file} and is sent so:\n" + "\n".join(self._lines(scope))
        return Refused("unauthorized", detail, headers=[(b"www-authenticate", b'Bearer realm="provisioning"')])

    def _lines(self, scope: Scope) -> tuple[str, str]:
        """The same request for curl and for Nushell. Only a plain path is repeated: people paste these lines."""
        assert self._token is not None
        url = self._url + (scope["path"] if _PLAIN_PATH.fullmatch(scope["path"]) else "/workflows")
        file = str(self._token.file)
        quoted = f"'{file}'" if "'" not in file else f"`{file}`"
        bearer = f'{{Authorization: $"Bearer (open --raw {quoted} | str trim)"}}'
        header = f'-H "Authorization: Bearer $(cat {shlex.quote(file)})"'
        if scope["method"] in SAFE_METHODS:
            return f"curl {header} {url}", f"http get --headers {bearer} {url}"
        return (
            f"curl {header} -H 'Content-Type: application/json' -d '{{}}' {url}",
            f"http post --content-type application/json --headers {bearer} {url} {{}}",
        )

    async def _hold_back(self) -> None:
        """After some wrong tokens in a minute each further one is answered late; right ones are not."""
        now = monotonic()
        self._failures = [at for at in self._failures[-FAILURES_FREE:] if now - at < FAILURES_WINDOW_S]
        self._failures.append(now)
        if len(self._failures) > FAILURES_FREE and self._held_back < HELD_BACK_MAX:
            self._held_back += 1
            try:
                await asyncio.sleep(self._backoff_s)
            finally:
                self._held_back -= 1


def _is_bodiless(scope: Scope) -> bool:
    """`curl -X POST …/cancel`: what says nothing needs no type. From a web page it would still carry its Origin."""
    types = headers_named(scope, b"content-type")
    lengths = headers_named(scope, b"content-length")
    return not types and lengths in ([], [b"0"]) and not headers_named(scope, b"transfer-encoding")


def _check_type(types: list[bytes]) -> None:
    if len(types) == 1:
        type, *parameters = [part.strip().lower() for part in types[0].split(b";")]
        if type == JSON_TYPE and all(one in (b"", b"charset=utf-8", b'charset="utf-8"') for one in parameters):
            return
    shown = ", ".join(repr(one.decode("latin-1")) for one in types) or "missing"
    raise Refused("json_expected", f"the Content-Type is {shown}", hint="Content-Type: application/json")
