"""Stays with a workflow until it ends, and shows it: a live tree, plain lines, or JSON lines.

A thread reads the feed into a queue, the main thread draws and keeps the time: signals, the timeout and the clock of a
retry are noticed at once, whatever the socket does. However this ends, the workflow goes on.
"""

from __future__ import annotations

import queue
import threading
import time
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from ..client.feed import Away, Back, Ended, Feed, Record
from ..errors import UnreachableError
from ..render.documents import VERSION_LINE, line
from ..render.lines import plain_line
from ..render.picture import Picture
from ..render.times import duration
from . import exits
from .exits import Exit, Terminated
from .session import Session

if TYPE_CHECKING:
    from ..render.live import LiveView

TICK_S = 0.1
LOOK_S = 0.5
QUEUE_MAX = 10_000
TASKS_LEARNT_MAX = 2_000
END_CODES = {"succeeded": exits.SUCCEEDED, "failed": exits.FAILED, "cancelled": exits.CANCELLED}

_Item = Record | Away | Back | Ended | Exception


def follow(session: Session, workflow: str, *, timeout_s: float | None = None) -> Picture:
    """The picture of the ended workflow. Raises Exit: 124 at the timeout, 130 on Ctrl-C, 143 on SIGTERM."""
    picture = begin_picture(session, workflow)
    feed = session.orchestrator.feed(workflow)
    items: queue.Queue[_Item] = queue.Queue(QUEUE_MAX)
    threading.Thread(target=_read, args=(feed, items), daemon=True).start()
    deadline = time.monotonic() + timeout_s if timeout_s is not None else None
    view, display = _display(session)
    try:
        with display:
            _show(session, picture, items, view, deadline)
    except KeyboardInterrupt:
        detach(session, workflow, "Detached. The workflow goes on.")
        raise Exit(exits.INTERRUPTED) from None
    except Terminated:
        detach(session, workflow, "Detached by SIGTERM. The workflow goes on.")
        raise Exit(exits.TERMINATED) from None
    except TimeoutError:
        detach(session, workflow, f"Not done after {duration(timeout_s or 0)} (--timeout). The workflow goes on.")
        raise Exit(exits.TIMEOUT) from None
    finally:
        feed.close()
    return picture


def begin_picture(session: Session, workflow: str) -> Picture:
    """What the API says of a workflow before its events are read: its name and the places of its first tasks."""
    picture = Picture(workflow)
    try:
        picture.name = str(session.orchestrator.workflow(workflow).get("name") or "")
        for task in session.orchestrator.tasks(workflow, limit=TASKS_LEARNT_MAX):
            picture.learn(task)
    except UnreachableError:
        pass  # it was there a moment ago: the feed says so, waits for it, and tells the same
    return picture


def detach(session: Session, workflow: str, text: str) -> None:
    session.say(text)
    session.next_commands(
        ("watch", f"provisioning workflow watch {workflow}"), ("cancel", f"provisioning workflow cancel {workflow}")
    )


def _read(feed: Feed, items: queue.Queue[_Item]) -> None:
    try:
        for item in feed:
            items.put(item)
    except Exception as error:
        items.put(error)


def _display(session: Session) -> tuple[LiveView | None, AbstractContextManager[object]]:
    """The live view where it is wanted and possible."""
    wish = session.progress
    if wish == "tty" or (wish == "auto" and session.err.live and session.form != "jsonl"):
        from ..render.live import LiveView

        view = LiveView(session.err)
        return view, view
    return None, nullcontext()


def _show(
    session: Session, picture: Picture, items: queue.Queue[_Item], view: LiveView | None, deadline: float | None
) -> None:
    if session.form == "jsonl":
        session.print(line(VERSION_LINE))
    elif session.progress == "json":
        session.err.say(line(VERSION_LINE))
    while True:
        item = _next(items, deadline, TICK_S if view else LOOK_S)
        if isinstance(item, Ended):
            return
        if isinstance(item, Exception):
            raise item
        if isinstance(item, Record):
            _record(session, picture, item, view)
        elif item is not None:
            _notice(session, item, view)
        if view is not None:
            view.draw(picture, at_once=picture.ended)


def _next(items: queue.Queue[_Item], deadline: float | None, tick_s: float) -> _Item | None:
    """The next item, None after a tick. Raises TimeoutError at the deadline.

    Never an endless wait: a signal that comes just before it would be noticed only at its end.
    """
    wait_s = tick_s
    if deadline is not None:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        wait_s = min(wait_s, left_s)
    try:
        return items.get(timeout=wait_s)
    except queue.Empty:
        return None


def _record(session: Session, picture: Picture, record: Record, view: LiveView | None) -> None:
    picture.apply(record.type, record.task, record.data, record.at, record.sequence)
    if session.form == "jsonl":
        session.print(line(record.raw))
    if session.progress == "json":
        session.err.say(line(record.raw))
    elif view is None and not session.quiet and (session.form != "jsonl" or session.progress == "plain"):
        text = plain_line(picture, record.type, record.task, record.data, record.at)
        if text is not None:
            session.err.say(text)


def _notice(session: Session, item: Away | Back, view: LiveView | None) -> None:
    if session.quiet or session.progress == "json":
        return
    if isinstance(item, Away):
        text = "orchestrator is away; the running tasks go on; reconnecting…"
    else:
        text = f"orchestrator is back after {duration(item.away_s)}"
    if view is not None:
        view.say(text)
    else:
        session.err.say(text)


def exit_code(picture: Picture) -> int:
    return END_CODES.get(picture.status, exits.FAILED)
