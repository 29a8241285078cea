from __future__ import annotations

import random
import time
from typing import Any

import pytest

from provisioning_core.render.lines import plain_line
from provisioning_core.render.picture import Picture
from provisioning_core.render.terminal import ASCII, UNICODE
from provisioning_core.render.text import width
from provisioning_core.render.tree import tree

FACTS = [
    "started",
    "progress",
    "failed",
    "retrying",
    "requeued",
    "unknown",
    "skipped",
    "cancelled",
    "resolved",
    "succeeded",
]
T0 = 1_800_000_000.0
SERVERS = ("web-1", "web-2", "db-1")


def _added(*names: str) -> list[dict[str, Any]]:
    network = {"id": "1.net", "operation": "networks/create", "needs": [], "key": "ws/wuji/network/wuji-net"}
    return [network] + [
        {"id": f"1.{name}", "operation": "servers/create-one", "needs": ["1.net"], "key": f"ws/wuji/server/{name}"}
        for name in names
    ]


def _picture(*names: str) -> Picture:
    """`create` has ended and added a network and servers; the network is there, the servers run."""
    picture = Picture("wf_01kb7q3m8xabcdef", name="servers/create wuji")
    apply = picture.apply
    root = {"id": "create", "operation": "servers/create", "needs": []}
    apply("workflow.submitted", None, {"total": 1, "tasks": [root]}, T0)
    apply("workflow.started", None, {}, T0)
    apply("task.started", "create", {"attempt": 1}, T0)
    tasks = _added(*names)
    apply("tasks.added", "create", {"parent": "create", "total": len(tasks), "tasks": tasks}, T0 + 1)
    apply("task.succeeded", "create", {"added": len(tasks)}, T0 + 1)
    apply("task.started", "1.net", {"attempt": 1}, T0 + 1)
    apply("task.succeeded", "1.net", {}, T0 + 2)
    for name in names:
        apply("task.started", f"1.{name}", {"attempt": 1, "operation": "servers/create-one"}, T0 + 2)
    return picture


def _rows(picture: Picture, columns: int = 80, rows: int = 24, now: float = T0 + 10) -> list[str]:
    return [row.text.rstrip() for row in tree(picture, columns=columns, rows=rows, now=now, glyphs=UNICODE)]


def test_the_tree_follows_the_dag_and_calls_tasks_by_what_they_are_about() -> None:
    picture = _picture(*SERVERS)
    picture.apply("task.progress", "1.web-1", {"message": "waiting for SSH"}, T0 + 3)
    assert _rows(picture) == [
        "● servers/create wuji  wf_01kb7q3m8x  running  10s  2/5 tasks",
        "└── ✔ create                 1.0s",
        "    └── ✔ network wuji-net   1.0s",
        "        ├── ⠋ server web-1   8.0s  waiting for SSH",
        "        ├── ⠋ server web-2   8.0s",
        "        └── ⠋ server db-1    8.0s",
    ]


def test_a_retry_says_which_attempt_comes_when_and_why() -> None:
    picture = _picture("web-1")
    picture.apply(
        "task.retrying",
        "1.web-1",
        {"attempt": 1, "attempts_max": 3, "code": "http_503", "message": "HTTP 503 from api.local", "due_at": T0 + 15},
        T0 + 5,
    )
    assert "↻ server web-1   8.0s  attempt 2/3 in 5s: HTTP 503 from api.local" in _rows(picture)[-1]
    assert picture.retries == 1
    picture.apply("task.started", "1.web-1", {"attempt": 2}, T0 + 15)
    assert "attempt 2/3" in _rows(picture, now=T0 + 16)[-1]


def test_done_branches_fold_first_and_failures_never() -> None:
    picture = _picture(*(f"web-{i}" for i in range(100)))
    for i in range(90):
        picture.apply("task.succeeded", f"1.web-{i}", {}, T0 + 3)
    picture.apply("task.failed", "1.web-95", {"code": "quota", "message": "no room"}, T0 + 4)
    rows = _rows(picture, rows=14)
    assert len(rows) <= 14
    assert any("✘ server web-95" in row and "no room" in row for row in rows)
    assert sum("⠋" in row for row in rows) == 9
    assert rows[-1] == "  and 90 succeeded"


def test_what_nobody_listed_is_counted_all_the_same() -> None:
    picture = _picture()
    picture.apply("tasks.added", "1.net", {"parent": "1.net", "total": 5000, "tasks": []}, T0 + 3)
    assert picture.total == 5002
    assert _rows(picture)[-1] == "  and 5000 queued"


@pytest.mark.parametrize("columns", [20, 40, 79, 80, 200])
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_no_row_is_ever_wider_than_the_terminal(columns: int, glyphs: Any) -> None:
    picture = _picture("web-1", "漢字" * 40, "x" * 300, "evil\x1b[2J\n")
    for task in list(picture.tasks):
        picture.apply("task.progress", task, {"message": "é漢" * 200, "percent": 12.5}, T0 + 3)
    for row in tree(picture, columns=columns, rows=24, now=T0 + 10, glyphs=glyphs):
        assert width(row.text) <= columns
        assert "\x1b" not in row.text
        assert "\n" not in row.text


