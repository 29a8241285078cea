"""Submit, cancel, resolve over HTTP."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from provisioning_orchestrator.settings import Limits

from .served import Operations, Served, serve


def workflow(*tasks: dict[str, Any]) -> dict[str, Any]:
    return {"name": "x", "tasks": list(tasks)}


def ok(id: str, *needs: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "operation": "demo/ok", "needs": list(needs), **more}


def pointers(answer: Any) -> list[str]:
    return [fault["pointer"] for fault in answer.json["errors"]]


def test_a_workflow_is_accepted_with_its_address_and_runs(shared: Served) -> None:
    answer = shared.post("/workflows", workflow(ok("a"), ok("b", "a", params={"n": 1})))
    assert answer.status == 202
    id = answer.json["workflow_id"]
    assert answer.json == {"workflow_id": id, "status": "queued"}
    assert answer.headers["location"] == f"/workflows/{id}"
    assert shared.ended(id)["tasks"] == {"succeeded": 2}


def test_one_operation_on_one_infra_is_a_workflow_of_one_task(shared: Served) -> None:
    answer = shared.post("/workflows/demo/ok", {"infra": "wuji", "params": {"zone": "x'; $(id)\n"}})
    assert answer.status == 202
    id = answer.json["workflow_id"]
    assert shared.ended(id)["name"] == "demo/ok wuji"
    given = shared.in_loop(lambda: _input(shared, id))
    assert json.loads(given) == {"zone": "x'; $(id)\n", "infra": "wuji"}
    assert [task["id"] for task in shared.get(f"/workflows/{id}/tasks").json["items"]] == ["root"]


async def _input(served: Served, id: str) -> bytes:
    return served.store.task_input(id, 1).params


def test_all_faults_of_a_workflow_come_at_once(shared: Served) -> None:
    before = shared.state()
    answer = shared.post("/workflows", workflow(ok("a", retri={}), {"id": "b", "operation": "demo/okk"}, ok("1.c")))
    assert (answer.status, answer.code) == (422, "invalid")
    assert pointers(answer) == ["/tasks/0/retri", "/tasks/1/operation", "/tasks/2/id"]
    assert answer.json["errors"][0]["hint"] == "did you mean `retry`?"
    assert shared.state() == before


def test_faults_of_the_shape_the_tasks_and_the_graph_come_together(shared: Served) -> None:
    tasks = [ok("a", "nope", retri={}), ok("b", "c"), ok("c", "c"), ok("b"), {"operation": "demo/ok"}, 7]
    answer = shared.post("/workflows", {"name": 5, "nam": "x", "tasks": tasks})
    assert (answer.status, answer.code) == (422, "invalid")
    of_shape, of_tasks = ["/nam", "/name"], ["/tasks/0/retri", "/tasks/4", "/tasks/5"]
    assert pointers(answer) == [*of_shape, *of_tasks, "/tasks/3/id", "/tasks/0/needs/0", "/tasks/2/needs/0"]
    cycle = shared.post("/workflows", {"name": "", "tasks": [ok("a", "b"), ok("b", "a", key=7)]})
    assert pointers(cycle) == ["/name", "/tasks/1/key", "/tasks/0/needs"]


def test_a_need_of_a_task_that_has_other_faults_is_no_missing_one(shared: Served) -> None:
    answer = shared.post("/workflows", workflow(ok("no id", retri={}), ok("b", "no id")))
    assert pointers(answer) == ["/tasks/0/retri", "/tasks/0/id"]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"infr": "x", "params": {"nam": 1}}, ["/infr", "", "/params", "/params/nam"]),
        ({"infra": 7, "params": {"name": 1}}, ["/infra", "/params/name"]),
        ({"infra": "x", "params": []}, ["/params"]),
        ({"infra": "x", "params": {"infra": "y"}}, ["/params/infra", "/params"]),
    ],
)
def test_faults_of_a_call_and_of_its_params_come_together(shared: Served, body: Any, where: list[str]) -> None:
    answer = shared.post("/workflows/demo/strict", body)
    assert (answer.status, pointers(answer)) == (422, where)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, ["", ""]),
        ({"name": "", "tasks": []}, ["/name", "/tasks"]),
        ({"name": 7, "task": []}, ["/task", "/name", ""]),
        ({"name": "x", "tasks": {}}, ["/tasks"]),
        ([], [""]),
        ("x", [""]),
        (None, [""]),
    ],
)
def test_a_body_of_another_shape_is_refused(shared: Served, body: Any, where: list[str]) -> None:
    answer = shared.request("POST", "/workflows", raw=json.dumps(body).encode())
    assert (answer.status, pointers(answer)) == (422, where)


def test_a_graph_that_is_none_is_refused_and_the_cycle_is_named(shared: Served) -> None:
    before = shared.state()
    cycle = shared.post("/workflows", workflow(ok("a", "c"), ok("b", "a"), ok("c", "b")))
    assert cycle.status == 422
    assert "a → c → b → a" in cycle.json["detail"]
    own = shared.post("/workflows", workflow(ok("a", "a"), ok("b", "nope"), ok("b")))
    assert pointers(own) == ["/tasks/2/id", "/tasks/0/needs/0", "/tasks/1/needs/0"]
    assert shared.state() == before


def test_an_unknown_operation_is_a_404_that_suggests_one(shared: Served) -> None:
    for answer in (
        shared.post("/workflows", workflow({"id": "a", "operation": "demo/okk"})),
        shared.post("/workflows/demo/okk", {"infra": "wuji"}),
    ):
        assert (answer.status, answer.code) == (404, "unknown_operation")
        assert "did you mean 'demo/ok'?" in answer.json["detail"]


@pytest.mark.parametrize("path", ["servers/cancel", "cancel/ok", "demo/tasks", "events/log", "resolve/ok"])
def test_verbs_of_the_api_name_no_operation(shared: Served, path: str) -> None:
    answer = shared.post(f"/workflows/{path}", {"infra": "wuji"})
    assert (answer.status, answer.code) == (422, "invalid")
    assert "verb of the API" in answer.json["detail"]


@pytest.mark.parametrize(
    "path",
    ["Demo/ok", "demo/ok%0a", "..%2f..%2fetc/passwd", "demo/ok_", "-x/ok", "demo/" + "a" * 64, "wf_1/ok", "%00/ok"],
)
def test_names_outside_the_pattern_are_no_operation(shared: Served, path: str) -> None:
    before = shared.state()
    assert shared.post(f"/workflows/{path}", {"infra": "wuji"}).status == 404
    assert shared.state() == before


def test_infra_belongs_beside_params(shared: Served) -> None:
    assert shared.post("/workflows/demo/ok", {"infra": "a", "params": {"infra": "a"}}).status == 202
    assert pointers(shared.post("/workflows/demo/ok", {"infra": "a", "params": {"infra": "b"}})) == ["/params/infra"]
    assert pointers(shared.post("/workflows/demo/ok", {"params": {}})) == [""]


def test_params_are_held_against_the_operations_schema(shared: Served) -> None:
    answer = shared.post("/workflows/demo/strict", {"infra": "wuji", "params": {"nam": 1}})
    assert (answer.status, pointers(answer)) == (422, ["/params", "/params/nam"])


def test_hostile_json_is_a_400_and_never_a_500(shared: Served) -> None:
    before = shared.state()
    for raw in (
        b"",
        b"{",
        b"\xef\xbb\xbf{}",
        b'{"name": NaN, "tasks": []}',
        b'{"name": "a", "name": "b", "tasks": []}',
        b'{"name": "\\ud800", "tasks": []}',
        b'{"name": "x", "tasks": [{"id": "a", "operation": "demo/ok", "params": {"x": "\\u0000"}}]}',
        b'{"name": 9223372036854775808}',
        b"[" * 100_000,
        b"9" * 5000,
        b"\xff\xfe",
    ):
        for path in ("/workflows", "/workflows/demo/ok"):
            answer = shared.request("POST", path, raw=raw)
            assert (answer.status, answer.code) == (400, "bad_json"), raw[:40]
    assert shared.state() == before


def test_the_fault_in_the_json_is_pointed_at(shared: Served) -> None:
    raw = b'{"name": "x", "tasks": [{"id": "a", "operation": "demo/ok", "params": {"x/y": "\\u0000"}}]}'
    assert pointers(shared.request("POST", "/workflows", raw=raw)) == ["/tasks/0/params/x~1y"]


# --- idempotency -----------------------------------------------------------------------------------------------------


def test_the_same_key_and_body_give_the_same_workflow(shared: Served) -> None:
    headers = {"Idempotency-Key": "k-1"}
    first = shared.post("/workflows/demo/ok", {"infra": "w", "params": {"a": 1, "b": 2}}, headers=headers)
    again = shared.request(
        "POST", "/workflows/demo/ok", headers=headers, raw=b'{"params":{"b":2,"a":1}, "infra":"\\u0077"}'
    )
    assert (first.status, again.status) == (202, 202)
    assert again.json["workflow_id"] == first.json["workflow_id"]
    assert ("idempotency-replayed" in first.headers, again.headers["idempotency-replayed"]) == (False, "true")


def test_the_same_key_with_another_body_is_refused(shared: Served) -> None:
    headers = {"Idempotency-Key": "k-2"}
    for path, one, other in (
        ("/workflows/demo/ok", {"infra": "w"}, {"infra": "v"}),
        ("/workflows", workflow(ok("a"), ok("b")), workflow(ok("a"), ok("c"))),
        ("/workflows", {**workflow(ok("a"), ok("b")), "name": "x"}, {**workflow(ok("a"), ok("b")), "name": "y"}),
    ):
        assert shared.post(path, one, headers=headers).status == 202
        answer = shared.post(path, other, headers=headers)
        assert (answer.status, answer.code) == (422, "idempotency_mismatch")


def test_a_key_belongs_to_its_route(shared: Served) -> None:
    headers = {"Idempotency-Key": "k-3"}
    ids = {
        shared.post("/workflows/demo/ok", {"infra": "w"}, headers=headers).json["workflow_id"],
        shared.post("/workflows/demo/fail", {"infra": "w"}, headers=headers).json["workflow_id"],
    }
    assert len(ids) == 2


def test_one_key_sent_by_many_at_once_makes_one_workflow(api: Served) -> None:
    def send(_: int) -> str:
        own = Served(**{**vars(api), "_connection": None})
        answer = own.post("/workflows/demo/ok", {"infra": "w"}, headers={"Idempotency-Key": "k"})
        assert answer.status == 202
        return str(answer.json["workflow_id"])

    with ThreadPoolExecutor(20) as pool:
        ids = set(pool.map(send, range(100)))
    assert len(ids) == 1
    assert len(api.get("/workflows").json["items"]) == 1


def test_what_was_taken_keeps_its_answer_when_its_operation_has_left_the_library(
    shared: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {"Idempotency-Key": "k-gone"}
    bodies = {
        "/workflows/demo/ok": {"infra": "w", "params": {"a": 1}},
        "/workflows": workflow(ok("a"), ok("b")),
    }
    first = {path: shared.post(path, body, headers=headers).json["workflow_id"] for path, body in bodies.items()}
    for id in first.values():
        shared.ended(id)
    monkeypatch.delitem(Operations.known, "demo/ok")
    for path, body in bodies.items():
        again = shared.post(path, body, headers=headers)
        assert (again.status, again.headers["idempotency-replayed"]) == (202, "true")
        assert again.json == {"workflow_id": first[path], "status": "succeeded"}
        assert shared.post(path, body).code == "unknown_operation", "without the key it is another wish"
        assert shared.post(path, body, headers={"Idempotency-Key": "k-new"}).code == "unknown_operation"
        assert shared.post(path, {**body, "name": "x", "infra": "v"}, headers=headers).status in (404, 422)
    for raw in (b"[]", b"nonsense", b'{"tasks": 3}'):
        assert shared.request("POST", "/workflows", headers=headers, raw=raw).status in (400, 422)


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "é"])
def test_a_key_that_is_none_is_refused(shared: Served, key: str) -> None:
    answer = shared.post("/workflows/demo/ok", {"infra": "w"}, headers={"Idempotency-Key": key})
    assert (answer.status, answer.code) == (400, "bad_header")


def test_the_database_holds_only_the_hash_of_the_token(api: Served) -> None:
    api.post("/workflows/demo/ok", {"infra": "w"}, headers={"Idempotency-Key": "k"})
    kept = repr(api.store.disk.idempotency)
    assert api.token not in kept
    assert hashlib.sha256(api.token.encode()).hexdigest() in kept


# --- cancel, resolve -------------------------------------------------------------------------------------------------


def test_cancel_ends_a_workflow_once(shared: Served) -> None:
    id = shared.submit("demo/long")
    shared.until(f"/workflows/{id}", lambda found: found["status"] == "running")
    answer = shared.request("POST", f"/workflows/{id}/cancel")
    assert (answer.status, answer.json["workflow_id"]) == (202, id)
    assert shared.ended(id)["status"] == "cancelled"
    again = shared.until_code(f"/workflows/{id}/cancel")
    assert (again.status, again.code) == (409, "not_possible_now")


def test_cancel_takes_no_words(shared: Served) -> None:
    id = shared.submit("demo/long")
    assert shared.post(f"/workflows/{id}/cancel", {"now": True}).code == "invalid"
    assert shared.request("POST", f"/workflows/{id}/cancel", raw=b"nonsense").code == "bad_json"
    assert shared.get(f"/workflows/{id}").json["cancel_requested"] is False
    assert shared.post(f"/workflows/{id}/cancel", {}).status == 202


def test_an_unknown_task_is_resolved_by_a_person(shared: Served) -> None:
    id = shared.submit("demo/lost")
    path = f"/workflows/{id}/tasks/t0"
    shared.until(path, lambda task: task["status"] == "unknown")
    wrong = shared.post(f"{path}/resolve", {"as": "sucess"})
    assert (wrong.status, pointers(wrong)) == (422, ["/as"])
    assert shared.post(f"{path}/resolve", {"as": "succeeded"}).status == 202
    assert shared.ended(id)["status"] == "succeeded"
    assert shared.post(f"{path}/resolve", {"as": "failed"}).status in (404, 409)


def test_what_is_not_there_can_be_neither_cancelled_nor_resolved(shared: Served) -> None:
    id = shared.submit("demo/ok")
    assert shared.post("/workflows/wf_nope/cancel").code == "unknown_workflow"
    assert shared.post("/workflows/wf_nope/tasks/a/resolve", {"as": "failed"}).code == "unknown_workflow"
    assert shared.post(f"/workflows/{id}/tasks/nope/resolve", {"as": "failed"}).code == "unknown_task"


# --- readiness -------------------------------------------------------------------------------------------------------


def test_while_it_starts_only_health_answers(tmp_path: Path) -> None:
    with serve(tmp_path, ready=False, limits=Limits(start_wait_s=0.05, stop_s=0.5)) as api:
        assert api.get("/health").json["status"] == "starting"
        for answer in (api.get("/workflows"), api.post("/workflows/demo/ok", {"infra": "w"})):
            assert (answer.status, answer.code) == (503, "starting")
            assert answer.headers["retry-after"] == "1"


def test_a_request_that_comes_a_moment_too_early_is_answered_when_all_is_ready(tmp_path: Path) -> None:
    from provisioning_orchestrator.api.backend import Services
    from provisioning_orchestrator.testing.fake_dispatch import FakeDispatch

    with serve(tmp_path, ready=False, limits=Limits(start_wait_s=20.0, stop_s=0.5)) as api:

        async def open_soon() -> None:
            services = Services(api.engine, api.store.records, Operations(), FakeDispatch(api.world))
            api.loop.call_later(0.1, api.backend.open, services)

        api.in_loop(open_soon)
        assert api.get("/workflows").status == 200


def test_while_it_stops_nothing_is_taken(tmp_path: Path) -> None:
    with serve(tmp_path) as api:
        api.loop.call_soon_threadsafe(api.backend.stop)
        api.until("/health", lambda health: health["status"] == "stopping")
        answer = api.post("/workflows/demo/ok", {"infra": "w"})
        assert (answer.status, answer.code) == (503, "stopping")
