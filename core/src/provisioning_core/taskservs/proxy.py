"""A process of its own: an HTTP forward proxy on a server's loopback, whose other end is here.

Standard input: one line of JSON {"ssh": …, "hosts": [allowed], "cache": directory or null}; it ends at the end of file,
so with whoever started it. Standard output: `{"port": N}` once it listens on the server, or `{"error": "…"}`.

It serves plain HTTP (`GET http://host/path`) and CONNECT, to the allowed hosts and the ports 80 and 443 only: what is
on the server gets no way into the networks of this machine. Packages (*.deb, and lists by their hash) never change
under their names, so they are kept in the cache for the next server.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncssh

from ..login import login

CHUNK = 65536
HEAD_BYTES_MAX = 65536
CONNECT_S, READ_S = 20, 60
CACHE_BYTES_MAX = 2 * 1024**3
_FOREVER = re.compile(r"/[^/?#]+\.u?deb|/by-hash/SHA256/[0-9a-f]{64}")
_HOP_BY_HOP = (
    "connection",
    "proxy-connection",
    "keep-alive",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "proxy-authorization",
)


@dataclass(frozen=True, slots=True)
class Proxy:
    """hosts, ports: what may be asked. cache: None: nothing is kept."""

    hosts: frozenset[str]
    cache: Path | None
    ports: frozenset[int] = frozenset({80, 443})

    async def serve(self, reader: Any, writer: Any) -> None:
        """One connection of a client, one request after the other."""
        try:
            while await self._answer(reader, writer):
                pass
        except (OSError, asyncssh.Error, asyncio.IncompleteReadError, ValueError):
            pass  # the one end or the other has gone; the client asks again
        finally:
            writer.close()

    async def _answer(self, reader: Any, writer: Any) -> bool:
        """Whether another request may follow."""
        head = await _head(reader)
        if head is None:
            return False
        method, target, _ = head[0].split(" ", 2)
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            await self._tunnel(host, int(port), reader, writer)
            return False
        url = urlsplit(target)
        if url.scheme != "http" or method not in ("GET", "HEAD"):
            return await _refuse(writer, "501 Not Implemented", f"{method} {target[:100]}")
        if not self._allowed(url.hostname or "", url.port or 80):
            return await _refuse(
                writer, "403 Forbidden", f"{url.netloc} is no package source of the controlling machine"
            )
        kept = self._place(target) if method == "GET" else None
        if kept is not None and kept.is_file():
            last = any(line.lower().replace(" ", "") == "connection:close" for line in head[1:])
            return await _send_file(writer, kept) and not last
        return await self._fetch(url, head, writer, kept)

    async def _tunnel(self, host: str, port: int, reader: Any, writer: Any) -> None:
        if not self._allowed(host, port):
            await _refuse(writer, "403 Forbidden", f"{host}:{port} is no package source of the controlling machine")
            return
        far = await _dial(host, port, writer)
        if far is None:
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(_pump(reader, far[1]), _pump(far[0], writer))
        finally:
            far[1].close()

    async def _fetch(self, url: Any, head: Sequence[str], writer: Any, kept: Path | None) -> bool:
        """By the standard library's client: sources may answer in chunks, and some refuse HTTP/1.0."""
        far = http.client.HTTPConnection(url.hostname, url.port or 80, timeout=READ_S)
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        headers = dict(_passed_on([line.partition(":")[::2] for line in head[1:]]))
        try:
            await asyncio.to_thread(far.request, head[0].split(" ")[0], path, headers=headers | {"Connection": "close"})
            answer = await asyncio.to_thread(far.getresponse)
        except (OSError, http.client.HTTPException) as error:
            far.close()
            return await _refuse(writer, "502 Bad Gateway", f"{url.netloc}: {error or type(error).__name__}")
        try:
            said = [f"{name}: {value}" for name, value in _passed_on(answer.getheaders())]
            text = "\r\n".join([f"HTTP/1.1 {answer.status} {answer.reason}", *said, "Connection: close", "", ""])
            writer.write(text.encode("latin-1"))
            whole = answer.status == 200 and answer.getheader("Content-Encoding") is None
            await _keep_and_send(answer, writer, kept if whole else None)
            return False
        finally:
            far.close()

    def _allowed(self, host: str, port: int) -> bool:
        return host.lower() in self.hosts and port in self.ports

    def _place(self, target: str) -> Path | None:
        if self.cache is None or not _FOREVER.search(urlsplit(target).path):
            return None
        return self.cache / hashlib.sha256(target.encode()).hexdigest()


