"""What one client may take: raw sockets against the connection's limits."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from provisioning_orchestrator.settings import Limits

from .served import PATIENCE_S, Served, serve

HUGE_S = 120.0  # "in seconds" is for a machine that does nothing else
SMALL = Limits(
    connections_max=20,
    head_bytes_max=4096,
    head_timeout_s=0.3,
    body_bytes_max=10_000,
    bodies_bytes_max=15_000,
    body_timeout_s=0.3,
    inline_bytes_max=1_000,
    stop_s=0.2,
)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Served]:
    with serve(tmp_path, limits=SMALL) as api:
        yield api


@contextmanager
def connected(api: Served) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", api.port), timeout=PATIENCE_S) as connection:
        yield connection


def head(api: Served, target: str = "POST /workflows", **headers: object) -> bytes:
    lines = {
        "Host": f"127.0.0.1:{api.port}",
        "Authorization": f"Bearer {api.token}",
        "Content-Type": "application/json",
    }
    lines |= {name.replace("_", "-"): str(value) for name, value in headers.items()}
    return "\r\n".join([f"{target} HTTP/1.1", *(f"{k}: {v}" for k, v in lines.items()), "", ""]).encode()


def everything(connection: socket.socket) -> bytes:
    got = b""
    try:
        while part := connection.recv(65_536):
            got += part
    except ConnectionResetError:
        pass
    return got


def refusal(answer: bytes) -> tuple[int, str]:
    """The status and code of one whole problem."""
    top, _, rest = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in top, answer[:300]
    assert b"x-content-type-options: nosniff" in top
    problem = json.loads(rest)
    assert int(top.split()[1]) == problem["status"]
    return problem["status"], problem["code"]


@pytest.mark.parametrize(
    "request_line",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET http://127.0.0.1/health HTTP/1.1\r\nHost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost : x\r\n\r\n",
        b"POST /workflows HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /workflows HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ],
)
def test_what_is_no_http_gets_a_400(shared: Served, request_line: bytes) -> None:
    with connected(shared) as connection:
        connection.sendall(request_line)
        assert refusal(everything(connection)) == (400, "bad_http")


def test_a_large_head_gets_a_431(small: Served) -> None:
    for lines in (
        b"GET /health HTTP/1.1\r\nX: " + b"y" * 5_000 + b"\r\n\r\n",
        b"GET /" + b"y" * 5_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\n" + b"A: b\r\n" * 1_000 + b"\r\n",
        b"GET /health HTTP/1.1\r\nX: " + b"y" * 5_000,
    ):
        with connected(small) as connection:
            connection.sendall(lines)
            assert refusal(everything(connection)) == (431, "head_too_large")


def test_a_head_that_trickles_gets_a_408(small: Served) -> None:
    with connected(small) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost:")
        assert refusal(everything(connection)) == (408, "too_slow")


def test_a_connection_that_says_nothing_is_closed(small: Served) -> None:
    with connected(small) as connection:
        assert everything(connection) == b""


def test_a_body_that_trickles_gets_a_408_and_changes_nothing(small: Served) -> None:
    with connected(small) as connection:
        connection.sendall(head(small, Content_Length=100) + b"{")
        assert refusal(everything(connection)) == (408, "too_slow")
    small.until("/health", lambda _: small.backend.room.taken == 0)
    assert small.state() == ({}, {})


def test_a_large_body_gets_a_413_announced_or_not(small: Served) -> None:
    answer = small.request("POST", "/workflows", raw=b" " * 10_001)
    assert (answer.status, answer.code) == (413, "too_large")
    with connected(small) as connection:
        connection.sendall(head(small, Transfer_Encoding="chunked", Connection="close"))
        chunk = b"3e8\r\n" + b" " * 1000 + b"\r\n"
        connection.sendall(chunk * 11 + b"0\r\n\r\n")
        assert refusal(everything(connection)) == (413, "too_large")
    assert small.backend.room.taken == 0


def test_all_bodies_together_are_limited(small: Served) -> None:
    with connected(small) as one, connected(small) as other:
        for connection in (one, other):
            connection.sendall(head(small, Content_Length=10_000))
        one.sendall(b" " * 9_000)
        small.until("/health", lambda _: small.backend.room.taken == 9_000)
        other.sendall(b" " * 9_000)
        assert other.recv(12) == b"HTTP/1.1 503"
    small.until("/health", lambda _: small.backend.room.taken == 0)


def test_one_connection_too_many_gets_a_503_and_the_others_go_on(small: Served) -> None:
    assert small.get("/health").status == 200  # over the connection that is kept
    many = [socket.create_connection(("127.0.0.1", small.port), timeout=PATIENCE_S) for _ in range(60)]
    try:
        refused = [everything(connection) for connection in many[30:]]
        assert {refusal(answer) for answer in refused} == {(503, "too_busy")}
        assert small.get("/health").status == 200
    finally:
        for connection in many:
            connection.close()
    small.until("/health", lambda _: len(small.server.server_state.connections) == 1)
    with connected(small) as connection:
        connection.sendall(head(small, "GET /health", Connection="close"))
        assert everything(connection).startswith(b"HTTP/1.1 200")


def test_a_client_that_goes_at_any_byte_leaves_nothing_behind(small: Served) -> None:
    body = json.dumps(
        {"name": "x", "tasks": [{"id": "a", "operation": "demo/ok", "params": {"x": "y" * 1500}}]}
    ).encode()
    whole = head(small, Content_Length=len(body)) + body
    for end in range(0, len(whole), 97):
        with connected(small) as connection:
            connection.sendall(whole[:end])
    small.until("/health", lambda _: len(small.server.server_state.connections) == 1)
    small.until("/health", lambda _: small.backend.room.taken == 0)
    assert small.state() == ({}, {})


def test_requests_may_come_one_behind_the_other(shared: Served) -> None:
    with connected(shared) as connection:
        connection.sendall(head(shared, "GET /health") * 3 + head(shared, "GET /nope", Connection="close"))
        got = everything(connection)
    assert [got.count(line) for line in (b"HTTP/1.1 200", b"HTTP/1.1 404")] == [3, 1]


def test_an_upgrade_to_websocket_is_answered_as_a_plain_request(shared: Served) -> None:
    lines = head(shared, "GET /workflows", Upgrade="websocket", Connection="Upgrade", Sec_WebSocket_Key="eA==")
    with connected(shared) as connection:
        connection.sendall(lines.replace(b"Authorization", b"X-Nothing"))
        assert connection.recv(12) == b"HTTP/1.1 401"


@pytest.mark.slow
def test_a_huge_body_does_not_stall_the_others(tmp_path: Path) -> None:
    """100,000 tasks with 300,000 edges are taken in seconds, and meanwhile small requests are answered."""
    count = 100_000
    tasks = [
        {
            "id": f"t{n}",
            "operation": "demo/long",
            "params": {"n": n},
            "needs": [f"t{n - k}" for k in (1, 2, 3) if n >= k],
        }
        for n in range(count)
    ]
    body = json.dumps({"name": "huge", "tasks": tasks}).encode()
    del tasks
    with serve(tmp_path, limits=Limits(stop_s=0.2)) as api:
        other = Served(**{**vars(api), "_connection": None})
        api._connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=HUGE_S)
        answers = []
        sender = threading.Thread(
            target=lambda: answers.append(api.request("POST", "/workflows", raw=body, headers={"Idempotency-Key": "k"}))
        )
        sender.start()
        answered = 0
        while sender.is_alive():
            assert other.get("/health").status == 200
            answered += 1
        assert answers[0].status == 202, answers[0].raw
        assert api.get(f"/workflows/{answers[0].json['workflow_id']}").json["tasks_total"] == count
    # How long each one waits is for benchmarks/submit.py; here: a loop that was held throughout answers one or two.
    assert answered > 50
