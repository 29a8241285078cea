"""Direct mode: the playbooks of the contract with real processes, and what only real processes show."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest

from provisioning_core.direct import DirectEvent, DirectOutcome, DirectRun, run_direct
from provisioning_core.errors import NotFoundError
from provisioning_core.library import Interpreters, library_root
from provisioning_core.plugins import passed_variables

PLAYBOOKS = sorted((Path(__file__).parents[3] / "contract" / "playbooks").glob("*.json"))

# Ends as its params say.
PLAY = """\
import json, os, sys
told = json.load(sys.stdin)
with open(os.path.join(os.environ["PROVISIONING_WORKSPACE"], "told.jsonl"), "a") as file:
    file.write(json.dumps(told) + "\\n")
params = told["params"]
if "result_file" in params:
    with open(os.environ["PROVISIONING_RESULT"], "w") as file:
        json.dump(params["result_file"], file)
if "signal" in params:
    os.kill(os.getpid(), params["signal"])
sys.exit(params.get("exit_code", 0))
"""


class Stage:
    """A library of one's own, and what its operations were told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.library = path / "library"
        self.library.mkdir()
        self.events: list[DirectEvent] = []
        self.add("play.py", PLAY)

    def add(self, name: str, text: str) -> None:
        file = self.library / name
        file.write_text(text)
        file.chmod(0o755)

    def run(self, *tasks: dict[str, Any]) -> DirectOutcome:
        return DirectRun([self.library], self.path, self.events.append, Interpreters()).run(tasks)

    def told(self) -> dict[str, dict[str, Any]]:
        """By task, what it was told; that each was started once is part of it."""
        file = self.path / "told.jsonl"
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        assert len({line["task_id"] for line in lines}) == len(lines), "a task was started twice"
        return {line["task_id"]: line for line in lines}


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.mark.parametrize("playbook", [pytest.param(file, id=file.stem) for file in PLAYBOOKS])
def test_a_playbook_ends_as_the_contract_says(stage: Stage, playbook: Path) -> None:
    book = json.loads(playbook.read_text("utf-8"))
    expect = book["expect"]
    outcome = stage.run(*book["tasks"])
    tasks = {task.id: task for task in outcome.tasks}
    assert {id: task.status for id, task in tasks.items()} == expect["tasks"]
    assert outcome.status == expect["workflow"]
    for id, code in expect.get("errors", {}).items():
        failure = tasks[id].outcome.failure
        assert failure is not None
        assert failure.code == code
    assert [id for id, task in tasks.items() if task.outcome.partial] == expect.get("partial", [])
    told = stage.told()
    for id, results in expect.get("results_seen", {}).items():
        assert told[id]["results"] == results
    order = list(told)
    for first, then in expect.get("never_before", ()):
        assert order.index(first) < order.index(then)
    assert set(order) == {id for id, status in expect["tasks"].items() if status != "skipped"}


def test_intents_are_derived_from_the_workflows_and_all_different(stage: Stage) -> None:
    children = [{"id": "x", "operation": "play", "key": "ws/wuji/server/x"}]
    outcome = stage.run({"id": "a", "operation": "play", "params": {"result_file": {"tasks": children}}})
    workflow = UUID(outcome.workflow_id.removeprefix("direct_"))
    told = stage.told()
    assert {id: one["intent"] for id, one in told.items()} == {id: str(uuid5(workflow, id)) for id in ("a", "1.x")}
    assert (told["a"]["key"], told["1.x"]["key"]) == (None, "ws/wuji/server/x")
    assert {one["workflow_id"] for one in told.values()} == {outcome.workflow_id}
    assert {one["attempt"] for one in told.values()} == {1}


