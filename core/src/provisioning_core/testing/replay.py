"""An orchestrator for tests of clients: answers from what it was given, loses connections and goes away when told to.

It listens on loopback only, decides nothing and runs nothing: `add_workflow`, then `record` its events one by one.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

ENDINGS = ("workflow.succeeded", "workflow.failed", "workflow.cancelled")
TOKEN = "a-token-for-tests"  # noqa: S105 - it opens nothing
Answer = tuple[int, Any, Mapping[str, str]]


@dataclass(slots=True)
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass(slots=True)
class ReplayedWorkflow:
    row: dict[str, Any]
    tasks: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    logs: dict[str, bytes] = field(default_factory=dict)


class Replay:
    """A context: it listens inside it. token: None lets everybody in. cuts: sequences after which a stream is cut."""

    def __init__(self, token: str | None = TOKEN) -> None:
        self.token = token
        self.workflows: dict[str, ReplayedWorkflow] = {}
        self.asked: list[Asked] = []
        self.cuts: set[int] = set()
        self.operations: list[str] = []
        self.on_submit: Callable[[Asked], str] | None = None
        self.refusals: dict[tuple[str, str], list[Answer | None]] = {}
        self.changed = threading.Condition()
        self._server: _Server | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Replay:
        self.come_back()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_away()

    # --- what it knows -----------------------------------------------------------------------------------------------

    def add_workflow(self, id_: str, name: str, tasks: list[dict[str, Any]], status: str = "running") -> None:
        """tasks: as the API shows them; what is left out is filled in."""
        counts: dict[str, int] = {}
        for task in tasks:
            counts[task.get("status", "ready")] = counts.get(task.get("status", "ready"), 0) + 1
        row = {
            "workflow_id": id_,
            "name": name,
            "status": status,
            "created_at": "2026-11-23T18:41:00.000000Z",
            "started_at": "2026-11-23T18:41:00.100000Z",
            "ended_at": None if status == "running" else "2026-11-23T18:41:09.100000Z",
            "tasks": counts,
        }
        empty: dict[str, Any] = {
            "status": "ready",
            "needs": [],
            "key": None,
            "attempts": [],
            "result": None,
            "error": None,
        }
        self.workflows[id_] = ReplayedWorkflow(row, [{**empty, **task} for task in tasks])

    def record(self, id_: str, type_: str, task: str | None = None, /, **data: Any) -> None:
        """Add an event; an ending one sets the workflow's status."""
        workflow = self.workflows[id_]
        with self.changed:
            sequence = len(workflow.events) + 1
            at = f"2026-11-23T18:41:{sequence % 60:02}.000000Z"
            workflow.events.append({"sequence": sequence, "at": at, "type": type_, "task": task, "data": data})
            if type_ in ENDINGS:
                workflow.row |= {"status": type_.partition(".")[2], "ended_at": at}
            self.changed.notify_all()

    def refuse_once(self, method: str, path: str, answer: Answer | None) -> None:
        """Answer so the next time; None: end the connection without an answer."""
        self.refusals.setdefault((method, path), []).append(answer)

    # --- being there -------------------------------------------------------------------------------------------------

    def go_away(self) -> None:
        """As a kill does: nobody listens, and every connection is lost."""
        server, self._server = self._server, None
        if server is not None:
            server.going = True
            with self.changed:
                self.changed.notify_all()
            server.shutdown()
            server.server_close()

    def come_back(self) -> None:
        """Listen again, on the same port."""
        self._server = _Server(("127.0.0.1", self._port), _Handler, self)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    block_on_close = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], replay: Replay) -> None:
        self.replay = replay
        self.going = False
        super().__init__(address, handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        replay, parts = self.server.replay, urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length) if length else b""
        asked = Asked(self.command, parts.path, dict(self.headers.items()), json.loads(raw) if raw else None)
        replay.asked.append(asked)
        self.close_connection = True
        waiting = replay.refusals.get((self.command, parts.path))
        if waiting:
            answer = waiting.pop(0)
            if answer is not None:
                self._answer(*answer)
            return
        if replay.token and parts.path != "/health" and asked.headers.get("Authorization") != f"Bearer {replay.token}":
            self._problem(401, "unauthorized", "the token is missing or not this daemon's")
            return
        segments = [unquote(part) for part in parts.path.split("/")[1:]]
        self._route(asked, segments, {name: values[-1] for name, values in parse_qs(parts.query).items()})

    def _route(self, asked: Asked, segments: list[str], query: dict[str, str]) -> None:
        replay = self.server.replay
        if segments == ["health"]:
            self._answer(200, {"status": "ok", "version": "0.0", "pid": 1, "detail": None}, {})
        elif asked.method == "POST" and segments[0] == "workflows" and len(segments) in (1, 3) and asked.body != {}:
            assert replay.on_submit is not None
            id_ = replay.on_submit(asked)
            location = {"Location": f"/workflows/{id_}"}
            self._answer(202, {"workflow_id": id_, "status": "queued"}, location)
        elif segments == ["operations"]:
            items = [{"name": name, "repeatable": False, "timeout_s": None} for name in replay.operations]
            self._answer(200, {"items": items, "next_cursor": None}, {})
        elif segments == ["workflows"]:
            rows = [workflow.row for workflow in reversed(replay.workflows.values())]
            wanted = [row for row in rows if query.get("status") in (None, row["status"])]
            self._page(wanted, query)
        elif segments[0] == "workflows" and segments[1] in replay.workflows:
            self._workflow(asked, replay.workflows[segments[1]], segments[2:], query)
        elif segments[0] == "workflows":
            self._problem(404, "unknown_workflow", f"no workflow {segments[1]!r}")
        else:
            self._page([], query)

    def _workflow(self, asked: Asked, workflow: ReplayedWorkflow, segments: list[str], query: dict[str, str]) -> None:
        tasks = {task["id"]: task for task in workflow.tasks}
        if not segments:
            self._answer(200, workflow.row, {})
        elif segments == ["cancel"]:
            self._answer(202, {"workflow_id": workflow.row["workflow_id"]}, {})
        elif segments == ["tasks"]:
            self._page([task for task in tasks.values() if query.get("status") in (None, task["status"])], query)
        elif segments == ["events"] and "text/event-stream" in (asked.headers.get("Accept") or ""):
            self._stream(workflow, int(asked.headers.get("Last-Event-ID") or 0))
        elif segments == ["events"]:
            self._page(workflow.events, query)
        elif segments[1] not in tasks:
            self._problem(404, "unknown_task", f"no task {segments[1]!r}")
        elif segments[2:] == ["log"]:
            self._bytes(workflow.logs.get(segments[1], b""))
        elif segments[2:] == ["resolve"]:
            self._answer(200, {}, {})
        else:
            self._answer(200, tasks[segments[1]], {})

    # --- answers -----------------------------------------------------------------------------------------------------

    def _page(self, items: list[dict[str, Any]], query: dict[str, str]) -> None:
        start, limit = int(query.get("cursor") or 0), int(query.get("limit") or 100)
        more = str(start + limit) if len(items) > start + limit else None
        self._answer(200, {"items": items[start : start + limit], "next_cursor": more}, {})

    def _problem(self, status: int, code: str, detail: str) -> None:
        body = {"type": f"/problems/{code}", "title": code, "status": status, "detail": detail, "code": code}
        self._answer(status, body, {"Content-Type": "application/problem+json"})

    def _answer(self, status: int, body: Any, headers: Mapping[str, str]) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers, "Content-Length": str(len(raw))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def _bytes(self, raw: bytes) -> None:
        self._answer(200, raw, {"Content-Type": "text/plain; charset=utf-8"})

    def _stream(self, workflow: ReplayedWorkflow, after: int) -> None:
        replay = self.server.replay
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.end_headers()
        self.wfile.write(b"retry: 1000\n\n: ping\n\n")
        while not self.server.going:
            with replay.changed:
                fresh = workflow.events[after:]
                if not fresh and not (after and workflow.events[after - 1]["type"] in ENDINGS):
                    replay.changed.wait(0.5)
                    continue
            for event in fresh:
                self.wfile.write(f"id: {event['sequence']}\ndata: {json.dumps(event)}\n\n".encode())
                after = event["sequence"]
                if after in replay.cuts:
                    replay.cuts.discard(after)
                    self.wfile.write(b'id: 99\ndata: {"sequence": 99, "ty')  # in the middle of a frame
                    return
            if not fresh:
                self.wfile.write(b"event: end\ndata: {}\n\n")
                return
