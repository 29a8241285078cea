"""What is read over HTTP: shapes, pages, filters, errors."""

from __future__ import annotations

import re

import pytest

from .served import Served

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def test_a_workflow_shows_what_the_contract_promises(shared: Served) -> None:
    id = shared.submit("demo/ok", "demo/fail", name="my name")
    found = shared.ended(id)
    assert (found["workflow_id"], found["name"], found["status"]) == (id, "my name", "failed")
    assert found["tasks"] == {"succeeded": 1, "failed": 1}
    assert all(TIME.fullmatch(found[at]) for at in ("created_at", "started_at", "ended_at"))


def test_a_task_shows_its_attempts_result_and_error(shared: Served) -> None:
    id = shared.submit("demo/ok", "demo/fail")
    shared.ended(id)
    good, bad = shared.get(f"/workflows/{id}/tasks").json["items"]
    assert (good["id"], good["operation"], good["status"]) == ("t0", "demo/ok", "succeeded")
    assert (good["result"], good["error"]) == ({"address": "10.0.0.1"}, None)
    (attempt,) = good["attempts"]
    assert (attempt["number"], attempt["status"], attempt["exit_code"], attempt["signal"]) == (1, "succeeded", 0, None)
    assert TIME.fullmatch(attempt["started_at"])
    assert TIME.fullmatch(attempt["ended_at"])
    assert (bad["status"], bad["result"], bad["error"]["code"]) == ("failed", None, "exit_code")
    assert bad["attempts"][0]["exit_code"] == 3
    assert shared.get(f"/workflows/{id}/tasks/t1").json == bad


def test_a_feed_says_when_a_task_is_tried_again_as_the_task_does(shared: Served) -> None:
    retry = {"attempts_max": 2, "delay_s": 600}
    answer = shared.post("/workflows", {"name": "x", "tasks": [{"id": "a", "operation": "demo/fail", "retry": retry}]})
    id = answer.json["workflow_id"]
    waiting = shared.until(f"/workflows/{id}/tasks/a", lambda found: found["status"] == "waiting")
    feed = shared.get(f"/workflows/{id}/events").json["items"]
    (retrying,) = (event["data"] for event in feed if event["type"] == "task.retrying")
    assert TIME.fullmatch(retrying["due_at"])
    assert retrying["due_at"] == waiting["due_at"]
    assert shared.post(f"/workflows/{id}/cancel").status == 202


def test_lists_come_in_pages_without_loss_or_repeat(api: Served) -> None:
    ids = [api.submit("demo/ok", "demo/ok", "demo/ok") for _ in range(5)]
    for id in ids:
        api.ended(id)
    for path, expected in (
        ("/workflows?limit=2", ids[::-1]),
        (f"/workflows/{ids[0]}/tasks?limit=2", ["t0", "t1", "t2"]),
        ("/tasks?limit=4", ["t0", "t1", "t2"] * 5),
    ):
        found = []
        cursor = ""
        for _ in range(20):
            page = api.get(path + cursor).json
            found += [item.get("id", item["workflow_id"]) for item in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert found == expected
    events = api.get(f"/workflows/{ids[0]}/events?limit=3").json
    rest = api.get(f"/workflows/{ids[0]}/events?cursor={events['next_cursor']}").json
    assert rest["next_cursor"] is None
    sequences = [event["sequence"] for event in events["items"] + rest["items"]]
    assert sequences == list(range(1, len(sequences) + 1))


def test_lists_are_filtered_by_status(api: Served) -> None:
    good, bad = api.submit("demo/ok"), api.submit("demo/fail", "demo/ok")
    api.ended(good)
    api.ended(bad)
    assert [w["workflow_id"] for w in api.get("/workflows?status=failed").json["items"]] == [bad]
    assert [t["id"] for t in api.get(f"/workflows/{bad}/tasks?status=failed").json["items"]] == ["t0"]
    assert len(api.get("/tasks?status=succeeded").json["items"]) == 2
    assert api.get("/workflows?status=queued").json == {"items": [], "next_cursor": None}


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("limit=0", "from 1 to 1000"),
        ("limit=1001", "from 1 to 1000"),
        ("limit=ten", "from 1 to 1000"),
        ("limit=٣", "from 1 to 1000"),
        ("limit=" + "9" * 5000, "from 1 to 1000"),
        ("limit=5&limit=6", "twice"),
        ("status=done", "queued, running, succeeded, failed, cancelled"),
        ("cursor=nonsense", "cursor"),
        ("staus=failed", "known are status, cursor, limit"),
        ("limit=%ff", "percent-encoded"),
        ("&".join(f"a{n}=1" for n in range(50)), "too many"),
    ],
)
def test_a_bad_query_is_told_what_is_accepted(shared: Served, query: str, says: str) -> None:
    from urllib.parse import quote

    answer = shared.get("/workflows?" + quote(query, safe="=&%"))
    assert (answer.status, answer.code) == (400, "bad_query")
    assert says in answer.json["detail"]


def test_what_is_not_there_is_a_404_of_its_kind(shared: Served) -> None:
    id = shared.submit("demo/ok")
    shared.ended(id)
    for path, code in (
        ("/nope", "not_found"),
        ("/workflows/", "not_found"),
        ("/problems/nope", "not_found"),
        ("/workflows/wf_nope", "unknown_workflow"),
        ("/workflows/task", "unknown_workflow"),
        ("/workflows/wf_nope/tasks", "unknown_workflow"),
        ("/workflows/wf_nope/events", "unknown_workflow"),
        ("/workflows/wf_task/tasks/a", "unknown_workflow"),
        (f"/workflows/{id}/tasks/nope", "unknown_task"),
        (f"/workflows/{id}/tasks/nope/log", "unknown_task"),
        (f"/workflows/{id}/tasks/t0/log?attempt=7", "unknown_task"),
        ("/workflows/%00", "unknown_workflow"),
        ("/workflows/%ed%a0%80", "unknown_workflow"),
    ):
        answer = shared.get(path)
        assert (answer.status, answer.code) == (404, code), path


def test_another_method_is_a_405_that_names_the_right_ones(shared: Served) -> None:
    for method, path, allow in (
        ("DELETE", "/workflows", "GET, HEAD, POST"),
        ("POST", "/tasks", "GET, HEAD"),
        ("PUT", "/workflows/wf_1", "GET, HEAD"),
        ("GET", "/workflows/wf_1/cancel", "POST"),
        ("OPTIONS", "/workflows", "GET, HEAD, POST"),
        ("POST", "/health", "GET, HEAD"),
    ):
        answer = shared.request(method, path)
        assert (answer.status, answer.code) == (405, "method_not_allowed"), (method, path)
        assert answer.headers["allow"] == allow


def test_head_is_get_without_the_body(shared: Served) -> None:
    whole, head = shared.get("/operations"), shared.request("HEAD", "/operations")
    assert (head.status, head.raw) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.raw))
    id = shared.submit("demo/long")
    assert shared.request("HEAD", f"/workflows/{id}/events", headers={"Accept": "text/event-stream"}).raw == b""


def test_operations_and_problems_are_listed(shared: Served) -> None:
    items = shared.get("/operations").json["items"]
    assert [item["name"] for item in items] == ["demo/fail", "demo/long", "demo/lost", "demo/ok", "demo/strict"]
    problem = shared.get("/nope").json
    assert shared.get(problem["type"]).json["title"] == problem["title"]
