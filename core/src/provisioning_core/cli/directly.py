"""Direct mode: this process runs the operations, one after the other. No retry, no recovery; and it says so."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..render.documents import VERSION_LINE, line
from ..render.lines import plain_line
from ..render.picture import FAILED, Picture
from ..render.text import as_called, clean, clean_lines
from . import exits
from .advice import advice
from .call import Call
from .exits import Exit, Terminated
from .libraries import library_roots
from .session import Session

if TYPE_CHECKING:
    from ..directview import DirectEvent, DirectOutcome, DirectTask

LOG_LINES = 6


def run_directly(session: Session, call: Call, workspace: Path) -> DirectOutcome:
    """Return when all succeeded; raises Exit otherwise."""
    from ..direct import run_direct

    roots = library_roots(session.settings)
    session.say("direct mode: one after the other, without retry and without recovery (with both: --orchestrated)")
    show = _Show(session, call.title)
    try:
        outcome = run_direct(
            roots,
            call.operation,
            call.given,
            workspace=workspace,
            on_event=show.event,
        )
    except (KeyboardInterrupt, Terminated) as error:
        session.say("\nEnded half-way. What exists is kept, and found again by the same command:")
        session.say(f"  {as_called(call.again)}")
        raise Exit(exits.INTERRUPTED if isinstance(error, KeyboardInterrupt) else exits.TERMINATED) from None
    if outcome.status != "succeeded":
        advised = advice(show.tell_failures(), call.again, call.anew)
        session.say(f"\nWhat exists is kept. {advised.words}")
        retried = [("retried", f"{call.again} --orchestrated")] if advised.time_helps else []
        session.next_commands(*advised.commands, *retried)
        raise Exit(exits.FAILED)
    return outcome


class _Show:
    """Turns what direct mode tells into the events that a feed would have, and prints them as plain lines."""

    def __init__(self, session: Session, name: str) -> None:
        self._session = session
        self._picture = Picture("direct", name=name, announced=1, started_at=time.time())
        self._logs: dict[str, str] = {}
        if session.progress == "json":
            session.err.say(line(VERSION_LINE))

    def event(self, event: DirectEvent) -> None:
        task, type_, data = event.task, event.type, dict(event.data)
        self._picture.learn(_described(task))
        if type_ == "task.reported":
            type_ = "resource.created" if data.get("type") == "resource.created" else "task.progress"
        elif type_ == "tasks.added":
            added = [_described(child) for child in data["tasks"]]
            data = {"parent": task.id, "total": len(added), "tasks": added}
        elif type_ == "task.started":
            data = {"attempt": 1, "operation": task.doc["operation"]}
        elif type_ == "task.failed" and task.outcome.failure is not None:
            self._logs[task.id] = str(data.get("log") or "")
            data = {"code": task.outcome.failure.code, "message": task.outcome.failure.message}
        elif type_ == "task.succeeded":
            data = {"partial": task.outcome.partial}
        self._tell(type_, task.id, data)

    def _tell(self, type_: str, task: str, data: dict[str, Any]) -> None:
        now = time.time()
        self._picture.apply(type_, task, data, now)
        if self._session.progress == "json":
            self._session.err.say(line({"at": now, "type": type_, "task": task, "data": data}))
        elif not self._session.quiet:
            text = plain_line(self._picture, type_, task, data, now)
            if text is not None:
                self._session.err.say(text)

    def tell_failures(self) -> set[str]:
        """Their codes."""
        terminal = self._session.err
        for failed in self._picture.lines(FAILED):
            terminal.say(f"\n{terminal.paint('Failed:', 'bad')} {clean(failed.label)}   {failed.code}")
            for text in clean_lines(failed.message).splitlines():
                terminal.say(f"  {text}")
            tail = self._logs.get(failed.id, "").splitlines()[-LOG_LINES:]
            if tail:
                terminal.say(f"  {terminal.paint('log, last lines', 'dim')}")
                for text in tail:
                    terminal.say(f"    {clean(text)}")
        return {failed.code for failed in self._picture.lines(FAILED)}


def _described(task: DirectTask) -> dict[str, Any]:
    return {
        "id": task.id,
        "operation": task.doc["operation"],
        "needs": [need.id for need in task.needs],
        "key": task.doc.get("key"),
        "parent": task.parent.id if task.parent else None,
    }
