from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.client import Orchestrator
from provisioning_core.client.refusal import refusal
from provisioning_core.errors import (
    AuthError,
    ConflictError,
    NotFoundError,
    ProvisioningError,
    UnreachableError,
    UsageError,
)
from provisioning_core.settings import Settings
from provisioning_core.testing.replay import TOKEN, Asked, Replay

IDS = ("wf_01kb7q3m8x", "wf_01kb8d0q2c", "wf_01kc000000")


@pytest.fixture
def replay() -> Iterator[Replay]:
    with Replay() as replay:
        for id_ in IDS:
            replay.add_workflow(id_, "servers/create wuji", [{"id": "create", "operation": "servers/create"}])
        replay.on_submit = lambda _: IDS[0]
        yield replay


@pytest.fixture
def orchestrator(replay: Replay, tmp_path: Path) -> Orchestrator:
    (tmp_path / "token").write_text(TOKEN)
    return Orchestrator(_settings(replay.url, tmp_path))


def _settings(url: str, tmp_path: Path) -> Settings:
    environ = {"PROVISIONING_URL": url, "PROVISIONING_TOKEN_FILE": str(tmp_path / "token"), "HOME": str(tmp_path)}
    return Settings({}, environ, tmp_path)


def _submitted(replay: Replay) -> list[Asked]:
    return [asked for asked in replay.asked if asked.method == "POST"]


def test_a_submission_carries_the_token_the_key_and_json(replay: Replay, orchestrator: Orchestrator) -> None:
    assert orchestrator.submit("servers", "create", "wüji", {"servers": ["a\n"]}, "k1") == IDS[0]
    (asked,) = _submitted(replay)
    assert asked.path == "/workflows/servers/create"
    assert asked.body == {"infra": "wüji", "params": {"servers": ["a\n"]}}
    assert asked.headers["Idempotency-Key"] == "k1"
    assert asked.headers["Authorization"] == f"Bearer {TOKEN}"
    assert asked.headers["Content-Type"] == "application/json"


def test_a_submission_without_an_answer_is_sent_again_with_the_same_key(
    replay: Replay, orchestrator: Orchestrator
) -> None:
    replay.refuse_once("POST", "/workflows/servers/create", None)
    problem = {"code": "starting", "detail": "it starts"}
    replay.refuse_once("POST", "/workflows/servers/create", (503, problem, {"Retry-After": "0.1"}))
    assert orchestrator.submit("servers", "create", "wuji", {}, "k1") == IDS[0]
    assert [asked.headers["Idempotency-Key"] for asked in _submitted(replay)] == ["k1", "k1", "k1"]


def test_a_daemon_that_is_not_there_is_not_waited_for(replay: Replay, orchestrator: Orchestrator) -> None:
    replay.go_away()
    with pytest.raises(UnreachableError) as caught:
        orchestrator.submit("servers", "create", "wuji", {}, "k1")
    assert caught.value.hint == "provisioning orchestrator start"


def test_any_beginning_that_only_one_has_names_a_workflow(orchestrator: Orchestrator) -> None:
    assert orchestrator.find_workflow("wf_01kb7") == IDS[0]
    assert orchestrator.find_workflow("01kb8") == IDS[1]
    assert orchestrator.find_workflow(IDS[2]) == IDS[2]
    with pytest.raises(UsageError, match="2 workflows begin with 'wf_01kb'"):
        orchestrator.find_workflow("wf_01kb")
    with pytest.raises(NotFoundError) as caught:
        orchestrator.find_workflow("wf_01kb7q3m9x")
    assert caught.value.hint == f"did you mean {IDS[0]}?"


def test_a_name_from_outside_cannot_leave_its_segment(replay: Replay, orchestrator: Orchestrator) -> None:
    with pytest.raises(NotFoundError):
        orchestrator.workflow("../health?x=1#\r\nX: y")
    assert replay.asked[-1].path == "/workflows/..%2Fhealth%3Fx%3D1%23%0D%0AX%3A%20y"


