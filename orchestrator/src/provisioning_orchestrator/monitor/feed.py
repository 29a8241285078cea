"""Hands committed events to whoever follows a workflow, and never waits for any of them.

A subscriber has a buffer of a bounded number of bytes. Where it overflows while the subscriber is only not scheduled
yet, it is told that it is *behind*: it reads on from the store, where everything is. Where it overflows while the
subscriber hangs
in a write, its client is too slow: it has *lagged* and is to be dropped. Either way nothing is kept for it and nobody
waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from ..workflow.records import EventRecord

BUFFER_BYTES_MAX = 256 * 1024


class Feed:
    """An Observer. encode: an event as it goes to subscribers; called once per event that somebody follows."""

    def __init__(self, encode: Callable[[EventRecord], bytes], buffer_bytes_max: int = BUFFER_BYTES_MAX) -> None:
        self._encode = encode
        self._buffer_bytes_max = buffer_bytes_max
        self._subscriptions: dict[str, set[Subscription]] = {}
        self.closed = asyncio.Event()

    def committed(self, workflow: str, events: Sequence[EventRecord]) -> None:
        followers = self._subscriptions.get(workflow)
        if not followers:
            return
        for event in events:
            frame = self._encode(event)
            for follower in followers:
                follower.push(event.sequence, frame)

    def subscribe(self, workflow: str) -> Subscription:
        """Everything that is committed from now on; to be closed."""
        subscription = Subscription(self._buffer_bytes_max, lambda: self._forget(workflow, subscription))
        subscription.over = self.closed.is_set()
        self._subscriptions.setdefault(workflow, set()).add(subscription)
        return subscription

    def close(self) -> None:
        """Tell every follower that nothing more will come from this process."""
        self.closed.set()
        for followers in self._subscriptions.values():
            for follower in followers:
                follower.over = True
                follower.wake()

    @property
    def followers(self) -> int:
        return sum(map(len, self._subscriptions.values()))

    def _forget(self, workflow: str, subscription: Subscription) -> None:
        followers = self._subscriptions.get(workflow, set())
        followers.discard(subscription)
        if not followers:
            self._subscriptions.pop(workflow, None)


class Subscription:
    """behind: events were left out; read them from the store. lagged: drop the client. over: the daemon stops.

    writing: set by the reader around each write to its client.
    """

    def __init__(self, buffer_bytes_max: int, forget: Callable[[], None]) -> None:
        self._frames: deque[tuple[int, bytes]] = deque()
        self._bytes = 0
        self._bytes_max = buffer_bytes_max
        self._forget = forget
        self._news = asyncio.Event()
        self.behind = False
        self.lagged = False
        self.over = False
        self.writing = False

    def push(self, sequence: int, frame: bytes) -> None:
        self._news.set()
        if self.behind or self.lagged:
            return
        if self._bytes + len(frame) > self._bytes_max:
            self.lagged, self.behind = self.writing, not self.writing
            self._frames.clear()
            self._bytes = 0
            return
        self._frames.append((sequence, frame))
        self._bytes += len(frame)

    def wake(self) -> None:
        self._news.set()

    async def wait(self, timeout_s: float) -> bool:
        """Whether there is news: True at once, or as soon as there is, False after the time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return False
        self._news.clear()
        return True

    def take(self) -> list[tuple[int, bytes]]:
        """All (sequence, frame) since the last call, in order."""
        frames = list(self._frames)
        self._frames.clear()
        self._bytes = 0
        return frames

    def rewind(self) -> None:
        """About to read from the store: what is buffered from here on follows what the store has now, or repeats it."""
        self._frames.clear()
        self._bytes = 0
        self.behind = False

    def close(self) -> None:
        self._forget()
