"""One life of the daemon in a simulation: the real engine on a store and a dispatch that may die at any call.

All that it does runs in a context that names it, so that its end finds all of its tasks.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from provisioning_orchestrator.engine import EmbeddedEngine
from provisioning_orchestrator.ports import (
    AttemptId,
    Idempotency,
    Operation,
    StoreFull,
    TaskInput,
    UnknownOperation,
    Verdict,
)
from provisioning_orchestrator.workflow.records import Changes, EventRecord, NewTask, Snapshot, WorkflowRow

from .fake_dispatch import FakeDispatch, FakeWorld, Faults
from .ledger import Violation
from .memory_store import MemoryStore

if TYPE_CHECKING:
    from .simulated_world import Simulation

T = TypeVar("T")

GRACE_S = 5.0

CURRENT: contextvars.ContextVar[Daemon | None] = contextvars.ContextVar("daemon", default=None)
"""The daemon whose code runs, None for the world."""


class SimulatedCrash(SystemExit):
    """The daemon dies here."""


class DaemonGone(Exception):
    """The connection broke before there was an answer."""


class Daemon:
    """One life of the daemon."""

    def __init__(self, simulation: Simulation) -> None:
        self.dead = False
        self.ready = False
        self.stopping = False
        self.gone = asyncio.Event()
        self.tasks: list[asyncio.Task[Any]] = []
        self.answers: list[asyncio.Future[Any]] = []
        self.store = MemoryStore(simulation.disk, delay_s=simulation.commit_delay_s, chance=simulation.chance)
        self.dispatch = TruthfulDispatch(
            simulation.world, simulation.chance, simulation.faults, simulation.commit_delay_s
        )
        self.engine = EmbeddedEngine(
            store=PerilousStore(self.store, simulation),
            dispatch=self.dispatch,
            library=OneOperation(),
            clock=simulation.clock,
            chance=simulation,
            observers=[simulation],
            slots=simulation.scenario["slots"],
            grace_s=GRACE_S,
            on_failure=self._failed,
        )
        self._loop = simulation.loop

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        context = contextvars.copy_context()
        context.run(CURRENT.set, self)
        return context.run(self._loop.create_task, work)

    async def ask(self, work: Coroutine[Any, Any, T]) -> T:
        """What a client gets: the answer, an error, or DaemonGone."""
        answer: asyncio.Future[T] = self._loop.create_future()
        self.answers.append(answer)
        self.spawn(work).add_done_callback(lambda task: _pass_on(task, answer))
        return await answer

    def die(self) -> None:
        self.dead = True
        self.gone.set()
        self.store.crash()
        self.dispatch.crash()
        for task in self.tasks:
            if not task.done():
                task.cancel()
            elif not task.cancelled():
                task.exception()
        for answer in self.answers:
            if not answer.done():
                answer.set_exception(DaemonGone())
                answer.exception()

    def _failed(self, error: Exception) -> None:
        if not self.dead:
            raise Violation(f"the engine gave up: {type(error).__name__}: {error}")


class OneOperation:
    """The port Library: it holds `play`."""

    def describe(self, operation: str) -> Operation:
        if operation != "play":
            raise UnknownOperation(operation, ["play"])
        return Operation("play", digest="")

    def operations(self) -> list[str]:
        return ["play"]


class TruthfulDispatch(FakeDispatch):
    """Takes its time, and keeps the promise of reconcile: what ended attempts reported is told before it returns."""

    def __init__(self, world: FakeWorld, chance: random.Random, faults: Faults, delay_s: Callable[[], float]) -> None:
        super().__init__(world, chance, faults)
        self._delay_s = delay_s

    async def reconcile(self, ids: Sequence[AttemptId]) -> dict[AttemptId, Verdict]:
        await asyncio.sleep(self._delay_s())
        faults, self.faults = self.faults, Faults()
        try:
            verdicts = await super().reconcile(ids)
        finally:
            self.faults = faults
        return verdicts


class PerilousStore:
    """The port Store: at both ends of every call the daemon may die, and the disk may be full."""

    def __init__(self, store: MemoryStore, simulation: Simulation) -> None:
        self._store = store
        self._simulation = simulation

    async def _peril(self, name: str, call: Awaitable[T]) -> T:
        try:
            self._simulation.strikes(f"before store.{name}")
        except SimulatedCrash:
            call.close()  # type: ignore[attr-defined]
            raise
        answer = await call
        self._simulation.strikes(f"after store.{name}")
        return answer

    async def submit(
        self, row: WorkflowRow, tasks: Sequence[NewTask], events: Sequence[EventRecord], idempotency: Idempotency | None
    ) -> str:
        return await self._peril("submit", self._store.submit(row, tasks, events, idempotency))

    async def append(self, workflow: str, expected_sequence: int, changes: Changes) -> None:
        if self._simulation.disk_is_full():
            raise StoreFull("the disk is full (injected)")
        await self._peril("append", self._store.append(workflow, expected_sequence, changes))

    async def load(self, workflow: str) -> Snapshot:
        await asyncio.sleep(self._simulation.commit_delay_s())
        return await self._peril("load", self._store.load(workflow))

    async def unfinished(self) -> list[str]:
        await asyncio.sleep(self._simulation.commit_delay_s())
        found = await self._peril("unfinished", self._store.unfinished())
        await asyncio.sleep(self._simulation.commit_delay_s())
        return found

    async def quarantine(self, workflow: str, reason: str) -> None:
        raise Violation(f"{workflow} is set aside: {reason}")

    def task_input(self, workflow: str, seq: int) -> TaskInput:
        return self._store.task_input(workflow, seq)

    async def reign(self) -> int:
        return await self._peril("reign", self._store.reign())


class Alarm(logging.Handler):
    """An error that a living engine logs is a violation; a full disk was our doing."""

    def emit(self, record: logging.LogRecord) -> None:
        daemon = CURRENT.get()
        if daemon is not None and not daemon.dead and "no room to commit" not in record.msg:
            cause = f": {record.exc_info[1]!r}" if record.exc_info else ""
            raise Violation(f"the engine logged: {record.getMessage()}{cause}")


def _pass_on(task: asyncio.Task[T], answer: asyncio.Future[T]) -> None:
    if task.cancelled():
        error: BaseException | None = DaemonGone()
    else:
        error = task.exception()
        if isinstance(error, SystemExit):
            error = DaemonGone()
    if answer.done():
        return
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(task.result())
