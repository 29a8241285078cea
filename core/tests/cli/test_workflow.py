"""`provisioning workflow`, and how a workflow is followed: in a pipe and on a terminal."""

from __future__ import annotations

import json
import re
import signal
import threading
import time
from typing import Any

import pytest

from provisioning_core.testing.replay import Replay

ID = "wf_01kb7q3m8x0001"
TASKS: list[dict[str, Any]] = [
    {"id": "create", "operation": "servers/create", "needs": [], "key": None},
    {"id": "1.network.wuji-net", "operation": "networks/create", "needs": [], "key": "ws/wuji/network/wuji-net"},
    {
        "id": "1.web-1",
        "operation": "servers/create-one",
        "needs": ["1.network.wuji-net"],
        "key": "ws/wuji/server/web-1",
    },
    {
        "id": "1.web-2",
        "operation": "servers/create-one",
        "needs": ["1.network.wuji-net"],
        "key": "ws/wuji/server/web-2",
    },
]


@pytest.fixture
def begun(replay: Replay) -> Replay:
    """Everything has started; web-2 waits for its second attempt."""
    replay.add_workflow(ID, "servers/create wuji", TASKS)
    replay.record(ID, "workflow.submitted", total=1, tasks=TASKS[:1])
    replay.record(ID, "workflow.started")
    replay.record(ID, "task.started", "create", attempt=1)
    replay.record(ID, "tasks.added", "create", parent="create", total=3, tasks=TASKS[1:])
    replay.record(ID, "task.succeeded", "create", added=3)
    replay.record(ID, "task.succeeded", "1.network.wuji-net")
    replay.record(ID, "task.started", "1.web-1", attempt=1)
    replay.record(ID, "task.started", "1.web-2", attempt=1)
    replay.record(
        ID, "task.retrying", "1.web-2", attempt=1, attempts_max=3, code="busy", message="HTTP 503", delay_s=5.0
    )
    return replay


def _fail(replay: Replay) -> None:
    replay.workflows[ID].logs["1.web-2"] = b"".join(b"line %d \x1b[31m\n" % i for i in range(30))
    replay.record(ID, "resource.created", "1.web-1", kind="server", id="s1", name="web-1")
    replay.record(ID, "task.succeeded", "1.web-1")
    replay.record(ID, "task.failed", "1.web-2", attempt=2, code="quota", message="no room")
    replay.record(ID, "workflow.failed", counts={})


def _succeed(replay: Replay) -> None:
    for task in ("1.web-1", "1.web-2"):
        replay.record(ID, "task.succeeded", task)
    replay.record(ID, "workflow.succeeded", counts={})


def test_watching_in_a_pipe_prints_a_line_a_change_and_ends_as_the_workflow(program: Any, begun: Replay) -> None:
    _succeed(begun)
    done = program("workflow", "watch", ID)
    assert (done.returncode, done.stdout) == (0, "")
    lines = done.stderr.splitlines()
    assert len(lines) == len(begun.workflows[ID].events)
    assert all(re.match(r"2026-11-23T18:41:\d\dZ  \S", line) for line in lines)
    assert 'server web-2          retrying    attempt=2/3 wait=5.0s cause="HTTP 503"' in done.stderr


def test_a_failure_is_told_once_with_its_log_and_what_was_kept(program: Any, begun: Replay) -> None:
    _fail(begun)
    done = program("workflow", "watch", ID)
    assert done.returncode == 1
    story = done.stderr[done.stderr.index("\nFailed:") :].splitlines()[1:]
    assert story[:3] == [
        "Failed: server web-2   quota   after 2 attempts",
        "  no room",
        f"  log, last 6 of 30 lines   provisioning workflow logs {ID} 1.web-2",
    ]
    assert [line.strip() for line in story[3:9]] == [f"line {i}" for i in range(24, 30)]
    assert story[9] == "Kept: server web-1"


def test_a_cancelled_workflow_is_exit_7_and_names_what_is_unknown(program: Any, begun: Replay) -> None:
    begun.record(ID, "task.unknown", "1.web-1", reason="nobody saw its end")
    begun.record(ID, "workflow.cancelled", counts={}, unknown=["1.web-1"])
    done = program("workflow", "watch", ID)
    assert done.returncode == 7
    assert f"provisioning workflow resolve {ID} 1.web-1 --as succeeded|failed|retry" in done.stderr


