"""The feed hands out every event once and waits for nobody."""

from __future__ import annotations

import asyncio

from provisioning_orchestrator.monitor.feed import Feed
from provisioning_orchestrator.workflow.records import EventRecord


def event(sequence: int) -> EventRecord:
    return EventRecord(sequence, 0, "task.started")


def encode(record: EventRecord) -> bytes:
    return b"%10d" % record.sequence


def test_followers_of_a_workflow_get_its_events_and_no_others() -> None:
    feed = Feed(encode)
    one, two, other = feed.subscribe("a"), feed.subscribe("a"), feed.subscribe("b")
    feed.committed("a", [event(1), event(2)])
    feed.committed("nobody", [event(1)])
    assert [sequence for sequence, _ in one.take()] == [1, 2]
    assert [sequence for sequence, _ in two.take()] == [1, 2]
    assert (one.take(), other.take()) == ([], [])


def test_an_event_is_encoded_once_and_not_at_all_for_nobody() -> None:
    encoded = []

    def count(record: EventRecord) -> bytes:
        encoded.append(record.sequence)
        return b"x"

    feed = Feed(count)
    feed.committed("a", [event(1)])
    followers = [feed.subscribe("a") for _ in range(5)]
    feed.committed("a", [event(2)])
    assert (encoded, feed.followers) == ([2], 5)
    for follower in followers:
        follower.close()
    feed.committed("a", [event(3)])
    assert (encoded, feed.followers) == ([2], 0)


def test_too_much_for_a_follower_that_was_not_scheduled_sends_it_to_the_store() -> None:
    feed = Feed(encode, buffer_bytes_max=25)
    follower = feed.subscribe("a")
    feed.committed("a", [event(n) for n in (1, 2, 3)])
    assert (follower.behind, follower.lagged, follower.take()) == (True, False, [])
    feed.committed("a", [event(4)])
    assert follower.take() == []
    follower.rewind()
    feed.committed("a", [event(5)])
    assert follower.take() == [(5, encode(event(5)))]


def test_too_much_for_a_follower_that_hangs_in_a_write_drops_it() -> None:
    feed = Feed(encode, buffer_bytes_max=25)
    follower = feed.subscribe("a")
    follower.writing = True
    feed.committed("a", [event(1), event(2)])
    assert not follower.lagged
    feed.committed("a", [event(3)])
    assert (follower.lagged, follower.behind, follower.take()) == (True, False, [])


def test_a_follower_waits_for_news_and_no_longer_than_it_wants() -> None:
    async def main() -> None:
        feed = Feed(encode)
        follower = feed.subscribe("a")
        assert not await follower.wait(0.001)
        asyncio.get_running_loop().call_soon(feed.committed, "a", [event(1)])
        assert await follower.wait(10)
        assert not await follower.wait(0.001)

    asyncio.run(main())


def test_the_end_wakes_all_and_meets_those_that_come_late() -> None:
    async def main() -> None:
        feed = Feed(encode)
        early = feed.subscribe("a")
        asyncio.get_running_loop().call_soon(feed.close)
        assert await early.wait(10)
        assert early.over
        assert feed.subscribe("a").over

    asyncio.run(main())
