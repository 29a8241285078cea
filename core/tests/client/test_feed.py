from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning_core.client.connection import Connection
from provisioning_core.client.feed import Away, Back, Ended, Feed, Record
from provisioning_core.errors import NotFoundError, UnreachableError
from provisioning_core.settings import Setting
from provisioning_core.testing.replay import TOKEN, Replay


@pytest.fixture
def replay() -> Iterator[Replay]:
    with Replay() as replay:
        replay.add_workflow("wf_1", "servers/create wuji", [{"id": "create", "operation": "servers/create"}])
        yield replay


@pytest.fixture
def connection(replay: Replay, tmp_path: Path) -> Connection:
    (tmp_path / "token").write_text(TOKEN + "\n")
    return Connection(Setting(replay.url, "test"), Setting(str(tmp_path / "token"), "test"))


def _record(replay: Replay, count: int, *, end: bool = False) -> None:
    for _ in range(count):
        replay.record("wf_1", "task.progress", "create", message="still there")
    if end:
        replay.record("wf_1", "workflow.succeeded")


def test_records_come_once_and_in_order_and_then_the_end(replay: Replay, connection: Connection) -> None:
    _record(replay, 5, end=True)
    items = list(Feed(connection, "wf_1"))
    assert [item.sequence for item in items if isinstance(item, Record)] == [1, 2, 3, 4, 5, 6]
    assert items[-1] == Ended()
    assert len(items) == 7


def test_it_goes_on_after_the_record_that_it_has_seen(replay: Replay, connection: Connection) -> None:
    _record(replay, 5, end=True)
    assert [item.sequence for item in Feed(connection, "wf_1", after=4) if isinstance(item, Record)] == [5, 6]


def test_a_stream_that_is_cut_anywhere_loses_and_repeats_nothing(replay: Replay, connection: Connection) -> None:
    _record(replay, 20, end=True)
    replay.cuts |= {1, 2, 7, 20, 21}
    items = list(Feed(connection, "wf_1"))
    assert [item.sequence for item in items if isinstance(item, Record)] == list(range(1, 22))
    assert not any(isinstance(item, Away) for item in items), "the daemon was there all the time"


def test_a_restart_of_the_daemon_is_said_once_and_survived(replay: Replay, connection: Connection) -> None:
    _record(replay, 2)
    items = iter(Feed(connection, "wf_1"))
    assert [type(next(items)) for _ in range(2)] == [Record, Record]
    replay.go_away()
    assert isinstance(next(items), Away)
    replay.come_back()
    assert isinstance(next(items), Back)
    _record(replay, 1, end=True)
    rest = list(items)
    assert [item.sequence for item in rest if isinstance(item, Record)] == [3, 4]
    assert isinstance(rest[-1], Ended)


def test_a_daemon_that_starts_is_waited_for(replay: Replay, connection: Connection) -> None:
    _record(replay, 1, end=True)
    problem = {"code": "starting", "detail": "the database is checked", "status": 503}
    for _ in range(3):
        replay.refuse_once("GET", "/workflows/wf_1/events", (503, problem, {"Retry-After": "1"}))
    kinds = [type(item) for item in Feed(connection, "wf_1")]
    assert kinds == [Away, Back, Record, Record, Ended]


def test_a_daemon_that_stays_away_is_given_up_in_the_end(replay: Replay, connection: Connection) -> None:
    replay.go_away()
    feed = iter(Feed(connection, "wf_1", away_max_s=0.3))
    assert isinstance(next(feed), Away)
    with pytest.raises(UnreachableError):
        next(feed)


def test_a_workflow_that_is_not_there_ends_it_at_once(connection: Connection) -> None:
    with pytest.raises(NotFoundError):
        list(Feed(connection, "wf_2"))


def test_closing_it_ends_a_reader_that_waits(replay: Replay, connection: Connection) -> None:
    _record(replay, 1)
    feed = Feed(connection, "wf_1")
    items = iter(feed)
    next(items)
    feed.close()
    assert list(itertools.islice(items, 1)) == []
