"""Who lives outside of a simulated daemon: clients that ask until they are answered, and a person who decides."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from provisioning_orchestrator.engine import EmbeddedEngine
from provisioning_orchestrator.ports import Idempotency, IdempotencyMismatch, NotFound, NotPossibleNow
from provisioning_orchestrator.workflow.events import Resolution
from provisioning_orchestrator.workflow.records import TaskStatus
from provisioning_orchestrator.workflow.taskdoc import read_tasks

from .ledger import Ledger, Violation
from .memory_disk import MemoryDisk
from .mortal_daemon import Daemon, DaemonGone, OneOperation

T = TypeVar("T")

POLL_MAX_S = 3_600.0
RETRIES_MAX = 4  # of a task that a person has run again


class Inhabitants:
    """reach: the daemon that takes calls now, None if there is none."""

    def __init__(
        self, reach: Callable[[], Daemon | None], disk: MemoryDisk, ledger: Ledger, chance: random.Random
    ) -> None:
        self._reach = reach
        self._disk = disk
        self._ledger = ledger
        self._chance = chance
        self._began = asyncio.get_running_loop().time()
        self._asked: dict[tuple[str, int], int] = {}

    async def submit(self, plan: dict[str, Any]) -> None:
        await asyncio.sleep(plan["at"])
        name = plan["name"]
        specs, faults = read_tasks(plan["tasks"], "/tasks", OneOperation().describe, submitted=True)
        if faults:
            raise ValueError(f"the scenario has faults: {faults}")
        key = Idempotency("token", "/workflows", name, "digest")
        for _ in range(1 + plan["resubmits"]):
            id, existed = await self._until_answered(lambda engine: engine.submit(name, specs, key))
            if existed and name in self._ledger.acknowledged:
                self._ledger.note(f"client {name}: it was there")
            self._ledger.submitted(name, id)
            await self._check_mismatch(name, specs)
            await asyncio.sleep(self._chance.uniform(0.0, 20.0))
        if plan["cancel_at"] is not None:
            await asyncio.sleep(max(0.0, plan["cancel_at"] - plan["at"]))
            await self._cancel(id)

    async def _check_mismatch(self, name: str, specs: Sequence[Any]) -> None:
        other = Idempotency("token", "/workflows", name, "another digest")
        try:
            await self._call(lambda engine: engine.submit(name, specs, other))
        except (IdempotencyMismatch, DaemonGone):
            return
        raise Violation(f"the key {name} was taken for another body")

    async def _cancel(self, id: str) -> None:
        while self._disk.find(id).row.ended_at is None:
            try:
                await self._call(lambda engine: engine.cancel(id))
            except (DaemonGone, NotPossibleNow):
                await asyncio.sleep(self._chance.uniform(0.1, 5.0))
                continue
            self._ledger.cancelled(id)
            return

    async def _call(self, work: Callable[[EmbeddedEngine], Coroutine[Any, Any, T]]) -> T:
        daemon = self._reach()
        if daemon is None:
            raise DaemonGone
        return await daemon.ask(work(daemon.engine))

    async def _until_answered(self, work: Callable[[EmbeddedEngine], Coroutine[Any, Any, T]]) -> T:
        while True:
            try:
                return await self._call(work)
            except DaemonGone:
                await asyncio.sleep(self._chance.uniform(0.1, 5.0))

    async def decide(self) -> None:
        """Resolve what is unknown, for ever."""
        while True:
            await asyncio.sleep(self.poll_s())
            for id, workflow in list(self._disk.workflows.items()):
                for seq, state in list(workflow.states.items()):
                    if state.status is TaskStatus.UNKNOWN:
                        await self._resolve(id, seq, workflow.new[seq].id)

    async def _resolve(self, id: str, seq: int, task: str) -> None:
        asked = self._asked[id, seq] = self._asked.get((id, seq), 0) + 1
        choices: list[Resolution] = ["succeeded", "failed", "retry"]
        resolution = self._chance.choice(choices[: 3 if asked < RETRIES_MAX else 2])
        try:
            await self._call(lambda engine: engine.resolve(id, task, resolution))
        except (DaemonGone, NotPossibleNow, NotFound):
            return
        self._ledger.resolved(id, seq, resolution)

    def poll_s(self) -> float:
        """How long to wait before looking again: ever longer, as some things take a day."""
        return min(POLL_MAX_S, 15.0 + (asyncio.get_running_loop().time() - self._began) / 8)