async def run(told: Mapping[str, Any]) -> None:
    """Until standard input ends, or the connection."""
    ssh = told["ssh"]
    cache = Path(told["cache"]) if told["cache"] else None
    if cache is not None:
        make_room(cache)
    proxy = Proxy(frozenset(host.lower() for host in told["hosts"]), cache)
    async with asyncssh.connect(**login(ssh, CONNECT_S)) as connection:
        listener = await connection.start_server(
            lambda _host, _port: proxy.serve, "127.0.0.1", 0, encoding=None, window=4 << 20
        )
        print(json.dumps({"port": listener.get_port()}), flush=True)
        over = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(0, lambda: _hear_end(over))
        closed = asyncio.ensure_future(connection.wait_closed())
        await asyncio.wait([over, closed], return_when=asyncio.FIRST_COMPLETED)
        connection.abort()


def make_room(cache: Path) -> None:
    """The directory; of more than CACHE_BYTES_MAX in it the oldest go, and what a killed process had begun."""
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in cache.iterdir() if path.is_file())
    size = sum(each[1] for each in files)
    for _, bytes_, path in files:
        stale = ".part." in path.name and not Path(f"/proc/{path.name.rpartition('.')[2]}").exists()
        if size > CACHE_BYTES_MAX or stale:
            path.unlink(missing_ok=True)
            size -= bytes_


def _hear_end(over: asyncio.Future[None]) -> None:
    if not os.read(0, CHUNK) and not over.done():
        over.set_result(None)


async def _head(reader: Any) -> list[str] | None:
    """The lines of a head, without the empty one; None at the end of the connection."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        line = await reader.readline()
        if not line or len(data) > HEAD_BYTES_MAX:
            return None
        data += line if line.endswith(b"\r\n") else line.rstrip(b"\n") + b"\r\n"
    return data.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")


async def _dial(host: str, port: int, writer: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    try:
        async with asyncio.timeout(CONNECT_S):
            return await asyncio.open_connection(host, port)
    except (OSError, TimeoutError) as error:
        await _refuse(writer, "502 Bad Gateway", f"{host}:{port}: {error or 'no answer'}")
        return None


async def _refuse(writer: Any, status: str, why: str) -> bool:
    body = f"{why}\n".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode("latin-1") + body)
    await writer.drain()
    return False


async def _send_file(writer: Any, file: Path) -> bool:
    data = await asyncio.to_thread(file.read_bytes)
    os.utime(file)
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\n\r\n".encode())
    for start in range(0, len(data), CHUNK):
        writer.write(data[start : start + CHUNK])
        await writer.drain()
    return True


async def _keep_and_send(answer: http.client.HTTPResponse, writer: Any, kept: Path | None) -> None:
    """kept: put there, whole or not at all."""
    length = answer.length
    part = kept.with_name(f"{kept.name}.part.{os.getpid()}") if kept and length is not None else None
    size = 0
    with part.open("wb") if part else open(os.devnull, "wb") as file:  # noqa: PTH123
        while data := await asyncio.to_thread(answer.read, CHUNK):
            size += len(data)
            file.write(data)
            writer.write(data)
            await writer.drain()
    if part is not None and kept is not None:
        part.replace(kept) if size == length else part.unlink()


def _passed_on(headers: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Those that are not about one connection only."""
    for name, value in headers:
        if name.strip().lower() not in _HOP_BY_HOP:
            yield name.strip(), value.strip()


async def _pump(source: Any, target: Any) -> None:
    while data := await source.read(CHUNK):
        target.write(data)
        await target.drain()
    target.write_eof()


def _line(descriptor: int) -> bytes:
    """Byte by byte: nothing of what follows may be taken, for its end is waited for elsewhere."""
    line = b""
    while not line.endswith(b"\n") and (data := os.read(descriptor, 1)):
        line += data
    return line


def main() -> None:
    told = json.loads(_line(0))
    try:
        asyncio.run(run(told))
    except (OSError, asyncssh.Error) as error:
        print(json.dumps({"error": str(error)}), flush=True)


if __name__ == "__main__":
    main()
