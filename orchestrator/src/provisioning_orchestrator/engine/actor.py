"""One workflow's driver: takes facts out of its inbox, has the machine decide, commits, and only then acts.

What arrives while a commit is in flight goes into the next one. Work is bounded: a batch takes at most BATCH_FACTS
facts or about BATCH_ROWS rows, and between two batches the others have their turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Protocol

from ..crash import crash_point
from ..ports import AttemptEnded, AttemptReported, Fact
from ..workflow import commands, events
from ..workflow.machine import Machine
from ..workflow.records import AttemptStatus, Changes

log = logging.getLogger(__name__)

BATCH_FACTS = 256
BATCH_ROWS = 1_000

Told = events.Event | Fact


class Surroundings(Protocol):
    """What a driver needs of the engine."""

    async def read(self, fact: Fact) -> events.Event: ...

    def admit(self, workflow: str, command: commands.Command) -> None:
        """Tell admission; slots that become free are granted at once."""

    async def commit(self, workflow: str, expected: int, changes: Changes) -> None: ...

    def carry_out(self, actor: Actor, command: commands.Command) -> None: ...

    def committed(self, actor: Actor, changes: Changes) -> None: ...


class Actor:
    def __init__(self, id: str, machine: Machine, around: Surroundings) -> None:
        self.id = id
        self.machine = machine
        self._around = around
        self._inbox: deque[tuple[Told, asyncio.Future[None] | None]] = deque()
        self._asked: list[asyncio.Future[None]] = []  # of the batch that is being decided
        self._wake = asyncio.Event()
        self._stopping = False

    def tell(self, told: Told) -> None:
        self._inbox.append((told, None))
        self._wake.set()

    def ask(self, told: Told) -> asyncio.Future[None]:
        """As tell; done when what follows from it is committed, cancelled if the driver ends first."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._inbox.append((told, done))
        self._wake.set()
        return done

    def stop(self) -> None:
        """End after the commit that is in flight; what is not committed by then follows from the rows later."""
        self._stopping = True
        self._wake.set()

    async def drive(self) -> None:
        """Until the workflow has ended or stop() was called. Raises what the store raises, and what a bug raises."""
        try:
            while not self._stopping and not self.machine.ended:
                await self._wake.wait()
                self._wake.clear()
                while self._inbox and not self._stopping:
                    await self._batch()
        except Exception as error:
            for done in self._unanswered():
                done.set_exception(error)
            raise
        for done in self._unanswered():
            done.cancel()

    def _unanswered(self) -> list[asyncio.Future[None]]:
        asked = self._asked + [done for _, done in self._inbox if done is not None]
        return [done for done in asked if not done.done()]

    async def _batch(self) -> None:
        wishes: list[commands.Command] = []
        facts = 0
        while self._inbox and facts < BATCH_FACTS and self.machine.state.dirty < BATCH_ROWS:
            told, done = self._inbox.popleft()
            if done is not None:
                self._asked.append(done)
            event = await self._around.read(told) if isinstance(told, AttemptEnded | AttemptReported) else told
            for command in self.machine.apply(event):
                if isinstance(command, commands.RequestSlot | commands.ReleaseSlot | commands.WithdrawRequests):
                    self._around.admit(self.id, command)
                else:
                    wishes.append(command)
            facts += 1
        expected, changes = self.machine.state.take()
        if changes != _NOTHING:
            crash_point("before-engine-commit")
            await self._around.commit(self.id, expected, changes)
            crash_point("after-engine-commit")
            self._around.committed(self, changes)
        else:
            await asyncio.sleep(0)  # a slice that changed nothing must give way as well
        asked, self._asked = self._asked, []
        for done in asked:
            if not done.done():
                done.set_result(None)
        for command in wishes:
            self._around.carry_out(self, command)


_NOTHING = Changes()


def ended_attempts(changes: Changes) -> list[tuple[int, int]]:
    """(seq, number) of the attempts whose end is in these changes."""
    return [(each.seq, each.number) for each in changes.attempts if each.status is not AttemptStatus.RUNNING]
