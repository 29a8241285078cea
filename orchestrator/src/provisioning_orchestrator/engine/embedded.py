"""The engine in this process: one driver per living workflow, one admission over all of them.

    API ──submit──► store ──► driver ─┐            ┌─► dispatcher ──► runner
    runner ──facts──► driver ─────────┴► one commit┘   (only after the commit)

Everything that it holds in memory follows from the store's rows: `start` derives it again after any crash.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from ..ports import (
    AttemptId,
    Chance,
    Clock,
    Conflict,
    Dispatch,
    Fact,
    Idempotency,
    Library,
    NotFound,
    NotPossibleNow,
    Observer,
    OrchestratorError,
    Store,
    StoreFailed,
    StoreFull,
    Submitter,
    UnreadableRecord,
)
from ..workflow import commands, events
from ..workflow.admission import DEPTH_MAX, LOANS_MAX, Admission
from ..workflow.birth import fresh, new_rows, rebuilt
from ..workflow.machine import Machine
from ..workflow.records import TASK_ENDED, Changes, Parent, TaskStatus, WorkflowRow
from ..workflow.spec import TaskSpec
from .actor import Actor, ended_attempts
from .children import CHILDREN_MAX, Children
from .dispatcher import Dispatcher
from .input import task_intent
from .reading import is_large, read_fact
from .recovery import recover
from .spread import spread
from .timers import Timers

log = logging.getLogger(__name__)

STOP_S = 3.0
FULL_RETRY_S = 1.0
T = TypeVar("T")
Offload = Callable[[Callable[[], Any]], Awaitable[Any]]


async def inline(work: Callable[[], T]) -> T:
    return work()


class EmbeddedEngine:
    """sign: makes the token that an attempt gets.

    offload: runs heavy pure work beside the loop (the daemon: in a thread).

    on_failure: told once, when the store failed and nothing may be decided any more: the process should end.
    """

    def __init__(
        self,
        *,
        store: Store,
        dispatch: Dispatch,
        library: Library,
        clock: Clock,
        chance: Chance,
        observers: Sequence[Observer] = (),
        slots: int = 10,
        loans_max: int = LOANS_MAX,
        children_max: int = CHILDREN_MAX,
        grace_s: float = 10.0,
        sign: Callable[[AttemptId], str] = lambda _: "",
        on_failure: Callable[[Exception], None] = lambda _: None,
        offload: Offload = inline,
    ) -> None:
        self._store = store
        self._dispatch = dispatch
        self._library = library
        self._clock = clock
        self._chance = chance
        self._observers = tuple(observers)
        self._on_failure = on_failure
        self._offload = offload
        self.admission = Admission(slots, loans_max)
        self._actors: dict[str, Actor] = {}
        self._children = Children(children_max)
        self._tasks: dict[asyncio.Task[None], None] = {}  # in order: a simulation must not depend on addresses
        self._timers = Timers(clock, self._delay_ended)
        self._dispatcher = Dispatcher(store, dispatch, self._fact, grace_s, sign)
        self._recovered = asyncio.Event()
        self._stopped = False
        self._failed = False

    # --- life --------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take up every workflow that has not ended; returns when each of them is scheduled again."""
        self._dispatcher.fence = await self._store.reign()
        self._spawn(self._guard(self._dispatcher.pass_facts))
        await recover(self, self._store, self._dispatch)
        self._spawn(self._guard(self._dispatcher.carry_out))

    async def stop(self) -> None:
        """Stop deciding and starting. Running attempts live on; what is not committed is derived again at the start."""
        self._stopped = True
        for actor in self._actors.values():
            actor.stop()
        self._timers.close()
        drivers = [task for task in self._tasks if task.get_name().startswith("wf_")]
        if drivers:
            await asyncio.wait(drivers, timeout=STOP_S)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- what the API calls ------------------------------------------------------------------------------------------

    async def submit(
        self,
        name: str,
        tasks: Sequence[TaskSpec],
        idempotency: Idempotency | None = None,
        parent: Parent | None = None,
    ) -> tuple[str, bool]:
        await self._recovered.wait()  # what it finds on the disk, recovery takes up as well: this one twice, then
        if parent is None:
            return await self._submit(name, tasks, idempotency, None)
        if not self.admission.may_have_children(parent.workflow, parent.seq):
            chain = f"{DEPTH_MAX} workflows deep below one another, which is the limit"
            raise NotPossibleNow(f"task {parent.task!r} of {parent.workflow} is {chain}: it can have no children")
        with self._children.one_more(parent):
            return await self._submit(name, tasks, idempotency, parent)

    async def _submit(
        self, name: str, tasks: Sequence[TaskSpec], idempotency: Idempotency | None, parent: Parent | None
    ) -> tuple[str, bool]:
        id, intent, at = self._chance.workflow_id(), self._chance.intent(), self._clock.now()
        row, rows, event = await spread(new_rows(id, name, intent, at, tasks, parent))
        stored = await self._store.submit(row, rows, [event], idempotency)
        if stored != id:
            return stored, True
        for observer in self._observers:
            observer.committed(id, [event])
        machine, wishes = await spread(fresh(row, rows))
        if self._stopped:
            return id, False  # it is durable: the next daemon takes it up
        self.take_up(self.register(id, machine), wishes)
        self.grant()
        if parent is not None and await self._was_cancelled(parent.workflow):
            with contextlib.suppress(NotPossibleNow):  # it has ended by itself
                await self.cancel(id)  # its parent was cancelled while it was written
        return id, False

    def submitter(self, attempt: AttemptId) -> Submitter | None:
        actor = self._actors.get(attempt.workflow)
        if actor is None or self._is_cancelled(attempt.workflow):
            return None
        state = actor.machine.state
        running = state.running.get(attempt.task)
        if running is None or running.number != attempt.number:
            return None
        task = state.task(attempt.task).row
        return Submitter(Parent(attempt.workflow, task.id, task.seq), task_intent(state.row.intent, task.id))

    def waits_for(self, workflow: str, seq: int) -> str | None:
        actor = self._actors.get(workflow)
        status = actor.machine.state.task(seq).status if actor is not None else None
        if status is TaskStatus.READY:
            return self.admission.why(workflow)
        children = self._children.of_task(workflow, seq) if status is TaskStatus.RUNNING else []
        if not children:
            return None
        more = f" and {len(children) - 1} more" if len(children) > 1 else ""
        return f"its child workflow {children[0]}{more}, perhaps; its slot is lent"

    async def cancel(self, workflow: str) -> None:
        actor = self._actors.get(workflow)
        if actor is not None:
            # The parent first: a crash in between leaves its wish, and the next start does the rest (cancel_orphans).
            await self._decided(actor.ask(events.CancelRequested(self._clock.now())), workflow)
            await self._cancel_children(workflow)
            return
        row = (await self._store.load(workflow)).workflow
        _check_ended(row)
        raise NotPossibleNow(f"{workflow} has ended already: {row.status.value}")

    async def _cancel_children(self, workflow: str) -> None:
        """Theirs too, and without recursion: a chain of children may be long."""
        doomed = [workflow]
        for parent in doomed:
            doomed += self._children.of(parent)
        # All at once, so that they share their commits: there may be a thousand.
        asked = [
            (child, self._actors[child].ask(events.CancelRequested(self._clock.now())))
            for child in reversed(doomed[1:])
            if child in self._actors
        ]
        await asyncio.gather(*(self._decided(answer, child) for child, answer in asked), return_exceptions=True)
        for child, answer in asked:
            with contextlib.suppress(NotPossibleNow):  # it has just ended
                await self._decided(answer, child)

    def _is_cancelled(self, workflow: str) -> bool:
        actor = self._actors.get(workflow)
        return actor is not None and actor.machine.state.row.cancel_requested

    async def _was_cancelled(self, workflow: str) -> bool:
        """The same of one that may have ended since, or is set aside."""
        if workflow in self._actors:
            return self._is_cancelled(workflow)
        try:
            return (await self._store.load(workflow)).workflow.cancel_requested
        except (NotFound, UnreadableRecord):
            return False

    async def resolve(self, workflow: str, task: str, as_: events.Resolution) -> None:
        actor = self._actors.get(workflow)
        if actor is not None:
            seq = _unknown_task(actor.machine, task)
            _check_resolution(actor.machine, task, as_)
            await self._decided(actor.ask(events.TaskResolved(seq, self._clock.now(), as_)), workflow)
            return
        # The workflow was cancelled with this task unknown: what a person finds out later is still kept.
        machine, _ = await spread(rebuilt(await self._store.load(workflow)))
        _check_ended(machine.state.row)
        seq = _unknown_task(machine, task)
        _check_resolution(machine, task, as_)
        machine.apply(events.TaskResolved(seq, self._clock.now(), as_))
        expected, changes = machine.state.take()
        try:
            await self.commit(workflow, expected, changes)
        except Conflict:
            raise NotPossibleNow(f"{task!r} of {workflow} was resolved by somebody else in the meantime") from None
        self._observe(workflow, changes)

    # --- what drivers need (see actor.Surroundings) ------------------------------------------------------------------

    async def read(self, fact: Fact) -> events.Event:
        at, fraction = self._clock.now(), self._chance.fraction()
        if is_large(fact):
            read: events.Event = await self._offload(lambda: read_fact(fact, self._library, at, fraction))
            return read
        return read_fact(fact, self._library, at, fraction)

    def admit(self, workflow: str, command: commands.Command) -> None:
        if isinstance(command, commands.RequestSlot):
            self.admission.request(workflow, command.seq)
        elif isinstance(command, commands.ReleaseSlot):
            self.admission.release(workflow, command.seq)
        else:
            self.admission.withdraw(workflow)
        self.grant()

    async def commit(self, workflow: str, expected: int, changes: Changes) -> None:
        while True:
            try:
                await self._store.append(workflow, expected, changes)
                return
            except StoreFull as error:
                # Rolled back whole: nothing is half-written, and the machine's decision stays valid. Running attempts
                # keep their room for the outcome, so waiting loses nothing.
                log.error("no room to commit %s: %s; trying again in %s s", workflow, error, FULL_RETRY_S)
                await self._pause(FULL_RETRY_S)

    def carry_out(self, actor: Actor, command: commands.Command) -> None:
        if isinstance(command, commands.StartAttempt):
            id = AttemptId(actor.id, command.seq, command.number)
            row = actor.machine.state.row
            self._dispatcher.start(id, row.intent, actor.machine.state.task(command.seq).row)
        elif isinstance(command, commands.CancelAttempt):
            self._dispatcher.cancel(AttemptId(actor.id, command.seq, command.number))
        elif isinstance(command, commands.SetTimer):
            self._timers.set(actor.id, command.seq, command.due_at)
        elif isinstance(command, commands.ContinueLater):
            actor.tell(events.SliceDue(self._clock.now()))

    def committed(self, actor: Actor, changes: Changes) -> None:
        for seq, number in ended_attempts(changes):
            self._dispatcher.settled(AttemptId(actor.id, seq, number))
        self._observe(actor.id, changes)

    # --- the pieces --------------------------------------------------------------------------------------------------

    def register(self, id: str, machine: Machine) -> Actor:
        """Make its driver, which takes facts in from now on; it decides nothing before take_up."""
        actor = self._actors[id] = Actor(id, machine, self)
        parent = machine.state.row.parent
        if parent is None:
            self.admission.enter(id)
        else:
            self._children.add(parent, id)
            self.admission.enter(id, (parent.workflow, parent.seq))
            self.admission.lend(parent.workflow, parent.seq)
        return actor

    def take_up(self, actor: Actor, wishes: Sequence[commands.Command]) -> None:
        """Drive this workflow, beginning with the wishes that its birth left."""
        for wish in wishes:
            if isinstance(wish, commands.RequestSlot):
                self.admission.request(actor.id, wish.seq)
            elif isinstance(wish, commands.WithdrawRequests):
                self.admission.withdraw(actor.id)
            else:
                self.carry_out(actor, wish)
        # Always: what was left of a slice may be nothing but the end of the workflow.
        actor.tell(events.SliceDue(self._clock.now()))
        self._spawn(self._drive(actor), name=actor.id)

    async def heard(self) -> None:
        """Return when every fact that is there already is in the inbox of its driver."""
        await self._dispatcher.heard()

    def hold(self, workflow: str, seq: int) -> None:
        """The slot of an attempt that lives on; lent, where a child of it has not ended."""
        self.admission.hold(workflow, seq)
        if self._children.of_task(workflow, seq):
            self.admission.lend(workflow, seq)

    async def cancel_orphans(self) -> None:
        """Children of cancelled workflows that a crash left behind, of ended ones too."""
        for workflow in [id for id in self._actors if self._is_cancelled(id)]:
            await self._cancel_children(workflow)
        parents = {id: actor.machine.state.row.parent for id, actor in self._actors.items()}
        gone = dict.fromkeys(parent.workflow for parent in parents.values() if parent is not None)
        doomed = [id for id in gone if id not in parents and await self._was_cancelled(id)]
        for workflow in doomed:
            for child in self._children.of(workflow):
                with contextlib.suppress(NotPossibleNow):
                    await self.cancel(child)

    def begin_granting(self) -> None:
        """From now on slots are given out: before, it is not known how many are held by attempts that live on."""
        self._recovered.set()
        self.grant()

    def grant(self) -> None:
        """Give free slots to who asked first."""
        if not self._recovered.is_set():
            return
        while granted := self.admission.grants():
            for workflow, seq in granted:
                if self._children.of_task(workflow, seq):  # submitted by an attempt before this one
                    self.admission.lend(workflow, seq)
                self._actors[workflow].tell(events.SlotGranted(seq, self._clock.now()))

    async def quarantine(self, workflow: str, reason: str) -> None:
        log.error("%s is set aside: %s", workflow, reason)
        self._drop(workflow)
        await self._store.quarantine(workflow, reason)

    async def _drive(self, actor: Actor) -> None:
        try:
            await actor.drive()
        except (StoreFailed, Conflict) as error:
            # A conflict means that another daemon writes here. Memory can't be trusted any more; the rows can.
            self._fail(error)
            return
        except Exception as error:  # a bug, or a record that can't be: this workflow only
            log.exception("%s met a fact that it can't place", actor.id)
            await self.quarantine(actor.id, f"{type(error).__name__}: {error}")
            return
        self._drop(actor.id)

    def _drop(self, workflow: str) -> None:
        actor = self._actors.pop(workflow, None)
        parent = actor.machine.state.row.parent if actor else None
        if parent is not None and not self._children.remove(parent, workflow):
            self.admission.reclaim(parent.workflow, parent.seq)
        self._timers.forget(workflow)
        self.admission.forget(workflow)
        self.grant()

    def _fact(self, fact: Fact) -> None:
        actor = self._actors.get(fact.id.workflow)
        if actor is None:
            self._dispatcher.settled(fact.id)
        else:
            actor.tell(fact)

    def _delay_ended(self, workflow: str, seq: int, at: int) -> None:
        actor = self._actors.get(workflow)
        if actor is not None:
            actor.tell(events.DelayEnded(seq, at))

    def _observe(self, workflow: str, changes: Changes) -> None:
        if changes.events:
            for observer in self._observers:
                observer.committed(workflow, changes.events)

    async def _decided(self, answer: asyncio.Future[None], workflow: str) -> None:
        try:
            await answer
        except asyncio.CancelledError:
            if answer.cancelled():
                raise NotPossibleNow(f"{workflow} ended in the meantime, or the daemon is stopping") from None
            raise
        except Conflict as error:
            raise StoreFailed(f"another daemon writes here: {error}") from error
        except OrchestratorError:
            raise
        except Exception as error:
            raise NotPossibleNow(f"{workflow} was set aside: {type(error).__name__}: {error}") from error

    async def _pause(self, seconds: float) -> None:
        woken = asyncio.Event()
        self._clock.call_later(seconds, woken.set)
        await woken.wait()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str | None = None) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    async def _guard(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception as error:
            log.exception("a part of the engine ended unexpectedly")
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if not self._failed:
            self._failed = True
            self._on_failure(error)


def _unknown_task(machine: Machine, id: str) -> int:
    for task in machine.state.all_tasks():
        if task.row.id == id:
            if task.status is TaskStatus.UNKNOWN:
                return task.row.seq
            ended = " (it has ended)" if task.status in TASK_ENDED else ""
            raise NotPossibleNow(f"task {id!r} is {task.status.value}{ended}; only an unknown one can be resolved")
    raise NotFound(f"no task {id!r} in {machine.state.row.id}")


def _check_ended(row: WorkflowRow) -> None:
    """Without a driver and not ended: it is set aside, or a recovery has not come to it yet."""
    if row.ended_at is None:
        raise NotPossibleNow(f"{row.id} is not scheduled at the moment; try again, or look at its `quarantined`")


def _check_resolution(machine: Machine, task: str, as_: events.Resolution) -> None:
    if as_ == "retry" and machine.state.row.cancel_requested:
        raise NotPossibleNow(
            f"{machine.state.row.id} is cancelled: {task!r} can be resolved as succeeded or failed only"
        )
