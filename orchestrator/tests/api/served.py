"""The API as clients meet it: a real server on a loopback port over the real engine, a store and a host in memory."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import uvloop

from provisioning_orchestrator.api.app import guarded
from provisioning_orchestrator.api.backend import Backend, Services
from provisioning_orchestrator.api.listeners import listen
from provisioning_orchestrator.api.server import Server
from provisioning_orchestrator.api.streams import frame
from provisioning_orchestrator.api.tasktoken import TaskTokens
from provisioning_orchestrator.api.token import open_token
from provisioning_orchestrator.clock import SystemChance, SystemClock
from provisioning_orchestrator.engine.embedded import EmbeddedEngine
from provisioning_orchestrator.monitor.feed import Feed
from provisioning_orchestrator.ports import AttemptSpec, Chance, Clock, Exited, Operation, UnknownOperation, Vanished
from provisioning_orchestrator.settings import Limits
from provisioning_orchestrator.testing.fake_dispatch import FakeDispatch, FakeWorld, Play
from provisioning_orchestrator.testing.memory_store import MemoryStore

T = TypeVar("T")
PATIENCE_S = 60.0


class Operations:
    """demo/ok ends at once, demo/long not by itself, demo/lost with nobody looking, demo/strict takes only a `name`."""

    known: ClassVar = {
        "demo/fail": Operation("demo/fail", ""),
        "demo/long": Operation("demo/long", ""),
        "demo/lost": Operation("demo/lost", ""),
        "demo/ok": Operation("demo/ok", "", repeatable=True),
        "demo/strict": Operation(
            "demo/strict",
            "",
            params_schema={
                "required": ["name"],
                "properties": {"infra": {}, "name": {"type": "string"}},
                "additionalProperties": False,
            },
        ),
    }

    def describe(self, operation: str) -> Operation:
        if operation not in self.known:
            raise UnknownOperation(operation, ["demo/ok"])
        return self.known[operation]

    def operations(self) -> list[str]:
        return sorted(self.known)


def script(spec: AttemptSpec) -> Play:
    log = ((0.0, b"first line\n"), (0.0, b"\xff\x00 no text\n"))
    match spec.operation:
        case "demo/ok":
            return Play(
                0.0, Exited(exit_code=0, result=b'{"status":"success","result":{"address":"10.0.0.1"}}'), log=log
            )
        case "demo/fail":
            return Play(0.0, Exited(exit_code=3), log=log)
        case "demo/lost":
            return Play(0.0, Vanished("its shim was killed"), log=log)
        case _:
            return Play(3600.0, log=log)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def code(self) -> str:
        """Of a problem; asserts that it is one, whole."""
        assert self.headers["content-type"] == "application/problem+json", (self.status, self.raw[:200])
        problem = self.json
        assert problem["status"] == self.status
        assert problem["type"] == f"/problems/{problem['code']}"
        assert problem["title"] and problem["detail"]
        return str(problem["code"])


@dataclass
class Served:
    backend: Backend
    server: Server
    store: MemoryStore
    engine: EmbeddedEngine
    world: FakeWorld
    port: int
    token: str
    loop: asyncio.AbstractEventLoop
    _connection: http.client.HTTPConnection | None = field(default=None, repr=False)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        *,
        authorize: bool = True,
        raw: bytes | None = None,
        type: str | None = "application/json",
    ) -> Answer:
        """One exchange over a connection that is kept. body: sent as JSON. raw: sent as it is."""
        sent = {"Authorization": f"Bearer {self.token}"} if authorize else {}
        if method not in ("GET", "HEAD") and type is not None:
            sent["Content-Type"] = type
        payload = raw if raw is not None else None if body is None else json.dumps(body).encode()
        connection = self._connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        self._connection = None
        connection.request(method, path, payload, {**sent, **(headers or {})})
        response = connection.getresponse()
        got = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        if response.will_close:
            connection.close()
        else:
            self._connection = connection
        return got

    def get(self, path: str, **more: Any) -> Answer:
        return self.request("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> Answer:
        return self.request("POST", path, {} if body is None else body, **more)

    def submit(self, *operations: str, name: str = "a workflow") -> str:
        """A workflow of tasks t0, t1 … that need nothing; its id."""
        tasks = [{"id": f"t{place}", "operation": operation} for place, operation in enumerate(operations)]
        answer = self.post("/workflows", {"name": name, "tasks": tasks})
        assert answer.status == 202, answer.raw
        id: str = answer.json["workflow_id"]
        return id

    def until(self, path: str, condition: Callable[[Any], Any]) -> Any:
        """The JSON at the path once it fulfils the condition."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition(found := self.get(path).json):
            assert time.monotonic() < deadline, found
            time.sleep(0.005)
        return found

    def ended(self, workflow: str) -> Any:
        return self.until(f"/workflows/{workflow}", lambda found: found["ended_at"] is not None)

    def until_code(self, path: str) -> Answer:
        """The answer to a POST once it is a refusal."""

        def refused() -> Answer | None:
            answer = self.request("POST", path)
            return answer if answer.status >= 400 else None

        deadline = time.monotonic() + PATIENCE_S
        while (answer := refused()) is None:
            assert time.monotonic() < deadline
        return answer

    def in_loop(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run it in the server's loop."""

        async def run() -> T:
            return await work()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(PATIENCE_S)

    def state(self) -> Any:
        """All that can be changed through the API, to compare."""
        disk = self.store.disk
        return {id: (w.row, dict(w.states), len(w.events)) for id, w in disk.workflows.items()}, dict(disk.idempotency)


@contextmanager
def serve(
    directory: Path,
    *,
    limits: Limits | None = None,
    auth: bool = True,
    ready: bool = True,
    clock: Clock | None = None,
    chance: Chance | None = None,
    **engine_settings: int,
) -> Iterator[Served]:
    """A running server; ready False: it stays `starting`. engine_settings: slots, loans_max, children_max."""
    started = threading.Event()
    found: list[Served] = []
    failure: list[BaseException] = []
    ended = asyncio.Event()

    async def main() -> None:
        token = open_token(directory) if auth else None
        sockets = listen(0)
        port = sockets[0].getsockname()[1]
        own = limits or replace(Limits(), backoff_s=0.05, stop_s=0.5)
        feed = Feed(frame, own.stream_bytes_max)
        backend = Backend(own, feed, token, TaskTokens(b"k" * 32))
        server = Server(guarded(backend, port), own)
        world = FakeWorld(script)
        dispatch = FakeDispatch(world)
        store = MemoryStore()
        library = Operations()
        engine = EmbeddedEngine(
            store=store,
            dispatch=dispatch,
            library=library,
            clock=clock or SystemClock(),
            chance=chance or SystemChance(),
            observers=[feed],
            grace_s=0.1,
            **engine_settings,  # type: ignore[arg-type]
        )
        await engine.start()
        await server.start(sockets)
        if ready:
            backend.open(Services(engine, store.records, library, dispatch))
        secret = token.file.read_text().strip() if token else ""
        found.append(Served(backend, server, store, engine, world, port, secret, asyncio.get_running_loop()))
        started.set()
        await ended.wait()
        backend.stop()
        feed.close()
        await server.stop()
        await engine.stop()
        dispatch.crash()

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(main())
        except BaseException as error:
            failure.append(error)
            raise
        finally:
            started.set()

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(PATIENCE_S)
    assert not failure, failure
    try:
        yield found[0]
    finally:
        found[0].loop.call_soon_threadsafe(ended.set)
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