def test_lists_are_read_to_their_end_page_by_page(replay: Replay, orchestrator: Orchestrator) -> None:
    many = [{"id": str(i), "operation": "x"} for i in range(2500)]
    replay.add_workflow("wf_big", "big", many)
    assert [task["id"] for task in orchestrator.tasks("wf_big")] == [str(i) for i in range(2500)]
    assert len(list(orchestrator.tasks("wf_big", limit=1500))) == 1500
    for number in range(2500):
        replay.record("wf_big", "task.progress", "0", message=str(number))
    assert [event["data"]["message"] for event in orchestrator.events("wf_big")] == [str(i) for i in range(2500)]


def test_a_missing_token_is_named_with_the_place_where_it_was_looked_for(replay: Replay, tmp_path: Path) -> None:
    with pytest.raises(AuthError) as caught:
        list(Orchestrator(_settings(replay.url, tmp_path)).workflows())
    assert str(tmp_path / "token") in (caught.value.hint or "")
    assert "PROVISIONING_TOKEN_FILE" in (caught.value.hint or "")


def test_a_file_that_holds_no_token_is_refused_before_anything_is_sent(replay: Replay, tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"two\r\nlines: here")
    with pytest.raises(UsageError, match="does not hold one token"):
        list(Orchestrator(_settings(replay.url, tmp_path)).workflows())
    assert replay.asked == []


def test_another_program_on_the_port_is_not_taken_for_an_orchestrator(replay: Replay, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    client = Orchestrator(_settings(replay.url, tmp_path))
    replay.refuse_once("GET", "/workflows", (404, b"<html>not here</html>", {"Content-Type": "text/html"}))
    with pytest.raises(UnreachableError, match="not an orchestrator"):
        list(client.workflows())
    replay.refuse_once("GET", "/health", (200, {"database": "ok"}, {}))
    with pytest.raises(UnreachableError, match="not an orchestrator"):
        client.health()


def test_something_that_does_not_speak_http_is_unreachable(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        port = server.getsockname()[1]
        client = Orchestrator(_settings(f"http://127.0.0.1:{port}", tmp_path))
        import threading

        def answer() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(UnreachableError):
            client.health()
        thread.join()


@pytest.mark.parametrize("url", ["http://", "http://:9090", "http://host:notaport", "http://u:p@host", "http://h/?q=1"])
def test_a_url_that_is_none_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="URL"):
        Orchestrator(_settings(url, tmp_path))


@pytest.mark.parametrize(
    ("status", "problem", "error", "exit_code"),
    [
        (400, {}, UsageError, 2),
        (401, {}, AuthError, 4),
        (403, {}, AuthError, 4),
        (404, {}, NotFoundError, 3),
        (409, {}, ConflictError, 5),
        (422, {"code": "invalid"}, UsageError, 2),
        (422, {"code": "idempotency_mismatch"}, ConflictError, 5),
        (500, {}, ProvisioningError, 1),
        (503, {}, UnreachableError, 6),
        (507, {}, ProvisioningError, 1),
    ],
)
def test_each_refusal_has_its_exit_code(status: int, problem: dict[str, Any], error: type, exit_code: int) -> None:
    found = refusal(status, problem, retry_after=None, token_origin="x", token_found=True)
    assert type(found).__mro__[0] is error or isinstance(found, error)
    assert found.exit_code == exit_code


def test_all_faults_of_a_body_are_shown_with_their_place() -> None:
    problem = {
        "code": "invalid",
        "detail": "2 faults",
        "errors": [
            {"pointer": "/params/servers/0", "detail": "a number", "hint": "a name"},
            {"pointer": "", "detail": "no infra"},
        ],
    }
    found = refusal(422, problem, retry_after=None, token_origin="x", token_found=True)
    assert found.message.splitlines() == ["2 faults", "  /params/servers/0: a number (a name)", "  /: no infra"]
