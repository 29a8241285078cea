"""Carries out what is committed: starts and cancels attempts, in the order of the wishes, and passes facts back."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import partial

from ..crash import crash_point
from ..ports import (
    Alive,
    AttemptEnded,
    AttemptId,
    AttemptSpec,
    Dispatch,
    Exited,
    Fact,
    NeverStarted,
    OrchestratorError,
    StartRefused,
    Store,
    StoreFailed,
    TaskInput,
)
from ..workflow.records import NewTask
from .input import input_line, task_intent

log = logging.getLogger(__name__)

HEARD_TURNS = 3  # of the loop: one to wake the reader, one for it to read, one to spare


class Dispatcher:
    """tell(fact) must return at once. sign: makes the token of an attempt.

    Starts overlap: each waits for an answer of the runner, and there are never more of them than slots. What concerns
    an attempt that is being started waits for that.
    """

    def __init__(
        self,
        store: Store,
        dispatch: Dispatch,
        tell: Callable[[Fact], None],
        grace_s: float,
        sign: Callable[[AttemptId], str],
    ) -> None:
        self._store = store
        self._dispatch = dispatch
        self._tell = tell
        self._grace_s = grace_s
        self._sign = sign
        self._wishes: deque[tuple[str, AttemptId, tuple[str, NewTask] | None]] = deque()
        self._wake = asyncio.Event()
        self._starting: dict[AttemptId, asyncio.Task[None]] = {}
        self._passed = 0
        self.fence = 0

    def start(self, id: AttemptId, workflow_intent: str, task: NewTask) -> None:
        self._wishes.append(("start", id, (workflow_intent, task)))
        self._wake.set()

    def cancel(self, id: AttemptId) -> None:
        self._wishes.append(("cancel", id, None))
        self._wake.set()

    def settled(self, id: AttemptId) -> None:
        self._wishes.append(("settled", id, None))
        self._wake.set()

    async def carry_out(self) -> None:
        """Work off the wishes, for ever. What a start raises ends it."""
        async with asyncio.TaskGroup() as starts:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._wishes:
                    what, id, more = self._wishes.popleft()
                    if more is not None:
                        start = self._starting[id] = starts.create_task(self._start(id, *more))
                        start.add_done_callback(partial(self._started, id))
                        continue
                    if id in self._starting:
                        await asyncio.wait([self._starting[id]])
                    if what == "cancel":
                        await self._dispatch.cancel(id, self._grace_s)
                    else:
                        await self._dispatch.settled([id])

    def _started(self, id: AttemptId, _: asyncio.Task[None]) -> None:
        self._starting.pop(id, None)

    async def pass_facts(self) -> None:
        """Hand on the facts of the dispatch, for ever."""
        async for fact in self._dispatch.facts():
            self._passed += 1
            self._tell(fact)

    async def heard(self) -> None:
        """Return when the facts that the dispatch has ready have been handed on."""
        while True:
            before = self._passed
            for _ in range(HEARD_TURNS):
                await asyncio.sleep(0)
            if self._passed == before:
                return

    async def _start(self, id: AttemptId, workflow_intent: str, task: NewTask) -> None:
        crash_point("before-start")
        try:
            await self._dispatch.start(self._spec(id, workflow_intent, task))
        except StartRefused as refusal:
            self._tell(AttemptEnded(id, NeverStarted(str(refusal))))
        except StoreFailed:
            raise
        except OrchestratorError as error:  # the operation is gone, or is there twice: a person must act
            self._tell(AttemptEnded(id, Exited(refused=str(error))))
        except Exception:
            # Whether it started can't be known from here: the files of the attempt say it.
            log.exception("starting %s failed unexpectedly; asking what became of it", id)
            verdict = (await self._dispatch.reconcile([id]))[id]
            if not isinstance(verdict, Alive):
                self._tell(AttemptEnded(id, verdict))
        crash_point("after-start")

    def _spec(self, id: AttemptId, workflow_intent: str, row: NewTask) -> AttemptSpec:
        if row.needs or row.parent:
            task = self._store.task_input(id.workflow, id.task)
        else:  # It is told no results: all of it is at hand.
            task = TaskInput(row.id, row.operation, row.key, row.params)
        intent = task_intent(workflow_intent, task.task_id)
        return AttemptSpec(
            id=id,
            operation=task.operation,
            input=input_line(id.workflow, intent, id.number, task),
            timeout_s=row.timeout_s,
            grace_s=self._grace_s,
            fence=self.fence,
            token=self._sign(id),
        )
