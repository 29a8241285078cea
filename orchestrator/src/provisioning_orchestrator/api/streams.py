"""Handlers of what goes on: the events of a workflow (a list, or Server-Sent Events) and the log of an attempt."""

from __future__ import annotations

import asyncio

import msgspec

from ..monitor.feed import Subscription
from ..ports import AttemptId, NotFound, Records, TaskView
from ..workflow.records import TASK_ENDED, WORKFLOW_ENDED, AttemptStatus, EventRecord
from . import schemas, views
from .backend import Backend, Services
from .exchange import Exchange, Write
from .problems import Refused
from .questions import LIMIT_MAX, whole_number

EVENT_STREAM = b"text/event-stream; charset=utf-8"
LOG_TYPE = b"text/plain; charset=utf-8"
REPLAY_EVENTS = 500
LOG_CHUNK_BYTES = 64 * 1024
LOG_LOOK_S = 0.25
SEQUENCE_MAX = 10**15
ATTEMPT_MAX = 10**9
_encode = msgspec.json.Encoder().encode

PING = b": ping\n\n"
BYE = b"event: bye\ndata: {}\n\n"
LAGGED = b"event: lagged\ndata: {}\n\n"
END = b"event: end\ndata: {}\n\n"
RETRY = b"retry: 1000\n\n"
_WORKFLOWS = b'"type":"workflow.'


def frame(record: EventRecord) -> bytes:
    """An event as a Server-Sent Event. It has no `event:` field: EventSource hands all of them to `onmessage`."""
    return b"id: %d\ndata: %b\n\n" % (record.sequence, _encode(views.event(record)))


# --- events ----------------------------------------------------------------------------------------------------------


async def show_events(exchange: Exchange, backend: Backend) -> None:
    query = exchange.query("after", "cursor", "limit")
    workflow, records = exchange.parts["any_workflow"], (await backend.ready()).records
    records.workflow(workflow)
    after = whole_number("after", query.get("after"), 0, 0, SEQUENCE_MAX)
    if b"text/event-stream" in (exchange.header(b"accept") or b""):
        last = exchange.header(b"last-event-id")
        if last:
            after = whole_number("Last-Event-ID", last.decode("latin-1"), 0, 0, SEQUENCE_MAX)
        follower = _Follower(backend, records, workflow, after)
        await exchange.stream(EVENT_STREAM, [(b"x-accel-buffering", b"no")], follower.follow)
        return
    after = max(after, whole_number("cursor", query.get("cursor") or None, 0, 0, SEQUENCE_MAX))
    limit = whole_number("limit", query.get("limit"), LIMIT_MAX, 1, LIMIT_MAX)
    found = records.events(workflow, after=after, limit=limit + 1)
    more = str(found[limit - 1].sequence) if len(found) > limit else None
    await exchange.reply(200, _encode(schemas.Events([views.event(one) for one in found[:limit]], more)))


class _Follower:
    """One client of a workflow's events: what is in the store, then what is committed, each once and in order."""

    def __init__(self, backend: Backend, records: Records, workflow: str, after: int) -> None:
        self._backend = backend
        self._records = records
        self._workflow = workflow
        self._last = after
        self._may_be_over = True

    async def follow(self, write: Write) -> bool:
        subscription = self._backend.feed.subscribe(self._workflow)
        try:
            await write(RETRY)
            await self._replay(subscription, write)
            while not (self._may_be_over and self._is_over()):
                if subscription.over:
                    await write(BYE)
                    return True
                if not await subscription.wait(self._backend.limits.ping_s):
                    self._may_be_over = True
                    await self._send(subscription, write, PING)
                elif subscription.behind:
                    await self._replay(subscription, write)
                else:
                    await self._pass_on(subscription, write)
                if subscription.lagged:
                    await write(LAGGED)
                    return True
            await write(END)
            return True
        finally:
            subscription.close()

    async def _replay(self, subscription: Subscription, write: Write) -> None:
        """Up to the end of what is stored. What is committed meanwhile is in the buffer, or it is behind again."""
        self._may_be_over = True
        while True:
            subscription.rewind()
            found = self._records.events(self._workflow, after=self._last, limit=REPLAY_EVENTS)
            if found:
                # Not marked as writing: while it reads from the store nothing can be lost, however slow the client is.
                await write(b"".join(map(frame, found)))
                self._last = found[-1].sequence
                await asyncio.sleep(0)
            if len(found) < REPLAY_EVENTS and not subscription.behind:
                return

    async def _pass_on(self, subscription: Subscription, write: Write) -> None:
        frames = [(sequence, data) for sequence, data in subscription.take() if sequence > self._last]
        if frames:
            await self._send(subscription, write, b"".join(data for _, data in frames))
            self._last = frames[-1][0]
            # Only where one may have been the end the store is asked: that costs as much as passing an event on.
            self._may_be_over = self._may_be_over or any(_WORKFLOWS in data for _, data in frames)

    async def _send(self, subscription: Subscription, write: Write, data: bytes) -> None:
        subscription.writing = True
        try:
            await write(data)
        finally:
            subscription.writing = False

    def _is_over(self) -> bool:
        row = self._records.workflow(self._workflow).row
        self._may_be_over = row.status in WORKFLOW_ENDED
        return self._may_be_over and row.sequence <= self._last


