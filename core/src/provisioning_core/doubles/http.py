"""A small threaded HTTP/1.1 server on loopback: routes by method and pattern, a thread per connection, keep-alive.

    with Server([Route("GET", "/servers/{id}", show), …], missing=not_found) as server:
        server.url                      # http://127.0.0.1:PORT

A handler takes a Request and gives an Answer; `Answer.lost()` closes the connection without one. Whoever has to wait in
a handler waits with `server.pause`, which ends when the server closes.
"""

from __future__ import annotations

import json
import re
import socketserver
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

BODY_MAX = 8 * 1024 * 1024
_IDLE_S = 120


@dataclass(frozen=True, slots=True)
class Request:
    """query: in order, a name may come twice. headers: names in lower case. parts: what the `{names}` matched."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    content: bytes
    parts: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        """Raises ValueError. None for an empty body."""
        return json.loads(self.content) if self.content else None

    def all(self, name: str) -> list[str]:
        return [value for each, value in self.query if each == name]

    def first(self, name: str) -> str | None:
        return next(iter(self.all(name)), None)


@dataclass(frozen=True, slots=True)
class Answer:
    """body: bytes as they are, None: nothing, else JSON. status 0: the connection closes without an answer."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def lost(cls) -> Answer:
        return cls(status=0)


Handler = Callable[[Request], Answer]


@dataclass(frozen=True, slots=True)
class Route:
    """pattern: `{name}` matches one part of the path, without a slash."""

    method: str
    pattern: str
    handler: Handler


class Server:
    """Listens from its making on, answers from `start` (or `with`) on. port 0: a free one. Raises OSError."""

    def __init__(self, routes: Sequence[Route], *, missing: Handler, host: str = "127.0.0.1", port: int = 0) -> None:
        self._routes = [(each.method, _compiled(each.pattern), each.handler) for each in routes]
        self._missing = missing
        self._closing = threading.Event()
        self._http = _Listener((host, port), type("_Bound", (_Connection,), {"answer": staticmethod(self._answer)}))
        self._thread: threading.Thread | None = None
        self.host = host
        self.port: int = self._http.server_address[1]
        self.url = f"http://{host}:{self.port}"

    def start(self) -> None:
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), name="double", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """No request is accepted any more, pauses end; idempotent."""
        self._closing.set()
        if self._thread is not None:
            self._http.shutdown()
            self._thread.join()
            self._thread = None
        self._http.server_close()

    def pause(self, delay_s: float) -> None:
        self._closing.wait(delay_s)

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self, request: Request) -> Answer:
        for method, pattern, handler in self._routes:
            if method == request.method and (match := pattern.fullmatch(request.path)):
                parts = {name: unquote(part) for name, part in match.groupdict().items()}
                return handler(
                    Request(request.method, request.path, request.query, request.headers, request.content, parts)
                )
        return self._missing(request)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a stalled request must not hold up the end
    request_queue_size = 1024

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # HTTPServer's looks its own name up, which may take a DNS timeout

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that went away is none of our errors; what a handler raises is answered with 500 and its words."""


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_S
    disable_nagle_algorithm = True
    answer: Callable[[Request], Answer]

    def _handle(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > BODY_MAX or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            return self._send(Answer(413 if length.isdecimal() else 411))
        content = self.rfile.read(int(length))
        target = urlsplit(self.path)
        query = tuple(parse_qsl(target.query, keep_blank_values=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            answer = type(self).answer(Request(self.command, target.path, query, headers, content))
        except Exception as error:
            answer = Answer(500, {"error": {"code": "double_failed", "message": f"{type(error).__name__}: {error}"}})
        if answer.status == 0:
            self.close_connection = True
            return None
        return self._send(answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _handle

    def _send(self, answer: Answer) -> None:
        """Head and body in one write: two would wait for each other."""
        is_json = answer.body is not None and not isinstance(answer.body, bytes)
        content: bytes = json.dumps(answer.body).encode() if is_json else answer.body or b""
        headers = {"Content-Type": "application/json"} if is_json else {}
        headers |= answer.headers
        if answer.status != 204:
            headers["Content-Length"] = str(len(content))
        if self.close_connection:
            headers["Connection"] = "close"
        phrase = self.responses.get(answer.status, ("", ""))[0]
        lines = [f"HTTP/1.1 {answer.status} {phrase}", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        silent = self.command == "HEAD" or answer.status == 204
        self.wfile.write("\r\n".join(lines).encode() + (b"" if silent else content))

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what a double did stands in its ledger."""


def _compiled(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", pattern)
    return re.compile(
        "".join(re.escape(part) if at % 2 == 0 else f"(?P<{part}>[^/]+)" for at, part in enumerate(parts))
    )
