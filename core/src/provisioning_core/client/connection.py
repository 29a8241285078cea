"""One HTTP exchange with the orchestrator: sends the token, decodes JSON, turns refusals into errors.

No proxies, no redirects, no cookies: the orchestrator is on this machine, or at the one URL that was named. A new
connection for each exchange: on loopback it costs 0.1 ms, and there is never a stale one after the daemon restarted.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from ..errors import ProvisioningError, UnreachableError, UsageError
from ..settings import Setting
from .refusal import refusal

TIMEOUT_S = 30.0
ANSWER_BYTES_MAX = 256 * 1024 * 1024
TOKEN_BYTES_MAX = 4096


class BrokenOff(UnreachableError):
    """The connection came about and ended before the whole answer: what was asked may have been done."""


class Connection:
    def __init__(self, url: Setting, token_file: Setting) -> None:
        self.url = url
        self.token_file = token_file
        parts = urlsplit(url.value)
        try:
            self._host, self._port = parts.hostname or "", parts.port
        except ValueError as error:
            raise UsageError(f"the URL {url.value!r} (from {url.origin}): {error}", code="bad_url") from error
        if not self._host or parts.username or parts.query or parts.fragment:
            raise UsageError(
                f"the URL {url.value!r} (from {url.origin}) is not that of an orchestrator",
                code="bad_url",
                hint="scheme, host and port, such as http://127.0.0.1:9090",
            )
        self._secure = parts.scheme == "https"
        self._prefix = parts.path

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Any:
        """The decoded JSON of the answer, None where it is empty. Raises what `refusal` says, UnreachableError."""
        with self.open(method, path, query=query, body=body, headers=headers, timeout_s=timeout_s) as answer:
            raw = _read(answer, self.url.value)
        if not raw:
            return None
        try:
            return json.loads(raw)
        except ValueError as error:
            raise self.stranger(f"answered {raw[:80]!r}") from error

    def open(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> OpenAnswer:
        """The answer with its body unread; to be closed. timeout_s holds for each wait on the socket."""
        wire = self._connect(timeout_s)
        target = self._prefix + path
        if query:
            target += "?" + urlencode({name: value for name, value in query.items() if value is not None})
        sent = {"Accept": "application/json", **self._authorization(), **(headers or {})}
        payload = None
        if body is not None:
            payload = json.dumps(body, ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass")
            sent["Content-Type"] = "application/json"
        elif method != "GET":
            sent["Content-Length"] = "0"
        line = wire.sock  # http.client forgets it where the answer ends with the connection
        try:
            wire.request(method, target, body=payload, headers=sent)
            answer = wire.getresponse()
        except (OSError, http.client.HTTPException) as error:
            wire.close()
            raise BrokenOff(
                f"the orchestrator at {self.url.value} ended the connection before it answered ({_words(error)})",
                code="connection_broken",
                hint="provisioning orchestrator status",
            ) from error
        opened = OpenAnswer(wire, answer, line)
        if answer.status >= 300:
            with opened:
                raise self._refused(answer)
        return opened

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        try:
            if self._secure:
                wire: http.client.HTTPConnection = http.client.HTTPSConnection(
                    self._host, self._port, timeout=timeout_s
                )
                wire.connect()
            else:
                wire = http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)
                # An address in bytes is not put through IDNA, whose tables would have to be imported.
                address = self._host.encode() if self._host.isascii() else self._host
                wire.sock = socket.create_connection((address, wire.port), timeout_s)  # type: ignore[arg-type]
                wire.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except (OSError, http.client.HTTPException) as error:
            raise UnreachableError(
                f"no orchestrator answers at {self.url.value} ({_words(error)})",
                code="unreachable",
                hint=self._start_hint(),
            ) from error
        return wire

    def _start_hint(self) -> str:
        if self._host in ("127.0.0.1", "::1", "localhost"):
            return "provisioning orchestrator start"
        return f"the URL comes from {self.url.origin}; is that host up?"

    def _authorization(self) -> dict[str, str]:
        token = read_token(Path(self.token_file.value))
        return {"Authorization": f"Bearer {token}"} if token else {}

    def _refused(self, answer: http.client.HTTPResponse) -> ProvisioningError:
        raw = _read(answer, self.url.value)
        if "json" not in (answer.headers.get("Content-Type") or ""):
            return self.stranger(f"HTTP {answer.status}, {answer.headers.get('Server') or 'no name'}")
        try:
            problem = json.loads(raw)
        except ValueError:
            problem = {}
        return refusal(
            answer.status,
            problem if isinstance(problem, dict) else {},
            retry_after=answer.headers.get("Retry-After"),
            token_origin=f"{self.token_file.value} (from {self.token_file.origin})",
            token_found=bool(read_token(Path(self.token_file.value))),
        )

    def stranger(self, what: str) -> UnreachableError:
        """The error for an answer that no orchestrator would give."""
        return UnreachableError(
            f"something answers at {self.url.value}, but it is not an orchestrator ({what})",
            code="not_an_orchestrator",
            hint="provisioning orchestrator start --port 9190, then --url http://127.0.0.1:9190 or PROVISIONING_URL",
        )


class OpenAnswer:
    """An answer whose body is being read; closing it ends the connection, also from another thread."""

    def __init__(self, wire: http.client.HTTPConnection, answer: http.client.HTTPResponse, line: socket.socket) -> None:
        self._wire = wire
        self.answer = answer
        self._line = line

    def __enter__(self) -> http.client.HTTPResponse:
        return self.answer

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.answer.close()
        self._wire.close()

    def abort(self) -> None:
        """Wake a reader in another thread: it sees the end of the stream."""
        try:
            self._line.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def path_of(*parts: str) -> str:
    """A path of the API: each part is one segment, whatever it holds."""
    return "".join("/" + quote(part, safe="") for part in parts)


def read_token(path: Path) -> str | None:
    """The token in the file; None where there is no file. Raises UsageError where it cannot be read or is no token."""
    try:
        with path.open("rb") as file:
            raw = file.read(TOKEN_BYTES_MAX)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(
            f"cannot read the token file {path}: {error.strerror}",
            code="bad_token_file",
            hint="PROVISIONING_TOKEN_FILE names it",
        ) from error
    token = raw.strip()
    if not token:
        return None
    if not token.isascii() or any(byte < 33 or byte > 126 for byte in token):
        raise UsageError(f"the token file {path} does not hold one token", code="bad_token_file")
    return token.decode("ascii")


def _read(answer: http.client.HTTPResponse, url: str) -> bytes:
    try:
        raw = answer.read(ANSWER_BYTES_MAX)
        if answer.length not in (None, 0):
            raise http.client.IncompleteRead(raw)
    except (OSError, http.client.HTTPException) as error:
        raise BrokenOff(
            f"the orchestrator at {url} ended the connection in the middle of its answer ({_words(error)})",
            code="connection_broken",
            hint="provisioning orchestrator status",
        ) from error
    return raw


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
