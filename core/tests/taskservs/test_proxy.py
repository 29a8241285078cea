"""The lent way to the package sources: to them and nowhere else, and gone with whoever lent it."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from provisioning_core.taskservs.proxy import Proxy, make_room
from provisioning_core.taskservs.proxying import Loan, source_hosts

from .attempts import until
from .conftest import Box

BODY = b"a package " * 20_000


class Source(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked: list[str]

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        if self.path == "/chunked":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"5\r\nhello\r\n0\r\n\r\n")
            return
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, format: str, *arguments: object) -> None: ...


@pytest.fixture
def source() -> Iterator[ThreadingHTTPServer]:
    Source.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Source) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def through(proxy: Proxy, *requests: str) -> bytes:
    """What one connection to the proxy hears until its end."""

    async def ask() -> bytes:
        async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write("".join(f"{request}\r\nHost: x\r\n\r\n" for request in requests).encode())
            said = await asyncio.wait_for(reader.read(), 30)
            writer.close()
            return said

    return asyncio.run(ask())


def proxy_for(source: ThreadingHTTPServer, cache: Path | None = None) -> tuple[Proxy, str]:
    host, port = str(source.server_address[0]), int(source.server_address[1])
    return Proxy(frozenset({host}), cache, frozenset({port})), f"http://{host}:{port}"


def test_what_a_source_answers_comes_through(source: ThreadingHTTPServer) -> None:
    proxy, url = proxy_for(source)
    head, _, body = through(proxy, f"GET {url}/dists/InRelease HTTP/1.1").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert body == BODY
    assert through(proxy, f"GET {url}/chunked HTTP/1.1").endswith(b"\r\n\r\nhello")
    assert through(proxy, f"GET {url}/missing HTTP/1.1").startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize(
    "request_line", ["GET http://127.0.0.2:{port}/x HTTP/1.1", "CONNECT 127.0.0.2:{port} HTTP/1.1"]
)
def test_another_host_is_refused(source: ThreadingHTTPServer, request_line: str) -> None:
    proxy, _ = proxy_for(source)
    said = through(proxy, request_line.format(port=source.server_address[1]))
    assert said.startswith(b"HTTP/1.1 403") and b"127.0.0.2" in said
    assert Source.asked == []


def test_another_port_of_an_allowed_host_is_refused(source: ThreadingHTTPServer) -> None:
    proxy = Proxy(frozenset({"127.0.0.1"}), None)
    assert through(proxy, f"GET http://127.0.0.1:{source.server_address[1]}/ HTTP/1.1").startswith(b"HTTP/1.1 403")
    assert Source.asked == []


@pytest.mark.parametrize(
    "request_line", ["POST http://127.0.0.1/ HTTP/1.1", "GET /local HTTP/1.1", "GET ftp://a/ HTTP/1.1"]
)
def test_what_no_package_source_is_asked_is_refused(source: ThreadingHTTPServer, request_line: str) -> None:
    proxy, _ = proxy_for(source)
    assert through(proxy, request_line).startswith(b"HTTP/1.1 501")


def test_connect_makes_a_tunnel(source: ThreadingHTTPServer) -> None:
    proxy, url = proxy_for(source)
    place = url.removeprefix("http://")
    said = through(proxy, f"CONNECT {place} HTTP/1.1", "GET /inside HTTP/1.1\r\nConnection: close")
    assert said.startswith(b"HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.1 200 OK")
    assert Source.asked == ["/inside"]


def test_packages_are_kept_for_the_next_server_and_indexes_are_not(source: ThreadingHTTPServer, tmp_path: Path) -> None:
    make_room(tmp_path / "cache")
    proxy, url = proxy_for(source, tmp_path / "cache")
    for path in ("/pool/a/a_1_all.deb", "/dists/InRelease", "/pool/a/a_1_all.deb", "/dists/InRelease"):
        assert through(proxy, f"GET {url}{path} HTTP/1.1\r\nConnection: close").partition(b"\r\n\r\n")[2] == BODY
    assert Source.asked == ["/pool/a/a_1_all.deb", "/dists/InRelease", "/dists/InRelease"]


def test_a_source_that_is_gone_is_a_bad_gateway() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Source)
    proxy, url = proxy_for(server)
    server.server_close()
    assert through(proxy, f"GET {url}/x HTTP/1.1").startswith(b"HTTP/1.1 502")


def test_what_a_killed_proxy_had_begun_to_keep_goes(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    (tmp_path / f"abc.part.{ended.pid}").write_text("half")
    (tmp_path / f"def.part.{os.getpid()}").write_text("on its way")
    (tmp_path / "whole").write_text("whole")
    make_room(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"def.part.{os.getpid()}", "whole"]


def test_the_hosts_are_those_of_this_machines_own_sources(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("deb http://one.example/debian stable main\n# deb http://no.example/ x y\n")
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (parts / "a.sources").write_text(
        "Types: deb\nURIs: https://user:secret@two.example:8080/debian http://one.example/x\n"
    )
    (parts / "b.list.disabled").write_text("deb http://three.example/ x y\n")
    assert source_hosts(tmp_path) == ["one.example", "two.example"]
    assert source_hosts(tmp_path / "nowhere") == []


@pytest.mark.slow
def test_a_loan_listens_on_the_server_and_ends_with_whoever_lent_it(namespace_box: Box, tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("deb http://127.0.0.1/debian stable main\n")
    program = (
        "import json, sys; from pathlib import Path; from provisioning_core.taskservs.proxying import Loan\n"
        "loan = Loan(json.loads(sys.argv[1]), sources=Path(sys.argv[2]))\n"
        "print(loan.url(), loan._process.pid, flush=True); sys.stdin.read()"
    )
    ssh = json.dumps(namespace_box.server.attributes["ssh"])
    argv = [sys.executable, "-c", program, ssh, str(tmp_path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as lender:
        assert lender.stdout is not None
        url, pid = lender.stdout.readline().split()
        port = url.rpartition(":")[2]
        request = "printf 'GET http://elsewhere/ HTTP/1.1\\r\\n\\r\\n' >&3"
        asked = f"exec 3<>/dev/tcp/127.0.0.1/{port} && {request} && head -n 1 <&3"
        assert "403 Forbidden" in namespace_box.says(f"bash -c {shlex.quote(asked)}")
        lender.send_signal(signal.SIGKILL)
    until(lambda: not Path(f"/proc/{pid}").exists(), "the end of the proxy")
    until(
        lambda: namespace_box.run(f"bash -c '</dev/tcp/127.0.0.1/{port}' 2>/dev/null").code != 0, "the end of its port"
    )


def test_without_sources_of_our_own_there_is_nothing_to_lend(tmp_path: Path) -> None:
    assert Loan({}, sources=tmp_path).url() is None