def test_an_attempt_gets_the_contracts_environment_and_an_empty_directory(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    monkeypatch.setenv("LC_TIME", "C")
    monkeypatch.setenv("HCLOUD_TOKEN", "of an installed provider")
    monkeypatch.setenv("PROVISIONING_LOCAL_ISOLATION", "process")
    stage.add("look", '#!/bin/sh\nls -A > "$PROVISIONING_WORKSPACE/seen"\nenv >> "$PROVISIONING_WORKSPACE/seen"\n')
    assert stage.run({"id": "a", "operation": "look"}).status == "succeeded"
    names = {line.partition("=")[0] for line in (stage.path / "seen").read_text().splitlines()}
    assert {f"PROVISIONING_{name}" for name in ("RESULT", "EVENTS", "LEAVE", "WORKSPACE")} <= names
    assert {"PATH", "LC_TIME", "HCLOUD_TOKEN", "PROVISIONING_LOCAL_ISOLATION"} <= names
    assert names <= {
        "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR", "PWD", "OLDPWD", "SHLVL", "_",
        *passed_variables(),
    } | {name for name in names if name.startswith(("PROVISIONING_", "LC_", "XDG_"))}  # fmt: skip


def test_a_three_line_shell_script_is_an_operation(stage: Stage) -> None:
    stage.add("hello", '#!/bin/sh\nread -r line\necho "{\\"result\\": $line}" > "$PROVISIONING_RESULT"\n')
    (task,) = stage.run({"id": "a", "operation": "hello", "params": {"n": 1}}).tasks
    assert task.outcome.result["params"] == {"n": 1}


def test_what_an_operation_reports_is_told_while_it_runs(stage: Stage) -> None:
    stage.add("report", '#!/bin/sh\necho \'{"type": "progress", "message": "half"}\' >> "$PROVISIONING_EVENTS"\n'
        'while [ ! -e "$PROVISIONING_WORKSPACE/go" ]; do sleep 0.01; done\n')  # fmt: skip

    def on_event(event: DirectEvent) -> None:
        stage.events.append(event)
        if event.type == "task.reported":
            (stage.path / "go").touch()

    outcome = run_direct([stage.library], "report", {}, workspace=stage.path, on_event=on_event)
    assert outcome.status == "succeeded"
    assert [event.type for event in stage.events] == ["task.started", "task.reported", "task.succeeded"]
    assert stage.events[1].data == {"type": "progress", "message": "half"}


def test_a_failures_event_carries_the_end_of_its_log(stage: Stage) -> None:
    stage.add("moan", "#!/bin/sh\nseq 1 1000\necho it broke >&2\nexit 3\n")
    stage.run({"id": "a", "operation": "moan"})
    log = stage.events[-1].data["log"].splitlines()
    assert stage.events[-1].type == "task.failed"
    assert (len(log), log[0], log[-1]) == (20, "982", "it broke")


def test_a_timeout_ends_the_whole_group_and_fails_the_task(stage: Stage) -> None:
    stage.add("sleepy", '#!/bin/sh\nsleep 600 & echo $! > "$PROVISIONING_WORKSPACE/pid"\nsleep 600\n')
    (task,) = stage.run({"id": "a", "operation": "sleepy", "timeout_s": 0.5}).tasks
    assert task.outcome.failure is not None
    assert task.outcome.failure.code == "timeout"
    until_gone(int((stage.path / "pid").read_text()))


def test_what_an_attempt_leaves_behind_ends_with_it(stage: Stage) -> None:
    stage.add("careless", '#!/bin/sh\nsleep 600 & echo $! > "$PROVISIONING_WORKSPACE/pid"\n')
    assert stage.run({"id": "a", "operation": "careless"}).status == "succeeded"
    until_gone(int((stage.path / "pid").read_text()))


def test_what_cannot_be_run_fails_and_says_why(stage: Stage) -> None:
    stage.add("odd", "#!/no/such/interpreter\n")
    (task,) = stage.run({"id": "a", "operation": "odd"}).tasks
    assert task.outcome.failure is not None
    assert task.outcome.failure.code == "not_runnable"
    assert "No such file" in task.outcome.failure.message


def test_a_missing_nushell_is_named_as_what_it_is(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.add("odd.nu", "def main [] {}\n")
    monkeypatch.setenv("PATH", str(stage.path))
    (task,) = stage.run({"id": "a", "operation": "odd"}).tasks
    assert task.outcome.failure is not None
    assert task.outcome.failure.message == "odd cannot be run: there is no `nu` on PATH"


def test_an_interrupt_ends_the_running_operation(stage: Stage) -> None:
    stage.add("sleepy", '#!/bin/sh\necho $$ > "$PROVISIONING_WORKSPACE/pid.new"\n'
        'mv "$PROVISIONING_WORKSPACE/pid.new" "$PROVISIONING_WORKSPACE/pid"\nexec sleep 600\n')  # fmt: skip
    program = (
        "import sys; from pathlib import Path; from provisioning_core.direct import run_direct\n"
        "run_direct([Path(sys.argv[1])], 'sleepy', {}, workspace=Path(sys.argv[2]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(stage.library), str(stage.path)], stderr=subprocess.DEVNULL
    )
    until(lambda: (stage.path / "pid").exists())
    process.send_signal(signal.SIGINT)
    assert process.wait(20) != 0
    until_gone(int((stage.path / "pid").read_text()))


def test_interrupts_at_its_very_beginning_and_twice_leave_no_operation_running(stage: Stage) -> None:
    """The operation itself sends them: as early as can be, and again while it is waited for, in its grace."""
    stage.add("sleepy", '#!/bin/sh\ntrap \'kill -INT $PPID\' TERM\necho $$ >> "$PROVISIONING_WORKSPACE/pids"\n'
        'kill -INT $PPID\nfor _ in $(seq 600); do sleep 0.05; done\n')  # fmt: skip
    program = (
        "import sys; from pathlib import Path; from provisioning_core.direct import run_direct\n"
        "ended = 0\n"
        "for _ in range(25):\n"
        "    try: run_direct([Path(sys.argv[1])], 'sleepy', {}, workspace=Path(sys.argv[2]))\n"
        "    except KeyboardInterrupt: ended += 1\n"
        "print(ended)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(stage.library), str(stage.path)], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "25\n", done.stderr
    pids = [int(line) for line in (stage.path / "pids").read_text().split()]
    assert len(pids) == 25
    for pid in pids:
        until_gone(pid)


def test_an_operation_that_is_not_there_is_refused_before_anything_runs(stage: Stage) -> None:
    with pytest.raises(NotFoundError, match="no operation 'paly'") as caught:
        run_direct([stage.library], "paly", {}, workspace=stage.path)
    assert "play" in str(caught.value.hint)


@pytest.mark.slow
def test_a_deep_chain_of_expansions_is_no_deep_call_stack(stage: Stage) -> None:
    """Each level hands on one less; Python's own limit is 1,000 calls."""
    stage.add(
        "chain",
        '#!/bin/sh\nread -r line\nn=${line##*\\"left\\": }; n=${n%%\\}*}\n[ "$n" -gt 0 ] || exit 0\n'
        """echo '{"tasks": [{"id": "n", "operation": "chain", "params": {"left": '$((n-1))'}}]}' """
        '> "$PROVISIONING_RESULT"\n',
    )
    outcome = stage.run({"id": "top", "operation": "chain", "params": {"left": 1200}})
    assert outcome.status == "succeeded"
    assert len(outcome.tasks) == 1201
    assert outcome.tasks[-1].id == "1200.n"


def test_direct_mode_stays_small() -> None:
    source = Path(sys.modules[run_direct.__module__].__file__ or "").read_text()
    assert len(source.splitlines()) <= 100


def test_creating_twice_makes_one_of_each_and_deleting_leaves_none(workspace: Any) -> None:
    def run(operation: str) -> DirectOutcome:
        return run_direct([library_root()], operation, {"infra": "wuji"}, workspace=workspace.path)

    first, second = run("servers/create"), run("servers/create")
    assert (first.status, second.status) == ("succeeded", "succeeded")
    created = [[task.outcome.result["created"] for task in run.tasks[1:]] for run in (first, second)]
    assert created == [[True] * 5, [False] * 5]
    assert workspace.servers() == ["db-1", "lonely", "web-1", "web-2"]
    assert run("servers/delete").status == "succeeded"
    assert (workspace.servers(), workspace.networks()) == ([], [])


def test_a_failed_server_leaves_the_others_standing(workspace: Any) -> None:
    workspace.plant({"verb": "create", "at": "begin", "name": "web-1", "do": "refuse"})
    outcome = run_direct([library_root()], "servers/create", {"infra": "wuji"}, workspace=workspace.path)
    assert outcome.status == "failed"
    assert {task.id: task.status for task in outcome.tasks}["1.web-1"] == "failed"
    assert workspace.servers() == ["db-1", "lonely", "web-2"]


def until(condition: Callable[[], bool], within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def until_gone(pid: int) -> None:
    def gone() -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        stat = Path(f"/proc/{pid}/stat")
        return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z"

    until(gone)