# --- logs ------------------------------------------------------------------------------------------------------------


async def show_log(exchange: Exchange, backend: Backend) -> None:
    query = exchange.query("attempt", "follow", "offset")
    services = await backend.ready()
    view = services.records.task(exchange.parts["any_workflow"], exchange.parts["task"])
    number = whole_number("attempt", query.get("attempt"), 0, 1, ATTEMPT_MAX)
    offset = whole_number("offset", query.get("offset"), 0, 0, SEQUENCE_MAX)
    follow = query.get("follow", "0")
    if follow not in ("0", "1"):
        raise Refused("bad_query", f"follow={follow[:40]!r} is not accepted; 0 or 1 is")
    reader = _LogReader(backend, services, view, number, offset)
    if number and number not in [attempt.number for attempt in view.attempts]:
        have = f"it has 1 to {view.attempts[-1].number}" if view.attempts else "it has none yet"
        raise NotFound(f"no attempt {number} of task {view.task.id!r}: {have}")
    if follow == "1":
        await exchange.stream(LOG_TYPE, [], reader.follow)
    else:
        await exchange.stream(LOG_TYPE, reader.headers(), reader.read)


class _LogReader:
    """number: which attempt, 0 for the last one (for a follower: the first that comes, where there is none yet)."""

    def __init__(self, backend: Backend, services: Services, view: TaskView, number: int, offset: int) -> None:
        self._backend = backend
        self._logs = services.logs
        self._records = services.records
        self._view = view
        self._offset = offset
        self._number = number or (view.attempts[-1].number if view.attempts else 0)

    def headers(self) -> list[tuple[bytes, bytes]]:
        return [(b"x-log-attempt", b"%d" % self._number)] if self._number else []

    async def read(self, write: Write) -> bool:
        """All that is there now."""
        while self._number:
            if not await self._pass_on(write):
                break
        return True

    async def follow(self, write: Write) -> bool:
        """Until the attempt has ended; False where the daemon stops before that.

        Its end counts once it is committed: the host also knows nothing of an attempt that it is about to start.
        """
        feed = self._backend.feed
        news = feed.subscribe(self._view.workflow)
        stopping = asyncio.ensure_future(feed.closed.wait())
        try:
            if not await self._attempt_is_there(news):
                return not feed.closed.is_set()
            while True:
                ended = self._end_is_committed()
                going_on = await self._pass_on(write)
                if going_on is None:
                    if ended:
                        return True
                    await news.wait(LOG_LOOK_S)
                    news.rewind()
                elif not going_on:
                    grown = asyncio.ensure_future(self._logs.log_grown(self._id, self._offset))
                    try:
                        await asyncio.wait({grown, stopping}, return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        grown.cancel()
                if feed.closed.is_set():
                    return False
        finally:
            stopping.cancel()
            news.close()

    @property
    def _id(self) -> AttemptId:
        return AttemptId(self._view.workflow, self._view.task.seq, self._number)

    async def _pass_on(self, write: Write) -> bool | None:
        """One chunk. Whether there may be more at once; None at the end of an attempt that has ended."""
        chunk = await self._logs.log(self._id, self._offset, LOG_CHUNK_BYTES)
        if chunk.hole:
            await write(b"\n[\xe2\x80\xa6 %d bytes cut \xe2\x80\xa6]\n" % chunk.hole)
        if chunk.data:
            await write(chunk.data)
        moved = chunk.next_offset > self._offset or bool(chunk.data)
        self._offset = chunk.next_offset
        return None if chunk.ended else moved

    async def _attempt_is_there(self, news: Subscription) -> bool:
        """Wait for the first attempt of a task that has none yet; False where it ended without, or the daemon stops."""
        while not self._number:
            view = self._look()
            if view.attempts:
                self._number = view.attempts[-1].number
            elif view.state.status in TASK_ENDED or news.over:
                return False
            else:
                await news.wait(self._backend.limits.ping_s)
                news.rewind()
        return True

    def _end_is_committed(self) -> bool:
        (attempt,) = (one for one in self._look().attempts if one.number == self._number)
        return attempt.status is not AttemptStatus.RUNNING

    def _look(self) -> TaskView:
        return self._records.task(self._view.workflow, self._view.task.id)
