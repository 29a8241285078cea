"""Events and logs as streams: each thing once, in order, to its end; nobody is waited for."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from provisioning_orchestrator.settings import Limits
from provisioning_orchestrator.workflow.records import Changes, EventRecord

from .served import PATIENCE_S, Served, serve


@contextmanager
def opened(api: Served, path: str, **headers: str) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=PATIENCE_S)
    sent = {"Authorization": f"Bearer {api.token}", "Accept": "text/event-stream"}
    connection.request("GET", path, headers=sent | {name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    assert response.status == 200, response.read()
    try:
        yield response
    finally:
        response.close()
        connection.close()


def records(response: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    """(name, data) of each record; the name of an event without one is its id."""
    name, data = "", None
    for raw in response:
        line = raw.decode().rstrip("\n")
        if line.startswith(("event: ", "id: ")):
            name = line.split(": ")[1]
        elif line.startswith("data: "):
            data = json.loads(line[6:])
        elif line.startswith(":"):
            yield ":", line
        elif not line and name:
            yield name, data
            name, data = "", None


def test_a_stream_brings_what_was_and_what_comes_and_ends_with_the_workflow(shared: Served) -> None:
    id = shared.submit("demo/long")
    with opened(shared, f"/workflows/{id}/events") as stream:
        assert stream.getheader("content-type", "").startswith("text/event-stream")
        coming = records(stream)
        first = [next(coming) for _ in range(3)]
        assert [data["type"] for _, data in first] == ["workflow.submitted", "workflow.started", "task.started"]
        shared.post(f"/workflows/{id}/cancel")
        rest = list(coming)
    assert rest[-1] == ("end", {})
    assert rest[-2][1]["type"] == "workflow.cancelled"
    names = [name for name, _ in (first + rest)[:-1]]
    assert names == [str(n) for n in range(1, len(names) + 1)]
    assert [data for _, data in (first + rest)[:-1]] == shared.get(f"/workflows/{id}/events").json["items"]


def test_a_stream_goes_on_where_the_client_was(shared: Served) -> None:
    id = shared.submit("demo/ok")
    last = shared.ended(id)["sequence"]
    header = {"Last_Event_ID": str(last - 2)}
    for path, headers in ((f"?after={last - 2}", {}), ("", header), ("?after=0", header)):
        with opened(shared, f"/workflows/{id}/events{path}", **headers) as stream:
            assert [name for name, _ in records(stream)] == [str(last - 1), str(last), "end"]
    with opened(shared, f"/workflows/{id}/events?after={last}") as stream:
        assert list(records(stream)) == [("end", {})]


def test_a_silent_stream_says_that_it_lives(tmp_path: Path) -> None:
    with serve(tmp_path, limits=Limits(ping_s=0.05, stop_s=0.5)) as api:
        id = api.submit("demo/long")
        with opened(api, f"/workflows/{id}/events?after=3") as stream:
            assert next(records(stream)) == (":", ": ping")


def test_streams_are_told_bye_and_the_server_stops_at_once(tmp_path: Path) -> None:
    loop = asyncio.new_event_loop()
    with serve(tmp_path, limits=Limits(stop_s=10.0)) as api:
        id = api.submit("demo/long")
        followed = f"/workflows/{id}/tasks/t0/log?follow=1"
        with opened(api, f"/workflows/{id}/events") as stream, opened(api, followed) as log:
            coming = records(stream)
            assert [next(coming)[0] for _ in range(3)] == ["1", "2", "3"]
            assert log.read(10) == b"first line"
            before = loop.time()
            api.loop.call_soon_threadsafe(api.backend.stop)
            api.loop.call_soon_threadsafe(api.backend.feed.close)
            assert list(coming) == [("bye", {})]
            try:
                log.read()
            except http.client.IncompleteRead:
                pass
            else:
                raise AssertionError("a log that was cut off looked whole")
    assert loop.time() - before < 5
    loop.close()


def grow(api: Served, id: str, count: int, size: int) -> None:
    """Commit so many events of that size to a workflow, as the engine would."""

    async def work() -> None:
        sequence = api.store.records.workflow(id).row.sequence
        events = tuple(EventRecord(sequence + n + 1, 0, "task.progress", "t0", {"x": "y" * size}) for n in range(count))
        await api.store.append(id, sequence, Changes(events=events))
        api.backend.feed.committed(id, events)

    api.in_loop(work)


def quiet(api: Served) -> str:
    """A workflow that the engine leaves alone."""
    id = api.submit("demo/long")
    api.until(f"/workflows/{id}/tasks/t0", lambda task: task["status"] == "running")
    return id


def test_what_an_operation_reports_is_shown_whatever_it_is(tmp_path: Path) -> None:
    hostile = {"big": 10**30, "half": "\ud800", "ansi": "\x1b[2J\u2028", "nan": float("nan")}
    deep: dict[str, Any] = {}
    for _ in range(5_000):
        deep = {"x": deep}
    with serve(tmp_path) as api:
        id = quiet(api)
        with opened(api, f"/workflows/{id}/events?after=3") as stream:
            coming = records(stream)
            for data in (hostile | {"nan": 0}, hostile, deep):

                async def work(data: dict[str, Any] = data) -> None:
                    sequence = api.store.records.workflow(id).row.sequence
                    events = (EventRecord(sequence + 1, 0, "task.progress", "t0", data),)
                    await api.store.append(id, sequence, Changes(events=events))
                    api.backend.feed.committed(id, events)

                api.in_loop(work)
            got = [next(coming)[1]["data"] for _ in range(3)]
        assert got[0] == hostile | {"nan": 0}
        assert "unreadable" in got[1]
        assert "unreadable" in got[2]
        assert [event["data"] for event in api.get(f"/workflows/{id}/events?after=3").json["items"]] == got


def test_a_burst_larger_than_the_buffer_reaches_a_client_that_reads(tmp_path: Path) -> None:
    with serve(tmp_path, limits=Limits(stream_bytes_max=20_000, stop_s=0.5)) as api:
        id = quiet(api)
        with opened(api, f"/workflows/{id}/events?after=3") as stream:
            grow(api, id, 1_000, 100)
            grow(api, id, 1_000, 100)
            coming = records(stream)
            assert [next(coming)[0] for _ in range(2_000)] == [str(n) for n in range(4, 2_004)]


def test_a_client_that_does_not_read_is_dropped_and_nobody_waits_for_it(tmp_path: Path) -> None:
    with serve(tmp_path, limits=Limits(stream_bytes_max=20_000, write_timeout_s=0.3, stop_s=0.5)) as api:
        id = quiet(api)
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", api.port))
        head = f"Host: localhost:{api.port}\r\nAuthorization: Bearer {api.token}\r\nAccept: text/event-stream\r\n"
        slow.sendall(f"GET /workflows/{id}/events HTTP/1.1\r\n{head}\r\n".encode())
        assert slow.recv(15) == b"HTTP/1.1 200 OK"
        with opened(api, f"/workflows/{id}/events?after=3") as stream:
            coming = records(stream)
            for turn in range(200):
                grow(api, id, 100, 1_000)
                assert [next(coming)[0] for _ in range(100)][-1] == str(103 + turn * 100)
            api.until("/health", lambda _: api.backend.feed.followers == 1)
        slow.close()


def test_a_client_that_goes_away_is_forgotten(api: Served) -> None:
    id = quiet(api)
    with opened(api, f"/workflows/{id}/events") as stream:
        next(records(stream))
        assert api.backend.feed.followers == 1
    api.until("/health", lambda _: api.backend.feed.followers == 0)
    with opened(api, f"/workflows/{id}/tasks/t0/log?follow=1") as log:
        log.read(5)
    api.until("/health", lambda _: len(api.server.server_state.tasks) == 1)


def test_a_log_is_the_bytes_of_the_attempt(shared: Served) -> None:
    id = shared.submit("demo/ok")
    shared.ended(id)
    answer = shared.get(f"/workflows/{id}/tasks/t0/log")
    assert answer.raw == b"first line\n\xff\x00 no text\n"
    assert (answer.headers["content-type"], answer.headers["x-log-attempt"]) == ("text/plain; charset=utf-8", "1")
    assert shared.get(f"/workflows/{id}/tasks/t0/log?attempt=1&offset=6").raw == b"line\n\xff\x00 no text\n"
    assert shared.get(f"/workflows/{id}/tasks/t0/log?follow=1").raw == answer.raw


def test_a_log_is_followed_until_the_attempt_has_ended(shared: Served) -> None:
    id = shared.submit("demo/long")
    with opened(shared, f"/workflows/{id}/tasks/t0/log?follow=1") as log:
        assert log.read(11) == b"first line\n"
        shared.post(f"/workflows/{id}/cancel")
        assert log.read() == b"\xff\x00 no text\n"


def test_a_log_can_be_followed_before_there_is_an_attempt(tmp_path: Path) -> None:
    with serve(tmp_path) as api:
        tasks = [{"id": "a", "operation": "demo/long"}, {"id": "b", "operation": "demo/ok", "needs": ["a"]}]
        id = api.post("/workflows", {"name": "x", "tasks": tasks}).json["workflow_id"]
        assert api.get(f"/workflows/{id}/tasks/b/log").raw == b""
        with opened(api, f"/workflows/{id}/tasks/b/log?follow=1") as log:
            api.post(f"/workflows/{id}/cancel")
            assert log.read() == b""


def test_what_was_cut_from_a_log_is_marked(tmp_path: Path) -> None:
    from provisioning_orchestrator.ports import AttemptId, LogChunk

    class Cut:
        async def log(self, id: AttemptId, offset: int, limit: int) -> LogChunk:
            return LogChunk(0, b"head", 4) if offset == 0 else LogChunk(offset, b"tail", 1004, hole=996, ended=True)

        async def log_grown(self, id: AttemptId, offset: int) -> None:
            raise AssertionError("it has ended")

    with serve(tmp_path) as api:
        id = api.submit("demo/ok")
        api.ended(id)
        api.backend._services = replace(api.backend.services, logs=Cut())
        for follow in (0, 1):
            answer = api.get(f"/workflows/{id}/tasks/t0/log?follow={follow}")
            assert answer.raw.decode() == "head\n[… 996 bytes cut …]\ntail"