def test_a_chain_of_100_000_tasks_is_drawn_in_no_time() -> None:
    picture = Picture("wf_1", name="deep")
    for i in range(100_000):
        picture.learn({"id": str(i), "operation": "x", "needs": [str(i - 1)] if i else []})
    picture.apply("task.started", "99999", {"attempt": 1}, T0)
    started = time.perf_counter()
    rows = _rows(picture)
    assert time.perf_counter() - started < 1.0
    assert len(rows) == 24
    assert rows[-1] == "  and 99978 queued"


def test_a_failed_workflow_shows_what_failed_and_what_was_skipped() -> None:
    picture = _picture("web-1", "web-2")
    picture.learn({"id": "dns", "operation": "dns/set", "needs": ["1.web-1"]})
    picture.apply("task.succeeded", "1.web-2", {"partial": True}, T0 + 3)
    picture.apply("task.failed", "1.web-1", {"code": "quota", "message": "no room"}, T0 + 4)
    picture.apply("task.skipped", "dns", {"because": "1.web-1"}, T0 + 4)
    picture.apply("workflow.failed", None, {"counts": {}}, T0 + 5)
    text = "\n".join(_rows(picture, columns=90))
    assert "✘ servers/create wuji  wf_01kb7q3m8x  failed in 5.0s  3 ok, 1 failed, 1 skipped" in text
    assert "– dns" in text
    assert "skipped: needs server web-1" in text
    assert "in part" in text


def test_any_event_whatever_it_holds_is_survived() -> None:
    chance = random.Random(7)
    facts = FACTS
    ends = ["workflow.submitted", "workflow.started", "workflow.failed", "workflow.purple"]
    types = [*(f"task.{fact}" for fact in facts), *ends, "tasks.added", "resource.created", "x", "..", "task."]
    values: list[Any] = [None, True, -1, 1.5, "x", [], {}, ["x"], [{"id": "a"}], [{"id": 3}], {"a": 1}, 10**30]
    names = ["tasks", "total", "parent", "attempt", "attempts_max", "message", "reason", "due_at", "delay_s"]
    names += ["percent", "as", "kind", "id", "because"]
    picture = Picture("wf_1")
    for _ in range(5000):
        data = {name: chance.choice(values) for name in chance.sample(names, 5)}
        type_, task = chance.choice(types), chance.choice([None, "a", "b", "1.c"])
        at = chance.choice([T0, None, "now", "2026-01-01T00:00:00Z"])
        picture.apply(type_, task, data, at)
        plain_line(picture, type_, task, data, at)
    assert sum(len(ids) for ids in picture.by_status.values()) == len(picture.tasks)
    for row in tree(picture, columns=80, rows=24, now=T0, glyphs=UNICODE):
        assert width(row.text) <= 80


def test_a_resource_that_is_reported_twice_is_one() -> None:
    picture = _picture("web-1")
    picture.apply("resource.created", "1.web-1", {"kind": "server", "id": "s1"}, T0 + 3)
    picture.apply("resource.created", "1.web-1", {"kind": "server", "id": "s1", "name": "web-1"}, T0 + 4)
    assert [resource["name"] for resource in picture.resources.values()] == ["web-1"]


def test_plain_lines_are_one_a_change_with_time_and_reason_and_without_escapes() -> None:
    picture = Picture("wf_1", name="servers/create wuji")
    events: list[tuple[str, str | None, dict[str, Any]]] = [
        ("workflow.submitted", None, {"total": 1, "tasks": [{"id": "create", "operation": "servers/create"}]}),
        ("task.started", "create", {"attempt": 1}),
        ("task.progress", "create", {"message": "evil \x1b[31m\nline"}),
        ("task.retrying", "create", {"attempt": 1, "attempts_max": 3, "delay_s": 5.0, "message": "busy"}),
        ("task.failed", "create", {"code": "quota", "message": "no room"}),
        ("workflow.failed", None, {}),
        ("purple.elephant", None, {}),
    ]
    lines = []
    for i, (type_, task, data) in enumerate(events):
        picture.apply(type_, task, data, T0 + i)
        lines.append(plain_line(picture, type_, task, data, T0 + i))
    assert lines == [
        "2027-01-15T08:00:00Z  wf_1                  submitted   wf_1  servers/create wuji  1 task",
        "2027-01-15T08:00:01Z  create                started",
        "2027-01-15T08:00:02Z  create                progress    evil \\x0aline",
        '2027-01-15T08:00:03Z  create                retrying    attempt=2/3 wait=5.0s cause="busy"',
        '2027-01-15T08:00:04Z  create                failed      3.0s  quota: "no room"',
        "2027-01-15T08:00:05Z  wf_1                  failed      0 ok, 1 failed, 1 retry",
        None,
    ]