def test_jsonl_is_a_version_every_event_and_a_summary(program: Any, begun: Replay) -> None:
    _succeed(begun)
    done = program("workflow", "watch", ID, "-o", "jsonl")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[0] == {"type": "version", "ui": "1.0"}
    assert lines[1:-1] == begun.workflows[ID].events
    assert (lines[-1]["type"], lines[-1]["status"]) == ("summary", "succeeded")


def test_quiet_and_json_progress_keep_to_their_word(program: Any, begun: Replay) -> None:
    _succeed(begun)
    assert program("workflow", "watch", ID, "-q").stderr == ""
    lines = program("workflow", "watch", ID, "--progress", "json").stderr.splitlines()
    assert [json.loads(line) for line in lines[1:]] == begun.workflows[ID].events


def test_the_timeout_is_exit_124_and_the_workflow_goes_on(program: Any, begun: Replay) -> None:
    done = program("workflow", "watch", ID, "--timeout", "0.3s")
    assert done.returncode == 124
    assert "The workflow goes on." in done.stderr
    assert f"provisioning workflow watch {ID}" in done.stderr
    assert not any(asked.method == "POST" for asked in begun.asked), "nothing was cancelled"


def test_sigterm_detaches_with_143(program: Any, begun: Replay) -> None:
    process = program.start("workflow", "watch", ID)
    assert process.stderr is not None
    line = ""
    while "retrying" not in line:
        line = process.stderr.readline()
        assert line, "it ended too early"
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 143
    assert "Detached by SIGTERM. The workflow goes on." in stderr


def test_a_restart_of_the_daemon_is_one_notice_and_no_gap(program: Any, begun: Replay) -> None:
    process = program.start("workflow", "watch", ID)
    assert process.stderr is not None
    text = ""
    while "retrying" not in text:
        text += process.stderr.readline()
    begun.go_away()
    while "reconnecting" not in text:
        text += process.stderr.readline()
    begun.come_back()
    _succeed(begun)
    _, rest = process.communicate(timeout=20)
    assert process.returncode == 0
    text += rest
    assert text.count("orchestrator is away; the running tasks go on; reconnecting…") == 1
    assert text.count("orchestrator is back after") == 1
    assert len(text.splitlines()) == len(begun.workflows[ID].events) + 2


def test_on_a_terminal_the_tree_is_drawn_and_folds_into_one_line(program: Any, begun: Replay) -> None:
    terminal = program.on_terminal("workflow", "watch", ID)
    terminal.until("server web-1")
    assert "└── " in terminal.until("HTTP 503")
    _succeed(begun)
    assert terminal.end() == 0
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.screen).splitlines()[-1]
    assert last.startswith("✔ servers/create wuji  wf_01kb7q3m8x  succeeded in ")
    assert last.endswith("4 tasks, 1 retry")
    assert terminal.screen.rstrip().endswith("\x1b[0m 4 tasks, 1 retry") or "4 tasks, 1 retry" in terminal.screen
    assert "\x1b[?25h" in terminal.screen, "the cursor is shown again"


def test_the_first_ctrl_c_detaches_and_names_the_way_back(program: Any, begun: Replay) -> None:
    terminal = program.on_terminal("workflow", "watch", ID)
    terminal.until("server web-2")
    terminal.interrupt()
    assert terminal.end() == 130
    assert "Detached. The workflow goes on." in terminal.screen
    assert f"provisioning workflow watch {ID}" in terminal.screen
    assert f"provisioning workflow cancel {ID}" in terminal.screen
    assert "Traceback" not in terminal.screen
    assert "\x1b[?25h" in terminal.screen, "the cursor is shown again"
    assert not any(asked.method == "POST" for asked in begun.asked), "nothing was cancelled"


def test_a_dumb_terminal_gets_plain_lines_without_escapes(program: Any, begun: Replay) -> None:
    _succeed(begun)
    terminal = program.on_terminal("workflow", "watch", ID, TERM="dumb")
    assert terminal.end() == 0
    assert "\x1b" not in terminal.screen
    assert "server web-1          succeeded" in terminal.screen


def test_a_restart_is_said_above_the_tree(program: Any, begun: Replay) -> None:
    terminal = program.on_terminal("workflow", "watch", ID)
    terminal.until("server web-2")
    begun.go_away()
    terminal.until("reconnecting")
    begun.come_back()
    terminal.until("is back after")
    _succeed(begun)
    assert terminal.end() == 0


