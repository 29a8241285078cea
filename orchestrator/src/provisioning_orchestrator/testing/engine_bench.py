"""An engine on a bench: the real one over a store in memory and a scripted host, on virtual time.

def test_…():
    async def body(bench: Bench) -> None:
        id = await bench.submit(task("a"), task("b", "a"))
        await bench.ended(id)
        assert bench.statuses(id) == {"a": "succeeded", "b": "succeeded"}

    on_bench(body)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from provisioning_orchestrator.engine import EmbeddedEngine
from provisioning_orchestrator.ports import Idempotency, Store
from provisioning_orchestrator.workflow.admission import LOANS_MAX
from provisioning_orchestrator.workflow.records import EventRecord
from provisioning_orchestrator.workflow.spec import TaskSpec

from .fake_dispatch import FakeDispatch, FakeWorld, Faults, Script
from .memory_disk import MemoryDisk
from .memory_store import MemoryStore
from .mortal_daemon import OneOperation
from .virtual_time import VirtualClock, run_virtually

PATIENCE_S = 100_000.0


class Bench:
    """One host and one disk, and the daemon's engine, which may be crashed and started again.

    events: (workflow, event) as the observers were told. failures: what the engine gave up with.
    """

    def __init__(self, script: Script | None, slots: int, loans_max: int, commit_s: float, faults: Faults) -> None:
        self.world = FakeWorld(script) if script is not None else FakeWorld()
        self.disk = MemoryDisk()
        self.clock = VirtualClock()
        self.events: list[tuple[str, EventRecord]] = []
        self.failures: list[Exception] = []
        self.slots = slots
        self.loans_max = loans_max
        self._commit_s = commit_s
        self._faults = faults
        self._workflows = 0
        self._changed = asyncio.Event()
        self.open()

    def open(self, wrap: Callable[[MemoryStore], Store] = lambda store: store) -> None:
        """A new daemon's engine, not started yet; wrap: what stands between it and its store."""
        self.store = MemoryStore(self.disk, delay_s=lambda: self._commit_s)
        self.dispatch = FakeDispatch(self.world, faults=self._faults)
        self.engine = EmbeddedEngine(
            store=wrap(self.store),
            dispatch=self.dispatch,
            library=OneOperation(),
            clock=self.clock,
            chance=self,
            observers=[self],
            slots=self.slots,
            loans_max=self.loans_max,
            grace_s=5.0,
            on_failure=self.failures.append,
        )

    async def crash(self) -> None:
        """As kill -9; what was going on comes to nothing."""
        self.store.crash()
        self.dispatch.crash()
        await self.engine.stop()

    async def restart(self) -> None:
        await self.crash()
        self.open()
        await self.engine.start()

    async def submit(self, *tasks: TaskSpec, key: str | None = None) -> str:
        idempotency = Idempotency("token", "/workflows", key, "digest") if key else None
        id, _ = await self.engine.submit("bench", tasks, idempotency)
        return id

    async def ended(self, id: str) -> str:
        await self.until(lambda: self.disk.find(id).row.ended_at is not None)
        return self.disk.find(id).row.status.value

    async def until(self, condition: Callable[[], bool], poll_s: float = 0.5) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - time is virtual: it costs nothing
                await asyncio.sleep(poll_s)

    def statuses(self, id: str) -> dict[str, str]:
        workflow = self.disk.find(id)
        return {workflow.new[seq].id: state.status.value for seq, state in workflow.states.items()}

    def feed(self, id: str) -> list[str]:
        return [f"{event.type} {event.task or ''}".strip() for event in self.disk.find(id).events]

    # The ports Chance and Observer.

    def fraction(self) -> float:
        return 0.0

    def workflow_id(self) -> str:
        self._workflows += 1
        return f"wf_{self._workflows}"

    def intent(self) -> str:
        return f"00000000-0000-4000-8000-{self._workflows:012}"

    def committed(self, workflow: str, events: Sequence[EventRecord]) -> None:
        self.events += [(workflow, event) for event in events]


def on_bench(
    body: Callable[[Bench], Coroutine[Any, Any, None]],
    *,
    script: Script | None = None,
    slots: int = 10,
    loans_max: int = LOANS_MAX,
    commit_s: float = 0.001,
    faults: Faults | None = None,
    start: bool = True,
) -> None:
    """Run a test's body on virtual time; start: with an engine that has been started."""

    async def whole() -> None:
        bench = Bench(script, slots, loans_max, commit_s, faults or Faults())
        if start:
            await bench.engine.start()
        await body(bench)
        await bench.engine.stop()

    run_virtually(whole())


async def refused(work: Awaitable[object]) -> Exception:
    """The error that it ends with."""
    try:
        await work
    except Exception as error:
        return error
    raise AssertionError("it was not refused")
