"""`provisioning workflow submit`: a file becomes a workflow, and what is wrong with it is told where it stands."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.testing.replay import TOKEN, Asked, Replay

ID = "wf_01kb7q3m8x0001"
SITE = """\
name: site
tasks:
  - id: build
    operation: command/run
    params: {argv: [uname, -a]}
  - id: deploy
    operation: servers/create
    needs: [build]
"""


@pytest.fixture
def site(workspace: Path) -> Path:
    file = workspace / "site.yaml"
    file.write_text(SITE)
    return file


@pytest.fixture
def takes(replay: Replay) -> Replay:
    """What is submitted has succeeded when it is looked at."""

    def submit(asked: Asked) -> str:
        replay.add_workflow(
            ID, asked.body["name"], [{"id": task["id"], "operation": "x"} for task in asked.body["tasks"]]
        )
        replay.record(ID, "workflow.submitted", total=1, tasks=[])
        replay.record(ID, "workflow.succeeded", counts={})
        return ID

    replay.on_submit = submit
    return replay


def _sent(replay: Replay) -> list[Asked]:
    return [asked for asked in replay.asked if asked.method == "POST"]


def _problem(status: int, code: str, *errors: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
    body = {"type": f"/problems/{code}", "title": code, "status": status, "detail": "refused", "code": code}
    return status, body | {"errors": list(errors)}, {"Content-Type": "application/problem+json"}


def test_the_file_is_sent_as_it_is_and_followed_to_its_end(program: Any, takes: Replay, site: Path) -> None:
    done = program("workflow", "submit", "site.yaml")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    (asked,) = _sent(takes)
    assert asked.path == "/workflows"
    assert asked.body == {
        "name": "site",
        "tasks": [
            {"id": "build", "operation": "command/run", "params": {"argv": ["uname", "-a"]}},
            {"id": "deploy", "operation": "servers/create", "needs": ["build"]},
        ],
    }
    assert f"workflow {ID}" in done.stderr
    assert program("workflow", "show", "@last", "-o", "name").stdout == f"{ID}\n"


@pytest.mark.parametrize(
    ("form", "has"), [("json", '"workflow_id": "wf_01'), ("yaml", "kind: Workflow"), ("jsonl", '"type":"summary"')]
)
def test_the_result_is_the_workflow_in_every_form(form: str, has: str, program: Any, takes: Replay, site: Path) -> None:
    assert has in program("workflow", "submit", "site.yaml", "-o", form).stdout


def test_detached_an_id_is_all_that_is_printed(program: Any, takes: Replay, site: Path) -> None:
    for flag in ("--detach", "--no-wait"):
        assert program("workflow", "submit", "site.yaml", flag, "-o", "name").stdout == f"{ID}\n"


def test_standard_input_in_json_and_the_header_of_a_check_are_taken(program: Any, takes: Replay) -> None:
    header = {"apiVersion": "provisioning/v1", "kind": "WorkflowSubmission"}
    body = {"name": "emoji 😀", "tasks": [{"id": "a", "operation": "x/y"}]}
    done = subprocess.run(
        [sys.executable, "-m", "provisioning_core", "workflow", "submit", "-", "--detach"],
        env=program.environ,
        cwd=program.workspace,
        input=json.dumps(header | body, indent="\t"),
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 0, done.stderr
    assert _sent(takes)[0].body == body


def test_infra_is_for_tasks_that_say_none(program: Any, takes: Replay, site: Path) -> None:
    site.write_text(
        SITE + "  - {id: c, operation: x/y, params: {infra: other}}\n  - {id: d, operation: x/y, params: {infra: ~}}\n"
    )
    assert program("workflow", "submit", "site.yaml", "--infra", "wuji").returncode == 0
    params = [task.get("params") for task in _sent(takes)[0].body["tasks"]]
    assert params == [
        {"infra": "wuji", "argv": ["uname", "-a"]},
        {"infra": "wuji"},
        {"infra": "other"},
        {"infra": None},
    ]


def test_faults_of_the_orchestrator_are_told_at_their_lines_in_order(program: Any, replay: Replay, site: Path) -> None:
    replay.refuse_once(
        "POST",
        "/workflows",
        _problem(
            422,
            "invalid",
            {"pointer": "/tasks/1/needs/0", "detail": "task 'deploy' needs 'build'", "hint": "did you mean `b`?"},
            {"pointer": "/tasks/0/operation", "detail": "no operation"},
            {"pointer": "/tasks/1", "detail": "the field `id` is missing"},
        ),
    )
    done = program("workflow", "submit", "site.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "error: site.yaml:4:5  tasks[0].operation: no operation",
        "site.yaml:6:5  tasks[1]: the field `id` is missing",
        "site.yaml:8:13  tasks[1].needs[0]: task 'deploy' needs 'build' (did you mean `b`?)",
    ]


def test_an_unknown_operation_is_exit_3_with_its_place(program: Any, replay: Replay, site: Path) -> None:
    fault = {"pointer": "/tasks/0/operation", "detail": "no operation 'command/rum'; did you mean 'command/run'?"}
    replay.refuse_once("POST", "/workflows", _problem(404, "unknown_operation", fault))
    done = program("workflow", "submit", "site.yaml")
    assert done.returncode == 3
    assert "site.yaml:4:5  tasks[0].operation: no operation" in done.stderr
    assert "hint:  provisioning operation list --orchestrated" in done.stderr


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: x\nname: y\ntasks: [}", "site.yaml:3:9  not YAML"),
        ("name: x\nname: y\nother: .inf\n", "site.yaml:2:1  the field 'name' is already given in line 1"),
        ("", "site.yaml:1:1  a mapping {name, tasks} is expected, got nothing"),
        ("- a\n", "a mapping {name, tasks} is expected"),
        ("a: 1\n---\nb: 2\n", "site.yaml:2:1  not YAML"),
        ("a: \x07\n", "U+0007 is not allowed"),
    ],
)
def test_a_file_that_is_no_document_is_exit_2_and_nothing_is_sent(
    text: str, told: str, program: Any, replay: Replay, site: Path
) -> None:
    site.write_text(text)
    done = program("workflow", "submit", "site.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert _sent(replay) == []


def test_what_cannot_be_read_is_said_in_one_line(program: Any, replay: Replay, workspace: Path) -> None:
    assert program("workflow", "submit", "nope.yaml").returncode == 3
    for name in ("infra", "a\0b"[:1] + "/b"):
        done = program("workflow", "submit", name)
        assert done.returncode in (2, 3)
        assert len(done.stderr.splitlines()) <= 2
    assert _sent(replay) == []


def test_a_file_called_like_an_escape_sequence_reaches_no_terminal(program: Any, workspace: Path) -> None:
    (workspace / "a\x1b[31m\nb.yaml").write_text("- x")
    done = program("workflow", "submit", "a\x1b[31m\nb.yaml")
    assert done.returncode == 2
    assert "\x1b" not in done.stderr


def test_a_lost_answer_is_asked_for_with_the_same_key(program: Any, takes: Replay, site: Path) -> None:
    takes.refuse_once("POST", "/workflows", None)
    assert program("workflow", "submit", "site.yaml", "--detach").returncode == 0
    first, second = _sent(takes)
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    assert first.body == second.body


def test_a_key_of_ones_own_is_sent_and_a_bad_one_is_not(program: Any, takes: Replay, site: Path) -> None:
    assert program("workflow", "submit", "site.yaml", "--detach", "--idempotency-key", "nightly 1").returncode == 0
    assert _sent(takes)[0].headers["Idempotency-Key"] == "nightly 1"
    for key in ("", "ü", "a\nb", "x" * 256):
        assert program("workflow", "submit", "site.yaml", "--idempotency-key", key).returncode == 2
    assert len(_sent(takes)) == 1


def test_a_daemon_that_never_answers_leaves_the_key_to_go_on_with(
    program: Any, replay: Replay, site: Path, tmp_path: Path
) -> None:
    """SIGTERM before the answer: what is told finds the same workflow."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        program.environ["PROVISIONING_URL"] = f"http://127.0.0.1:{silent.getsockname()[1]}"
        (tmp_path / "data" / "token").write_text(TOKEN)
        process = program.start("workflow", "submit", str(site), "--infra", "wuji")
        silent.settimeout(20)
        connections: list[tuple[socket.socket, bytes]] = []
        while not connections or b"POST" not in connections[-1][1]:
            connection, _ = silent.accept()
            connections.append((connection, connection.recv(65536)))
            if b"POST" not in connections[-1][1]:
                body = b'{"status": "ok", "version": "0", "pid": 1}'
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n")
                connection.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body)
                connection.close()
        key = connections[-1][1].partition(b"Idempotency-Key: ")[2].partition(b"\r\n")[0].decode()
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=20)
        connections[-1][0].close()
    assert process.returncode == 143
    assert f"provisioning workflow submit {site} --infra wuji --idempotency-key {key}" in stderr