def test_show_tells_the_tasks_and_why_it_failed(program: Any, replay: Replay) -> None:
    failed = {"status": "failed", "error": {"code": "quota", "message": "no room"}, "attempts": [{"number": 1}]}
    replay.add_workflow(
        ID, "servers/create wuji", [{**TASKS[2], "status": "succeeded"}, {**TASKS[3], **failed}], "failed"
    )
    replay.workflows[ID].logs["1.web-2"] = b"the last words\n"
    done = program("workflow", "show", "01kb7")
    assert done.returncode == 0
    assert re.search(r"^1.web-2 +failed +1 +quota: no room$", done.stdout, re.MULTILINE)
    assert "the last words" in done.stderr
    document = json.loads(program("workflow", "show", ID, "--json").stdout)
    assert (document["kind"], document["status"], len(document["tasks"])) == ("Workflow", "failed", 2)


def test_show_tells_what_a_task_waits_for(program: Any, replay: Replay) -> None:
    waiting = {"status": "ready", "waits_for": "one of 10 slots, all in use"}
    replay.add_workflow(ID, "servers/create wuji", [{**TASKS[0], "id": "other", **waiting}, {**TASKS[2], **waiting}])
    done = program("workflow", "show", ID)
    assert re.search(r"^other +ready +waits for one of 10 slots, all in use$", done.stdout, re.MULTILINE)
    assert re.search(r"^1.web-1 +ready +server web-1; waits for one of 10 slots", done.stdout, re.MULTILINE)


def test_the_history_is_every_event(program: Any, begun: Replay) -> None:
    _fail(begun)
    assert len(program("workflow", "show", ID, "--events").stdout.splitlines()) == len(begun.workflows[ID].events)
    items = json.loads(program("workflow", "show", ID, "--events", "--json").stdout)["items"]
    assert items == begun.workflows[ID].events


def test_logs_are_byte_exact_in_a_pipe_and_harmless_on_a_terminal(program: Any, begun: Replay) -> None:
    raw = b"one \x1b[31mred\x1b[0m\x1b]0;title\x07\ntwo \xff\n" + b"no newline"
    begun.workflows[ID].logs["1.web-1"] = raw
    process = program.start("workflow", "logs", ID, "web-1")
    assert process.stdout is not None
    assert process.stdout.buffer.read() == raw
    process.communicate()
    terminal = program.on_terminal("workflow", "logs", ID, "web-1")
    assert terminal.end() == 0
    assert terminal.screen == "one red\r\ntwo \\xff\r\nno newline\r\n"
    terminal = program.on_terminal("workflow", "logs", ID, "web-1", "--raw")
    assert terminal.end() == 0
    assert "\x1b[31m" in terminal.screen


def test_a_task_is_found_by_its_end_and_a_wrong_name_says_what_is_near(program: Any, begun: Replay) -> None:
    begun.workflows[ID].logs["1.web-1"] = b"hello\n"
    assert program("workflow", "logs", ID, "web-1").stdout == "hello\n"
    done = program("workflow", "logs", ID, "web-11")
    assert done.returncode == 3
    assert "did you mean" in done.stderr


def test_cancelling_waits_for_the_end_and_is_no_failure(program: Any, begun: Replay) -> None:
    def end_when_asked() -> None:
        give_up = time.monotonic() + 20
        while not any(asked.path.endswith("/cancel") for asked in begun.asked) and time.monotonic() < give_up:
            time.sleep(0.02)
        begun.record(ID, "workflow.cancelled", counts={})

    thread = threading.Thread(target=end_when_asked)
    thread.start()
    done = program("workflow", "cancel", ID)
    thread.join()
    assert done.returncode == 0
    assert program("workflow", "cancel", ID, "--no-wait").stderr == f"{ID} is told to end\n"


def test_resolving_sends_what_was_said(program: Any, begun: Replay) -> None:
    done = program("workflow", "resolve", ID, "web-1", "--as", "retry")
    assert (done.returncode, done.stderr) == (0, "1.web-1 is tried again\n")
    assert begun.asked[-1].path == f"/workflows/{ID}/tasks/1.web-1/resolve"
    assert begun.asked[-1].body == {"as": "retry"}
    assert program("workflow", "resolve", ID, "web-1").returncode == 2


def test_a_daemon_that_dies_between_the_question_and_the_feed_is_waited_for(program: Any, begun: Replay) -> None:
    _succeed(begun)
    begun.refuse_once("GET", f"/workflows/{ID}/tasks", None)
    begun.refuse_once("GET", f"/workflows/{ID}/events", None)
    done = program("workflow", "watch", ID)
    assert done.returncode == 0
    assert "servers/create wuji" in done.stderr
