"""The world of a simulation: a host, a disk, a daemon that dies and comes back, clients, a person, faults.

Everything of one daemon runs in a context that names it, so that a crash finds all its tasks. A crash is a
SimulatedCrash raised in the middle of the engine's code (at its crash points and at both ends of each call of the
store), or comes from outside between two steps; either way nothing of that daemon has any effect from then on: its
store and its dispatch are dead, its tasks are cancelled, whoever waited for its answer gets none.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from provisioning_orchestrator import crash as crash_points
from provisioning_orchestrator.engine import actor, recovery
from provisioning_orchestrator.workflow import birth, propagation
from provisioning_orchestrator.workflow.records import TASK_ENDED, WORKFLOW_ENDED, EventRecord

from . import memory_store
from .fake_dispatch import FakeWorld
from .inhabitants import Inhabitants
from .ledger import Ledger, Violation
from .memory_disk import MemoryDisk
from .mortal_daemon import CURRENT, Alarm, Daemon, DaemonGone, SimulatedCrash
from .plays import script
from .scenario import HORIZON_S, Scenario, faults_of
from .virtual_time import VirtualClock, VirtualLoop

DEADLINE_S = 40 * 86_400.0
QUIET_S = 200.0
CRASHES_MAX = 25

_SLICES = (
    (propagation, "SLICE"),
    (birth, "SLICE"),
    (recovery, "RECONCILE_SLICE"),
    (memory_store, "SLICE_TASKS"),
)
_BATCH = (actor, "BATCH_FACTS")


class Simulation:
    """Also the ports Chance and Observer of its daemons, and the plan of their crash points."""

    def __init__(self, scenario: Scenario, loop: VirtualLoop, keep: bool) -> None:
        self.scenario = scenario
        self.loop = loop
        self.chance = random.Random(f"life {scenario['seed']}")  # noqa: S311 - a seed is the point
        self.disk = MemoryDisk()
        self.world = FakeWorld()
        self.clock = VirtualClock()
        self.ledger = Ledger(self.disk, self.world, scenario["slots"], loop.time, keep)
        self.world.script = script(self.ledger)
        self.faults = faults_of(scenario)
        self.crashes = 0
        self._calm = False
        self._daemon: Daemon | None = None
        self._tasks: list[asyncio.Task[Any]] = []
        self._workflows = 0
        loop.set_task_factory(self._make_task)
        loop.set_exception_handler(_callback_failed)

    async def run(self) -> None:
        """Until everything has ended. Raises Violation."""
        began = self.loop.time()
        inhabitants = Inhabitants(self._reach, self.disk, self.ledger, self.chance)
        for work in (self._keep_a_daemon(), inhabitants.decide(), *self._troubles()):
            self.loop.create_task(work)
        clients = [self.loop.create_task(inhabitants.submit(each)) for each in self.scenario["workflows"]]
        for client in clients:
            await client
        while not all(each.row.status in WORKFLOW_ENDED for each in self.disk.workflows.values()):
            await asyncio.sleep(inhabitants.poll_s())
            if self.loop.time() - began > DEADLINE_S:
                raise Violation(f"after {DEADLINE_S:.0f} s this has not ended: {self._open()}")
        await asyncio.sleep(QUIET_S)  # for what should not come any more
        self.ledger.check_end()

    @contextlib.contextmanager
    def armed(self) -> Iterator[None]:
        """Crash points strike, slices are small, and errors that the engine logs are violations."""
        logger = logging.getLogger("provisioning_orchestrator.engine")
        alarm = Alarm()
        before, level, propagate = crash_points._plan, logger.level, logger.propagate
        crash_points._plan = self  # type: ignore[assignment]
        logger.addHandler(alarm)
        logger.setLevel(logging.ERROR)
        logger.propagate = False
        limits = [(module, name, getattr(module, name)) for module, name in (*_SLICES, _BATCH)]
        for module, name in _SLICES:
            setattr(module, name, self.scenario.get("slice", 1_000))
        setattr(*_BATCH, self.scenario.get("batch", 256))
        try:
            yield
        finally:
            for limit in limits:
                setattr(*limit)
            crash_points._plan = before
            logger.removeHandler(alarm)
            logger.setLevel(level)
            logger.propagate = propagate

    def forget_tasks(self) -> None:
        """After the end: nobody waits for what is still waiting, and what it says when it is closed means nothing."""
        logging.disable(logging.CRITICAL)
        if self._daemon is not None and not self._daemon.dead:
            self._daemon.die()
        for task in self._tasks:
            if task.done():
                if not task.cancelled():
                    task.exception()
                continue
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            coroutine = task.get_coro()
            with contextlib.suppress(BaseException):
                coroutine.close()
        logging.disable(logging.NOTSET)

    def _make_task(self, loop: asyncio.AbstractEventLoop, work: Any, **more: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **more)
        self._tasks.append(task)
        daemon = CURRENT.get()
        if daemon is not None:
            daemon.tasks.append(task)
            if daemon.dead:
                task.cancel()
        return task

    # --- faults ------------------------------------------------------------------------------------------------------

    def crash(self) -> None:
        """As kill -9."""
        daemon = self._daemon
        if daemon is None or daemon.dead:
            return
        self.crashes += 1
        self.ledger.note("CRASH")
        daemon.die()

    def strikes(self, name: str) -> bool:
        """At a crash point, or at one end of a call of the store: may raise SimulatedCrash."""
        probability = self.scenario["crash_point"]
        daemon = CURRENT.get()
        if not probability or self._calm or daemon is None or daemon.dead or self.crashes >= CRASHES_MAX:
            return False
        if self.chance.random() < probability:
            self.ledger.note(f"at {name}:")
            raise SimulatedCrash
        return False

    def disk_is_full(self) -> bool:
        full: float = self.scenario["full"]
        return bool(full) and not self._calm and self.chance.random() < full

    def commit_delay_s(self) -> float:
        return self.chance.uniform(0.0, self.scenario["commit_s"])

    def _troubles(self) -> list[Coroutine[Any, Any, None]]:
        plan: list[tuple[float, Callable[[], Awaitable[None] | None]]] = [(HORIZON_S, self._calm_down)]
        plan += [(at, self.crash) for at in self.scenario["crashes"]]
        plan += [(at, self._stop) for at in self.scenario["stops"]]
        plan += [(at, partial(self._jump, seconds)) for at, seconds in self.scenario["jumps"]]
        return [self._trouble(at, what) for at, what in plan]

    async def _trouble(self, at: float, what: Callable[[], Awaitable[None] | None]) -> None:
        await asyncio.sleep(at)
        answer = what()
        if answer is not None:
            await answer

    def _jump(self, seconds: int) -> None:
        self.ledger.note(f"the wall clock jumps by {seconds} s")
        self.clock.offset_us += seconds * 1_000_000

    def _calm_down(self) -> None:
        self._calm = True
        self.faults = replace(self.faults, refused=0.0, stillborn=0.0, repeated=0.0, lost=0.0, vanished=0.0)
        if self._daemon is not None:
            self._daemon.dispatch.faults = self.faults

    async def _stop(self) -> None:
        """An orderly stop, as by SIGTERM."""
        daemon = self._daemon
        if daemon is None or daemon.dead or daemon.stopping or not daemon.ready:
            return
        self.ledger.note("STOP")
        daemon.stopping = True
        with contextlib.suppress(DaemonGone):
            await daemon.ask(daemon.engine.stop())
            daemon.dispatch.crash()
            await daemon.ask(daemon.store.close())
        daemon.die()

    # --- life --------------------------------------------------------------------------------------------------------

    async def _keep_a_daemon(self) -> None:
        while True:
            daemon = self._daemon = Daemon(self)
            self.ledger.note("a daemon starts")
            with contextlib.suppress(DaemonGone):
                await daemon.ask(daemon.engine.start())
                self.ledger.note("the daemon is ready")
                daemon.ready = True
            await daemon.gone.wait()
            await asyncio.sleep(self.chance.uniform(0.0, self.scenario["down_s"]))

    def _reach(self) -> Daemon | None:
        """The daemon, if it takes calls."""
        daemon = self._daemon
        if daemon is None or daemon.dead or daemon.stopping:
            return None
        return daemon if daemon.ready or self.scenario["early_calls"] else None

    def _open(self) -> str:
        return ", ".join(
            f"{id}/{seq} {state.status.value}"
            for id, workflow in self.disk.workflows.items()
            if workflow.row.status not in WORKFLOW_ENDED
            for seq, state in workflow.states.items()
            if state.status not in TASK_ENDED
        )

    # --- the ports Chance and Observer -------------------------------------------------------------------------------

    def fraction(self) -> float:
        return self.chance.random()

    def workflow_id(self) -> str:
        self._workflows += 1
        return f"wf_{self._workflows}"

    def intent(self) -> str:
        return str(uuid.UUID(int=self.chance.getrandbits(128), version=4))

    def committed(self, workflow: str, events: Sequence[EventRecord]) -> None:
        for event in events:
            self.ledger.note(f"{workflow} {event.sequence} {event.type} {event.task or ''}")


def _callback_failed(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if "handle" in context:
        raise Violation(f"a callback failed: {context.get('exception')!r}")
