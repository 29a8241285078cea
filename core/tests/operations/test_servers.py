"""The shipped operations, in Python and in Nushell, by the same tests: what is created, found, deleted, and told."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

SPEC = {"plan": "1cpu-1gb", "cpus": 1, "memory_gb": 1, "network": "wuji-net"}
WEB_1 = {"infra": "wuji", "name": "web-1", "spec": SPEC, "labels": {"role": "web"}}
KEY = "test-ws/wuji/server/web-1"


def test_create_expands_into_the_needed_networks_and_one_task_per_server(operations: Any, workspace: Any) -> None:
    ended = operations.run("servers/create", {"infra": "wuji"})
    assert ended.result == {"infra": "wuji", "servers": ["web-1", "web-2", "db-1", "lonely"]}
    tasks = {task["id"]: task for task in ended.document["tasks"]}
    assert list(tasks) == ["network.wuji-net", "web-1", "web-2", "db-1", "lonely"]
    assert tasks["network.wuji-net"] == {
        "id": "network.wuji-net",
        "operation": "networks/create",
        "params": {"infra": "wuji", "name": "wuji-net", "spec": {"cidr": "10.77.0.0/24"}, "labels": {}},
        "key": "test-ws/wuji/network/wuji-net",
    }
    assert tasks["web-1"] == {
        "id": "web-1",
        "operation": "servers/create-one",
        "params": WEB_1,
        "needs": ["network.wuji-net"],
        "key": KEY,
    }
    assert "needs" not in tasks["lonely"]
    assert workspace.calls() == []


def test_create_of_some_servers_takes_their_networks_only(operations: Any) -> None:
    ended = operations.run("servers/create", {"infra": "wuji", "servers": ["lonely"]})
    assert [task["id"] for task in ended.document["tasks"]] == ["lonely"]


def test_what_is_created_is_told_at_once_and_in_full(operations: Any, workspace: Any) -> None:
    ended = operations.run("servers/create-one", WEB_1, key=KEY)
    assert {"name", "id", "state", "address", "ssh", "created"} <= ended.result.keys()
    assert (ended.result["name"], ended.result["state"], ended.result["created"]) == ("web-1", "started", True)
    assert ended.document["resources"] == [{"kind": "server", "id": ended.result["id"]}]
    created, progress = ended.events
    assert (created["type"], created["id"], created["key"]) == ("resource.created", ended.result["id"], KEY)
    assert progress == {"type": "progress", "message": "server web-1 created"}
    assert "server web-1 created" in ended.log
    assert workspace.servers() == ["web-1"]


def test_what_is_there_already_is_found_and_no_news(operations: Any, workspace: Any) -> None:
    first = operations.run("servers/create-one", WEB_1)
    again = operations.run("servers/create-one", WEB_1)
    assert (again.result["created"], again.result["id"]) == (False, first.result["id"])
    assert [event["type"] for event in again.events] == ["progress"]
    assert "nothing to do" in again.log
    assert workspace.made(KEY) == 1


@pytest.mark.parametrize("point", ["begin", "made", "announced", "end"])
def test_killed_at_any_point_and_run_again_makes_one_server(operations: Any, workspace: Any, point: str) -> None:
    workspace.plant({"verb": "create", "at": point, "do": "kill"})
    intent = str(uuid4())
    killed = operations.run("servers/create-one", WEB_1, intent=intent)
    assert killed.code != 0
    assert killed.document is None or killed.error["retryable"]
    again = operations.run("servers/create-one", WEB_1, intent=intent, attempt=2)
    assert again.result["state"] == "started"
    assert workspace.made(KEY) == 1
    assert workspace.servers() == ["web-1"]
    told = [event["id"] for event in killed.events + again.events if event["type"] == "resource.created"]
    assert set(told) == {again.result["id"]}
    assert {call["intent"] for call in workspace.calls()} == {intent}


@pytest.mark.parametrize("point", ["made", "announced"])
def test_killed_from_outside_while_it_works_leaves_nothing_behind(operations: Any, workspace: Any, point: str) -> None:
    workspace.plant({"verb": "create", "at": point, "do": "hang"})
    intent = str(uuid4())
    attempt = operations.start("servers/create-one", WEB_1, intent=intent)
    until(lambda: workspace.hanging(point, "web-1"))
    os.killpg(attempt.process.pid, signal.SIGKILL)
    assert attempt.end().code == -signal.SIGKILL
    assert operations.run("servers/create-one", WEB_1, intent=intent).result["state"] == "started"
    assert workspace.made(KEY) == 1


def test_simultaneous_creates_of_one_key_make_one_server(operations: Any, workspace: Any) -> None:
    attempts = [operations.start("servers/create-one", WEB_1) for _ in range(4)]
    ended = [attempt.end() for attempt in attempts]
    assert sorted(one.result["created"] for one in ended) == [False, False, False, True]
    assert len({one.result["id"] for one in ended}) == 1
    assert workspace.made(KEY) == 1


@pytest.mark.parametrize(("action", "retryable"), [("busy", True), ("refuse", False), ("crash", False)])
def test_a_providers_error_says_whether_to_try_again(
    operations: Any, workspace: Any, action: str, retryable: bool
) -> None:
    workspace.plant({"verb": "create", "at": "begin", "do": action})
    ended = operations.run("servers/create-one", WEB_1)
    assert ended.error["code"] == ("internal" if action == "crash" else action)
    assert ended.error["retryable"] is retryable
    assert "a planted" in ended.error["message"]
    assert "a planted" in ended.log
    assert ("Traceback" in ended.log) == (action == "crash")
    assert workspace.servers() == []


def test_networks_are_created_once_and_deleted(operations: Any, workspace: Any) -> None:
    params = {"infra": "wuji", "name": "wuji-net", "spec": {"cidr": "10.77.0.0/24"}, "labels": {}}
    assert operations.run("networks/create", params).result["created"] is True
    again = operations.run("networks/create", params)
    assert again.result["created"] is False
    assert not again.document.get("resources"), "what was found was not created"
    gone = operations.run("networks/delete", {"infra": "wuji", "name": "wuji-net"}).result
    assert gone == {"name": "wuji-net", "id": again.result["id"], "deleted": True}
    assert workspace.networks() == []


def test_delete_expands_into_all_that_is_defined_or_exists_networks_last(operations: Any, workspace: Any) -> None:
    operations.run("servers/create-one", WEB_1 | {"name": "forgotten"})
    ended = operations.run("servers/delete", {"infra": "wuji"})
    servers = ["web-1", "web-2", "db-1", "lonely", "forgotten"]
    assert ended.result == {"infra": "wuji", "servers": servers}
    *deletions, network = ended.document["tasks"]
    assert [task["id"] for task in deletions] == servers
    assert deletions[0] == {
        "id": "web-1",
        "operation": "servers/delete-one",
        "params": {"infra": "wuji", "name": "web-1"},
        "key": KEY,
    }
    assert network == {
        "id": "network.wuji-net",
        "operation": "networks/delete",
        "params": {"infra": "wuji", "name": "wuji-net"},
        "needs": servers,
        "key": "test-ws/wuji/network/wuji-net",
    }
    assert workspace.servers() == ["forgotten"]


def test_delete_of_some_servers_leaves_the_network(operations: Any) -> None:
    ended = operations.run("servers/delete", {"infra": "wuji", "servers": ["db-1", "web-1"]})
    assert [task["id"] for task in ended.document["tasks"]] == ["web-1", "db-1"]


def test_only_the_first_of_several_networks_waits_for_all_servers(operations: Any, workspace: Any) -> None:
    nets = "".join(f"- {{name: n{i}, cidr: 10.{i}.0.0/24}}\n" for i in range(3))
    workspace.define(
        "many", f"networks:\n{nets}servers:\n- {{name: a, plan: 1cpu-1gb}}\n- {{name: b, plan: 1cpu-1gb}}\n"
    )
    tasks = operations.run("servers/delete", {"infra": "many"}).document["tasks"]
    assert {task["id"]: task.get("needs") for task in tasks} == {
        "a": None,
        "b": None,
        "network.n0": ["a", "b"],
        "network.n1": ["network.n0"],
        "network.n2": ["network.n0"],
    }


def test_an_infrastructure_that_lost_its_file_can_still_be_deleted(operations: Any, workspace: Any) -> None:
    operations.run("servers/create-one", WEB_1)
    (workspace.path / "infra" / "wuji.yaml").unlink()
    ended = operations.run("servers/delete", {"infra": "wuji"})
    assert [task["id"] for task in ended.document["tasks"]] == ["web-1"]


def test_delete_one_deletes_once_and_says_so(operations: Any, workspace: Any) -> None:
    made = operations.run("servers/create-one", WEB_1).result
    target = {"infra": "wuji", "name": "web-1"}
    assert operations.run("servers/delete-one", target, key=KEY).result == {
        "name": "web-1", "id": made["id"], "deleted": True,
    }  # fmt: skip
    again = operations.run("servers/delete-one", target)
    assert again.result == {"name": "web-1", "id": None, "deleted": False}
    assert "nothing to do" in again.log
    assert workspace.servers() == []


def test_a_server_that_was_stopped_is_said_to_be_started_again(operations: Any, workspace: Any) -> None:
    first = operations.run("servers/create-one", WEB_1)
    workspace.stop("web-1")
    again = operations.run("servers/create-one", WEB_1)
    assert (again.result["created"], again.result["restarted"], again.result["id"]) == (False, True, first.result["id"])
    assert again.events == [{"type": "progress", "message": "server web-1 was stopped: started again"}]
    assert "restarted" not in operations.run("servers/create-one", WEB_1).result


def test_counts_are_words_that_a_person_would_say(operations: Any) -> None:
    assert "wuji: 4 servers, 1 network\n" in operations.run("servers/create", {"infra": "wuji"}).log
    some = {"infra": "wuji", "servers": ["lonely"]}
    assert "wuji: 1 server, 0 networks\n" in operations.run("servers/create", some).log
    assert "wuji: 1 server, 0 networks\n" in operations.run("servers/delete", some).log
    operations.run("servers/create-one", WEB_1)
    assert "1 server\n" in operations.run("servers/list", {}).log


@pytest.mark.parametrize("point", ["begin", "end"])
def test_a_delete_that_was_killed_is_finished_by_the_next(operations: Any, workspace: Any, point: str) -> None:
    operations.run("servers/create-one", WEB_1)
    workspace.plant({"verb": "delete", "at": point, "do": "kill"})
    assert operations.run("servers/delete-one", {"infra": "wuji", "name": "web-1"}).code != 0
    assert operations.run("servers/delete-one", {"infra": "wuji", "name": "web-1"}).code == 0
    assert workspace.servers() == []


def test_list_gives_what_exists_of_one_or_all_infrastructures(operations: Any) -> None:
    assert operations.run("servers/list", {}).result == []
    for infra in ("wuji", "other"):
        operations.run("servers/create-one", WEB_1 | {"infra": infra})
    assert [one["infra"] for one in operations.run("servers/list", {}).result] == ["other", "wuji"]
    (only,) = operations.run("servers/list", {"infra": "wuji"}).result
    assert (only["name"], only["plan"], only["key"]) == ("web-1", "1cpu-1gb", KEY)


@pytest.mark.parametrize(
    ("operation", "params", "code", "words"),
    [
        ("servers/create", {"infra": "wjui"}, "unknown_infra", "Did you mean 'wuji'?"),
        ("servers/create", {"infra": "wuji", "servers": ["db-l"]}, "unknown_server", "Did you mean 'db-1'?"),
        ("servers/delete", {"infra": "wuji", "servers": ["db-l"]}, "unknown_server", "Did you mean 'db-1'?"),
        ("servers/delete", {"infra": "gone"}, "unknown_infra", "there are: wuji"),
        ("servers/create", {}, "bad_params", "infra is missing"),
        ("servers/create", {"infra": "wuji", "server": ["a"]}, "bad_params", "Did you mean 'servers'?"),
        ("servers/create", {"infra": "wuji", "servers": []}, "bad_params", "one or more server names"),
        ("servers/create", {"infra": "wuji", "servers": "web-1"}, "bad_params", "a list of"),
        ("servers/create", {"infra": 7}, "bad_params", "7 is not accepted"),
        ("servers/create", {"infra": "wuji", "kind": "network"}, "bad_params", "unknown parameter"),
        ("servers/create-one", {"infra": "wuji", "spec": SPEC}, "bad_params", "name is missing"),
        ("servers/create-one", WEB_1 | {"spec": {}}, "bad_params", "plan is missing"),
        ("servers/create-one", WEB_1 | {"spec": SPEC | {"cpus": "1"}}, "bad_params", "a whole number"),
        ("servers/create-one", WEB_1 | {"labels": {"key": "x"}}, "bad_params", "set by the provider"),
        ("servers/delete-one", {"infra": "wuji"}, "bad_params", "name is missing"),
        ("servers/list", {"infra": "../x"}, "bad_params", "is not accepted"),
    ],
)
def test_bad_parameters_are_a_permanent_and_clear_error(
    operations: Any, operation: str, params: Any, code: str, words: str
) -> None:
    ended = operations.run(operation, params)
    assert (ended.error["code"], ended.error["retryable"]) == (code, False)
    assert words in ended.error["message"]
    assert words in ended.log


def test_a_bad_definition_is_told_with_every_place(operations: Any, workspace: Any) -> None:
    workspace.define("bad", 'servers:\n- {name: A, plan: "-"}\n')
    error = operations.run("servers/create", {"infra": "bad"}).error
    assert (error["code"], error["retryable"]) == ("bad_definition", False)
    assert "infra/bad.yaml:2:10  servers[0].name" in error["message"]
    assert "infra/bad.yaml:2:19  servers[0].plan" in error["message"]


def test_a_key_of_something_else_is_refused(operations: Any, workspace: Any) -> None:
    for operation, params in (
        ("servers/create-one", WEB_1),
        ("servers/delete-one", {"infra": "wuji", "name": "web-1"}),
    ):
        error = operations.run(operation, params, key="other-ws/wuji/server/web-1").error
        assert (error["code"], error["retryable"]) == ("bad_key", False)
    assert workspace.calls() == []


@pytest.mark.parametrize("line", [b"", b"\n", b"{", b"[]\n", b'"x"\n', b'{"params": []}\n', b'{"params": "\xff"}\n'])
def test_an_input_that_is_none_is_a_permanent_error(operations: Any, line: bytes) -> None:
    error = operations.run("servers/create", None, line=line).error
    assert error["code"] in ("bad_input", "bad_params")
    assert error["retryable"] is False


def until(condition: Callable[[], bool], within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
