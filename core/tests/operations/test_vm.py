"""`provisioning vm`: one JSON object in, one JSON value out."""

from __future__ import annotations

import io
import json
from typing import Any
from uuid import uuid4

import pytest

from provisioning_core.vm import main

SPEC = {"plan": "1cpu-1gb", "cpus": 1, "memory_gb": 1}


@pytest.fixture
def vm(workspace: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("PROVISIONING_WORKSPACE", str(workspace.path))
    monkeypatch.delenv("PROVISIONING_EVENTS", raising=False)

    def call(*argv: str, text: str | None = None, **request: Any) -> tuple[int, Any]:
        stdout = io.StringIO()
        code = main(argv, io.StringIO(json.dumps(request) if text is None else text), stdout)
        lines = stdout.getvalue().splitlines()
        assert len(lines) == 1
        return code, json.loads(lines[0])

    return call


def test_a_server_is_created_found_listed_and_deleted(vm: Any) -> None:
    intent = str(uuid4())
    code, made = vm("create", infra="wuji", name="web-1", spec=SPEC, intent=intent)
    assert (code, made["created"], made["state"]) == (0, True, "started")
    resource = {name: value for name, value in made.items() if name != "created"}
    for question in ({"infra": "wuji", "name": "web-1"}, {"key": made["key"]}, {"intent": intent}, {"id": made["id"]}):
        assert vm("find", **question) == (0, resource)
    assert vm("list") == (0, [resource])
    assert vm("list", kind="network") == (0, [])
    assert vm("list", infra="other") == (0, [])
    assert vm("delete", infra="wuji", name="web-1") == (0, {"name": "web-1", "id": made["id"], "deleted": True})
    assert vm("find", id=made["id"]) == (0, None)


def test_the_definition_is_given_resolved(vm: Any) -> None:
    code, found = vm("definition", infra="wuji", servers=["web-1"])
    assert code == 0
    assert (found["workspace"], found["infra"]) == ("test-ws", "wuji")
    assert [one["name"] for one in found["networks"]] == ["wuji-net"]
    assert found["servers"] == [
        {
            "name": "web-1",
            "key": "test-ws/wuji/server/web-1",
            "spec": SPEC | {"network": "wuji-net"},
            "labels": {"role": "web"},
        }
    ]


def test_an_error_is_an_answer_with_exit_code_1(vm: Any, workspace: Any, capsys: pytest.CaptureFixture[str]) -> None:
    workspace.plant({"verb": "create", "at": "begin", "do": "busy"})
    code, answer = vm("create", infra="wuji", name="web-1", spec=SPEC)
    assert (code, answer["error"]["code"], answer["error"]["retryable"]) == (1, "busy", True)
    assert "a planted fault" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [(), ("crate",), ("create", "web-1"), ("--help",)])
def test_a_verb_that_there_is_not_is_a_usage_error_that_names_all(vm: Any, argv: tuple[str, ...]) -> None:
    code, answer = vm(*argv)
    assert code == 2
    assert "definition, tasks, deletions, create, find, list, page, delete" in answer["error"]["message"]


@pytest.mark.parametrize("text", ["", "[]", "x", "null", '{"a": 1} {}'])
def test_a_request_that_is_no_object_is_refused(vm: Any, text: str) -> None:
    code, answer = vm("list", text=text)
    assert (code, answer["error"]["code"]) == (1, "bad_input")


@pytest.mark.parametrize(
    ("verb", "request_"),
    [
        ("create", {"infra": "wuji", "name": "a\nid", "spec": SPEC}),
        ("create", {"infra": "wuji", "name": "a", "spec": SPEC, "kind": "volume"}),
        ("create", {"infra": "wuji", "name": "a", "spec": SPEC, "more": 1}),
        ("find", {}),
        ("find", {"id": 7}),
        ("delete", {"id": "server-1"}),
        ("list", {"infra": "../x"}),
        ("definition", {}),
    ],
)
def test_bad_requests_are_permanent_errors(vm: Any, verb: str, request_: dict[str, Any]) -> None:
    code, answer = vm(verb, **request_)
    assert (code, answer["error"]["code"], answer["error"]["retryable"]) == (1, "bad_params", False)


def test_an_intent_that_is_no_uuid_is_refused(vm: Any) -> None:
    code, answer = vm("create", infra="wuji", name="a", spec=SPEC, intent="mine")
    assert (code, answer["error"]["code"]) == (1, "bad_input")
