"""Workflows that an attempt of another one submits, with the token of that attempt."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from provisioning_orchestrator.api.tasktoken import TaskTokens, open_task_tokens
from provisioning_orchestrator.ports import AttemptId
from provisioning_orchestrator.workflow.admission import DEPTH_MAX

from .served import Answer, Served, serve

CHILD = {"name": "child", "tasks": [{"id": "c", "operation": "demo/long"}]}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    """Its own: parents that run for ever fill its slots."""
    with serve(tmp_path) as served:
        yield served


def token_of(served: Served, workflow: str, task: int = 1, attempt: int = 1) -> dict[str, str]:
    assert served.backend.tasks is not None
    return {"Authorization": f"Bearer {served.backend.tasks.token(AttemptId(workflow, task, attempt))}"}


def as_task(served: Served, workflow: str, method: str, path: str, body: Any = None, **more: str) -> Answer:
    headers = token_of(served, workflow) | more
    return served.request(method, path, body, headers, authorize=False)


def running(served: Served, *operations: str) -> str:
    workflow = served.submit(*(operations or ("demo/long",)))
    served.until(f"/workflows/{workflow}", lambda found: found["tasks"].get("running") == len(operations or "x"))
    return workflow


def child_of(served: Served, workflow: str) -> str:
    answer = as_task(served, workflow, "POST", "/workflows", CHILD)
    assert answer.status == 202, answer.raw
    return str(answer.json["workflow_id"])


def test_a_child_is_linked_to_the_task_that_submitted_it(api: Served) -> None:
    parent = running(api)
    child = child_of(api, parent)
    assert api.get(f"/workflows/{child}").json["parent"] == {"workflow_id": parent, "task": "t0"}
    assert api.get(f"/workflows/{parent}").json["parent"] is None
    assert [one["workflow_id"] for one in api.get(f"/workflows?parent={parent}").json["items"]] == [child]
    first = api.get(f"/workflows/{child}/events").json["items"][0]
    assert first["data"]["parent"] == {"workflow_id": parent, "task": "t0"}


def test_the_same_submission_again_finds_the_child_again(api: Served) -> None:
    parent = running(api)
    first = child_of(api, parent)
    again = as_task(api, parent, "POST", "/workflows", CHILD)
    assert (again.json["workflow_id"], again.headers["idempotency-replayed"]) == (first, "true")
    other = as_task(api, parent, "POST", "/workflows", CHILD | {"name": "another"})
    assert other.json["workflow_id"] != first
    assert child_of(api, running(api)) != first, "another task's child is another one"


def test_a_key_of_its_own_tells_equal_children_apart_and_is_the_tasks_alone(api: Served) -> None:
    parent, stranger = running(api), running(api)
    ids = []
    for workflow, key in ((parent, "one"), (parent, "two"), (parent, "one"), (stranger, "one")):
        answer = as_task(api, workflow, "POST", "/workflows", CHILD, **{"Idempotency-Key": key})
        ids.append(answer.json["workflow_id"])
    assert ids[0] == ids[2] and len(set(ids)) == 3
    changed = as_task(api, parent, "POST", "/workflows", CHILD | {"name": "x"}, **{"Idempotency-Key": "one"})
    assert changed.code == "idempotency_mismatch"


def test_one_operation_on_one_infra_can_be_a_child(api: Served) -> None:
    parent = running(api)
    answer = as_task(api, parent, "POST", "/workflows/demo/ok", {"infra": "wuji"})
    child = api.ended(answer.json["workflow_id"])
    assert (child["status"], child["parent"]["workflow_id"]) == ("succeeded", parent)


def test_the_token_opens_its_children_and_nothing_else(api: Served) -> None:
    parent, stranger = running(api), running(api)
    child = child_of(api, parent)
    for path in ("", "/tasks", "/events", "/tasks/c", "/tasks/c/log"):
        assert as_task(api, parent, "GET", f"/workflows/{child}{path}").status == 200
        for other in (parent, stranger):
            assert as_task(api, parent, "GET", f"/workflows/{other}{path}").status in (403, 404)
        assert as_task(api, stranger, "GET", f"/workflows/{child}{path}").code == "out_of_scope"
    for method, path in (
        ("GET", "/workflows"),
        ("GET", "/tasks"),
        ("POST", f"/workflows/{child}/tasks/c/resolve"),
        ("POST", f"/workflows/{parent}/cancel"),
        ("POST", f"/workflows/{stranger}/cancel"),
    ):
        answer = as_task(api, parent, method, path, {"as": "failed"} if "resolve" in path else None)
        assert answer.code == "out_of_scope", path
    assert as_task(api, parent, "GET", "/operations").status == 200
    assert as_task(api, parent, "POST", f"/workflows/{child}/cancel").status == 202
    assert api.ended(child)["status"] == "cancelled"


def test_a_token_is_good_only_while_its_attempt_runs(api: Served) -> None:
    ended = api.submit("demo/ok")
    api.ended(ended)
    assert as_task(api, ended, "POST", "/workflows", CHILD).code == "unauthorized"
    parent = running(api)
    for task, attempt in ((2, 1), (1, 2)):
        headers = token_of(api, parent, task, attempt)
        answer = api.request("POST", "/workflows", CHILD, headers, authorize=False)
        assert answer.code == "unauthorized"
    api.post(f"/workflows/{parent}/cancel")
    api.ended(parent)
    assert as_task(api, parent, "POST", "/workflows", CHILD).code == "unauthorized"


@pytest.mark.parametrize("change", [slice(None, -1), slice(None, None, -1), slice(5, None)])
def test_a_forged_token_is_refused(api: Served, change: slice) -> None:
    parent = running(api)
    bearer = token_of(api, parent)["Authorization"].removeprefix("Bearer ")[change]
    answer = api.request("POST", "/workflows", CHILD, {"Authorization": f"Bearer {bearer}"}, authorize=False)
    assert answer.code == "unauthorized"
    foreign = TaskTokens(b"x" * 32).token(AttemptId(parent, 1, 1))
    answer = api.request("POST", "/workflows", CHILD, {"Authorization": f"Bearer {foreign}"}, authorize=False)
    assert answer.code == "unauthorized"


def test_cancelling_a_workflow_cancels_its_children_and_theirs(api: Served) -> None:
    parent = running(api)
    child = child_of(api, parent)
    api.until(f"/workflows/{child}", lambda found: found["tasks"].get("running"))
    grandchild = child_of(api, child)
    api.post(f"/workflows/{parent}/cancel")
    for workflow in (parent, child, grandchild):
        assert api.ended(workflow)["status"] == "cancelled"


def test_parents_that_fill_all_slots_lend_them_to_their_children(tmp_path: Path) -> None:
    with serve(tmp_path) as api:
        parent = running(api, *["demo/long"] * 10)
        children = []
        for task in range(1, 11):
            headers = token_of(api, parent, task)
            answer = api.request("POST", "/workflows/demo/ok", {"infra": "wuji"}, headers, authorize=False)
            children.append(answer.json["workflow_id"])
        for child in children:
            assert api.ended(child)["status"] == "succeeded"
        waiting = api.submit("demo/ok")
        assert api.get(f"/workflows/{waiting}").json["tasks"] == {"ready": 1}, "the loans have ended with the children"


def test_a_chain_of_children_has_an_end(tmp_path: Path) -> None:
    with serve(tmp_path) as api:
        workflow = running(api)
        for _ in range(DEPTH_MAX):
            workflow = child_of(api, workflow)
            api.until(f"/workflows/{workflow}", lambda found: found["tasks"].get("running"))
        refused = as_task(api, workflow, "POST", "/workflows", CHILD)
        assert refused.code == "not_possible_now" and "32 workflows deep" in refused.json["detail"]


def test_a_task_has_so_many_children_at_a_time_and_is_told_which_setting_says_so(tmp_path: Path) -> None:
    with serve(tmp_path, children_max=2) as api:
        parent = running(api)
        keys = [{"Idempotency-Key": key} for key in ("one", "two", "three")]
        first, second = (as_task(api, parent, "POST", "/workflows", CHILD, **key).json for key in keys[:2])
        refused = as_task(api, parent, "POST", "/workflows", CHILD, **keys[2])
        assert (refused.status, refused.code) == (409, "not_possible_now")
        assert "has 2 child workflows" in refused.json["detail"] and "(setting children_max)" in refused.json["detail"]
        again = as_task(api, parent, "POST", "/workflows", CHILD, **keys[0])
        assert again.json["workflow_id"] == first["workflow_id"], "what was taken keeps its answer"
        child_of(api, running(api))  # another task has its own
        as_task(api, parent, "POST", f"/workflows/{second['workflow_id']}/cancel")
        api.ended(second["workflow_id"])
        assert as_task(api, parent, "POST", "/workflows", CHILD, **keys[2]).status == 202


def test_children_that_are_submitted_at_once_are_counted_as_well(tmp_path: Path) -> None:
    with serve(tmp_path, children_max=5) as api:
        parent = running(api)

        def submit(number: int) -> int:
            own = Served(**{**vars(api), "_connection": None})
            return as_task(own, parent, "POST", "/workflows", CHILD, **{"Idempotency-Key": f"k{number}"}).status

        with ThreadPoolExecutor(10) as pool:
            statuses = list(pool.map(submit, range(20)))
        assert sorted(statuses) == [202] * 5 + [409] * 15
        assert len(api.get(f"/workflows?parent={parent}").json["items"]) == 5


def test_why_a_task_is_waiting_is_said(tmp_path: Path) -> None:
    with serve(tmp_path, slots=1, loans_max=0) as api:
        parent = running(api)
        child = child_of(api, parent)
        api.until(f"/workflows/{child}", lambda found: found["tasks"].get("running"))

        def waits_for(workflow: str, task: str) -> str | None:
            found: str | None = api.get(f"/workflows/{workflow}/tasks/{task}").json["waits_for"]
            assert api.get(f"/workflows/{workflow}/tasks").json["items"][0]["waits_for"] == found
            return found

        assert waits_for(parent, "t0") == f"its child workflow {child}, perhaps; its slot is lent"
        assert waits_for(child, "c") is None
        stranger = api.submit("demo/ok")
        assert waits_for(stranger, "t0") == (
            "one of 1 attempts of workflows that are nobody's children to end (1 of them wait for children); "
            "at most 1 (slots) + 0 (loans_max) may be alive"
        )
        second = as_task(api, parent, "POST", "/workflows", CHILD, **{"Idempotency-Key": "another"})
        assert waits_for(second.json["workflow_id"], "c").startswith("one of 1 attempts at depth 1 of child")  # type: ignore[union-attr]
        api.post(f"/workflows/{parent}/cancel")
        api.ended(stranger)
        assert waits_for(stranger, "t0") is None


def test_without_a_daemons_token_the_parent_is_known_all_the_same(tmp_path: Path) -> None:
    with serve(tmp_path, auth=False) as api:
        parent = running(api)
        child = child_of(api, parent)
        assert api.get(f"/workflows/{child}").json["parent"]["workflow_id"] == parent


def test_the_key_of_the_tokens_outlives_the_daemon_and_is_private(tmp_path: Path) -> None:
    id = AttemptId("wf_x", 1, 1)
    token = open_task_tokens(tmp_path).token(id)
    assert open_task_tokens(tmp_path).read(token.encode()) == id
    assert (tmp_path / "task-key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "task-key").write_bytes(b"torn")
    assert open_task_tokens(tmp_path).read(token.encode()) is None
