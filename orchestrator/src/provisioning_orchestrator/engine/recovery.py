"""After a start: what became of everything that an earlier daemon had begun.

Rows first, then the attempts that they call running, then the wishes that nobody carried out. Slots of attempts that
are still alive are held before anything new is granted, and a fact that comes in the meantime waits in its driver's
inbox. A crash anywhere in here changes nothing: it is derived again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from ..crash import crash_point
from ..ports import Alive, AttemptEnded, AttemptId, Conflict, Dispatch, Store, StoreFailed
from ..workflow.birth import rebuilt
from ..workflow.commands import Command
from ..workflow.machine import Machine
from .actor import Actor
from .spread import spread

log = logging.getLogger(__name__)

RECONCILE_SLICE = 500


class Recovering(Protocol):
    """What recovery needs of the engine, in the order in which it is called."""

    async def quarantine(self, workflow: str, reason: str) -> None: ...

    def register(self, id: str, machine: Machine) -> Actor:
        """Make its driver, which takes facts in from now on; it decides nothing before take_up."""

    def hold(self, workflow: str, seq: int) -> None:
        """The slot of an attempt that lives on."""

    async def heard(self) -> None:
        """Return when every fact that is there already is in the inbox of its driver."""

    def take_up(self, actor: Actor, wishes: Sequence[Command]) -> None:
        """Drive this workflow, beginning with the wishes that its birth left."""

    async def cancel_orphans(self) -> None:
        """Children of cancelled workflows that a crash left behind."""

    def begin_granting(self) -> None:
        """From now on slots are given out."""


async def recover(engine: Recovering, store: Store, dispatch: Dispatch) -> None:
    found = await _rebuild_all(engine, store)
    running = [
        AttemptId(actor.id, attempt.seq, attempt.number)
        for actor, _ in found
        for attempt in actor.machine.state.running.values()
    ]
    ended: dict[str, list[AttemptEnded]] = {}
    alive = 0
    for start in range(0, len(running), RECONCILE_SLICE):
        crash_point("mid-recovery")
        verdicts = await dispatch.reconcile(running[start : start + RECONCILE_SLICE])
        for id, verdict in verdicts.items():
            if isinstance(verdict, Alive):
                engine.hold(id.workflow, id.task)
                alive += 1
            else:
                ended.setdefault(id.workflow, []).append(AttemptEnded(id, verdict))
    # What an attempt reported is told before its end: afterwards nobody would take it any more.
    await engine.heard()
    for actor, wishes in found:
        for fact in ended.get(actor.id, ()):
            actor.tell(fact)
        engine.take_up(actor, wishes)
    await engine.cancel_orphans()
    engine.begin_granting()
    if found:
        log.info(
            "recovered %d workflows: %d attempts alive, %d ended meanwhile", len(found), alive, len(running) - alive
        )


async def _rebuild_all(engine: Recovering, store: Store) -> list[tuple[Actor, list[Command]]]:
    found = []
    for workflow in await store.unfinished():
        try:
            machine, wishes = await spread(rebuilt(await store.load(workflow)))
        except (StoreFailed, Conflict):
            raise
        except Exception as error:
            # A record that can't be read must never keep the daemon from starting.
            await engine.quarantine(workflow, f"it can't be read: {error}")
            continue
        found.append((engine.register(workflow, machine), wishes))
    return found
