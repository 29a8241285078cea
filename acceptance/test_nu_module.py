"""`provisioning.nu`: the verbs of the command line for Nushell, against a real daemon."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from acceptance.daemon import ROOT, Daemon, until

pytestmark = [pytest.mark.nu, pytest.mark.slow]
MODULE = ROOT / "core" / "src" / "provisioning_core" / "nushell"
LEDGER = "provisioning_core.testing.ledger_provider:LedgerProvider"
Ask = Callable[..., Any]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """The example's definitions, with servers of files: nothing of it is about machines."""
    path = Path(shutil.copytree(ROOT / "examples" / "wuji", tmp_path / "workspace"))
    (path / "provisioning.yaml").write_text(f"name: wuji-example\nprovider: {LEDGER}\n")
    (path / "infra" / "small.yaml").write_text("servers:\n- {name: web, count: 2, plan: 1cpu-1gb}\n")
    return path


@pytest.fixture
def run(daemon: Daemon, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Nushell with this program, after `use provisioning.nu *`."""

    def nu(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
        told = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PROVISIONING_URL": daemon.url}
        told |= {"PROVISIONING_DATA_DIR": str(daemon.data_dir)}
        script = tmp_path / "script.nu"
        script.write_text(f"use provisioning.nu *\n{program}\n")
        return subprocess.run(
            ["nu", "--no-config-file", "--include-path", str(MODULE), str(script)],
            env=told | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return nu


@pytest.fixture
def ask(run: Callable[..., subprocess.CompletedProcess[str]]) -> Ask:
    """What an expression gives, as JSON."""

    def answer(expression: str, **environment: str) -> Any:
        done = run(f"{expression} | to json --raw", **environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return answer


def test_servers_are_created_listed_and_deleted_as_tables(ask: Ask) -> None:
    made = ask("server create small")
    assert (made["status"], made["tasks_total"]) == ("succeeded", 3)
    assert {task["operation"] for task in made["tasks"]} == {"servers/create", "servers/create-one"}
    assert ask("server list small | where state == started | get name") == ["web-1", "web-2"]
    assert ask("server list | length") == 2
    assert ask("server delete small web-2 --yes | get status") == "succeeded"
    assert ask("server list | get name") == ["web-1"]
    assert ask("infra delete small --yes | get status") == "succeeded"
    assert ask("server list") == []


def test_an_infrastructure_comes_up_whole(ask: Ask) -> None:
    assert ask("infra create small | get status") == "succeeded"
    assert ask("infra create small | get tasks | where result.created? == true | length") == 0
    assert ask("server list small | length") == 2


def test_workflows_are_listed_shown_watched_and_their_logs_read(ask: Ask) -> None:
    id = ask("server create small --detach | get workflow_id")
    events = ask(f"workflow watch {id}")
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert (events[0]["type"], events[-1]["type"]) == ("workflow.submitted", "workflow.succeeded")
    assert ask("workflow list --status succeeded | get workflow_id") == [id]
    assert ask("workflow list --limit 1 | length") == 1
    assert ask("workflow list | get 0.took | describe") == "duration"
    for name in (id, id.removeprefix("wf_"), "@last"):
        assert ask(f"workflow show {name} | get workflow_id") == id
    root = ask(f"workflow show {id} | get tasks.0.id")
    assert "2 servers" in ask(f"workflow logs {id} {root}")


def test_a_workflow_is_cancelled(ask: Ask, daemon: Daemon, workspace: Path) -> None:
    (workspace / ".ledger").mkdir(exist_ok=True)
    fault = {"verb": "create", "at": "begin", "do": "hang", "name": "web-1"}
    (workspace / ".ledger" / "faults.json").write_text(json.dumps([fault]))
    id = ask("server create small --detach | get workflow_id")
    assert ask(f"workflow cancel {id} | get status") == "cancelled"


def test_refusals_are_errors_with_the_orchestrators_words(
    run: Callable[..., subprocess.CompletedProcess[str]], daemon: Daemon, tmp_path: Path
) -> None:
    for program, words in (
        ("workflow show wf_nope", "no workflow 'wf_nope'"),
        ("workflow list --status done", "one of queued, running, succeeded"),
        ("server create 'a b'", "'a b'"),
        ("server create wujii", "Did you mean 'wuji'?"),
        ("server delete small", "--yes"),
    ):
        done = run(program)
        assert done.returncode == 1, program
        assert words in " ".join(done.stderr.split()), (program, done.stderr)
    (tmp_path / "wrong").write_text("prv_wrong")
    done = run("workflow list", PROVISIONING_TOKEN_FILE=str(tmp_path / "wrong"))
    assert done.returncode == 1 and "token" in done.stderr
    done = run("workflow list", PROVISIONING_TOKEN_FILE=str(tmp_path / "none"))
    assert done.returncode == 1 and "no token can be read at" in done.stderr
    status = run("orchestrator status | get status")
    assert status.stdout.strip() == "ok"
    daemon.stop()
    done = run("server create small")
    assert done.returncode == 1
    assert "no orchestrator answers" in done.stderr and "provisioning orchestrator start" in done.stderr


def test_a_list_that_cannot_be_made_is_an_error_with_the_reason(
    run: Callable[..., subprocess.CompletedProcess[str]], workspace: Path
) -> None:
    (workspace / "provisioning.yaml").write_text("name: wuji-example\nprovider: no-such-cloud\n")
    done = run("server list")
    assert done.returncode == 1
    assert "servers/list failed" in done.stderr and "no-such-cloud" in done.stderr


def test_values_with_every_character_arrive_as_they_are(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """Nothing is parsed twice on the way: neither a quote nor a line that looks like a command."""
    done = run("server create $env.NAME", NAME="x\n^touch pwned; $(id) 'o\"brien' é🦀")
    assert done.returncode == 1 and "🦀" in done.stderr
    assert not list(tmp_path.rglob("pwned"))


def test_a_daemon_that_restarts_meanwhile_is_waited_for(ask: Ask, daemon: Daemon, workspace: Path) -> None:
    (workspace / ".ledger").mkdir(exist_ok=True)
    faults = workspace / ".ledger" / "faults.json"
    faults.write_text(json.dumps([{"verb": "create", "at": "begin", "do": "busy", "name": "web-1", "times": 1}]))
    with ThreadPoolExecutor(1) as pool:
        created = pool.submit(ask, "server create small | get status")
        until(lambda: faults.exists() and faults.read_text() == "[]", "the first attempt to have failed")
        daemon.kill()  # the next attempt comes after some seconds: nobody is there meanwhile
        daemon.start()
        assert created.result() == "succeeded"
