"""The real CLI and daemon on workflows whose end the test decides, by a provider of files that fails on demand."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from acceptance.conftest import BIN, Cli
from acceptance.daemon import until

PROVIDER = "name: tests\nprovider: provisioning_core.testing.ledger_provider:LedgerProvider\n"


@pytest.fixture
def workspace(workspace: Path) -> Path:
    """The example's infrastructure `wuji`, made of files."""
    (workspace / "provisioning.yaml").write_text(PROVIDER)
    (workspace / ".ledger").mkdir()
    return workspace


def _faults(cli: Cli, *faults: dict[str, Any]) -> None:
    (cli.daemon.workspace / ".ledger" / "faults.json").write_text(json.dumps(faults))


def _start(cli: Cli, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(BIN / "provisioning"), *arguments],
        env=cli.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _read_until(process: subprocess.Popen[str], word: str) -> str:
    assert process.stderr is not None
    text = ""
    while word not in text:
        line = process.stderr.readline()
        assert line, f"it ended before {word!r}:\n{text}"
        text += line
    return text


def test_create_waits_shows_each_change_and_prints_the_servers(provisioning: Cli) -> None:
    done = provisioning("server", "create", "wuji", "--orchestrated")
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["NAME", "db-1", "web-1", "web-2"]
    for words in ("servers/create", "expanded    +4 tasks", "network wuji-net", "server web-1", "succeeded"):
        assert words in done.stderr
    shown = provisioning("workflow", "show", "@last", "-o", "json")
    document = json.loads(shown.stdout)
    assert document["status"] == "succeeded"
    assert len(document["tasks"]) == 5
    again = provisioning("server", "create", "wuji", "--orchestrated")
    assert "Nothing to do: 3 servers of wuji there already." in again.stderr
    assert len(provisioning("workflow", "list", "-o", "name").stdout.split()) == 1
    assert list(provisioning.home.iterdir()) == []


def test_an_id_is_all_that_is_printed_without_waiting_and_any_beginning_names_it(provisioning: Cli) -> None:
    done = provisioning("server", "create", "wuji", "--orchestrated", "--no-wait")
    id_ = done.stdout.strip()
    assert done.stdout == f"{id_}\n"
    assert provisioning("workflow", "watch", id_[:12]).returncode == 0
    assert provisioning("workflow", "show", "@last", "-o", "name").stdout == done.stdout
    lines = [json.loads(line) for line in provisioning("workflow", "watch", id_, "-o", "jsonl").stdout.splitlines()]
    assert lines[0] == {"type": "version", "ui": "1.0"}
    sequences = [line["sequence"] for line in lines[1:-1]]
    assert sequences == list(range(1, len(sequences) + 1))
    assert lines[-1]["status"] == "succeeded"


def test_the_same_key_again_is_the_same_workflow_and_another_wish_is_exit_5(provisioning: Cli) -> None:
    first = provisioning("server", "create", "wuji", "--orchestrated", "--no-wait", "--idempotency-key", "k")
    again = provisioning("server", "create", "wuji", "--orchestrated", "--no-wait", "--idempotency-key", "k")
    assert first.stdout == again.stdout
    other = provisioning("server", "create", "wuji", "web-1", "--orchestrated", "--no-wait", "--idempotency-key", "k")
    assert other.returncode == 5


def test_a_failure_tells_what_the_provider_said_and_is_exit_1(provisioning: Cli) -> None:
    _faults(provisioning, {"verb": "create", "at": "begin", "do": "refuse", "name": "web-2"})
    done = provisioning("server", "create", "wuji", "--orchestrated")
    assert done.returncode == 1
    assert "Failed: server web-2" in done.stderr
    assert "log, last" in done.stderr
    assert "Kept: " in done.stderr
    assert "server web-1" in done.stderr[done.stderr.index("Kept: ") :]
    again = provisioning("server", "create", "wuji", "--orchestrated")
    assert again.returncode == 0, "the fault was for once, and what existed was found"
    assert len(provisioning("server", "list", "wuji", "-o", "name").stdout.split()) == 3


@pytest.mark.slow
def test_the_timeout_leaves_it_running_and_cancelling_ends_it(provisioning: Cli) -> None:
    _faults(provisioning, {"verb": "create", "at": "begin", "do": "hang", "name": "web-1"})
    done = provisioning("server", "create", "wuji", "--orchestrated", "--timeout", "2s")
    assert done.returncode == 124
    assert "The workflow goes on." in done.stderr
    assert json.loads(provisioning("workflow", "show", "@last", "--json").stdout)["status"] == "running"
    stopped = provisioning("workflow", "cancel", "@last")
    assert stopped.returncode == 0, stopped.stderr
    assert provisioning("workflow", "watch", "@last").returncode == 7


@pytest.mark.slow
def test_watching_survives_kill_9_of_the_daemon(provisioning: Cli) -> None:
    """web-1 waits for its second attempt when the daemon dies; the watcher sees the end of it under the next one."""
    _faults(provisioning, {"verb": "create", "at": "begin", "do": "busy", "name": "web-1"})
    watching = _start(provisioning, "server", "create", "wuji", "--orchestrated")
    text = _read_until(watching, "retrying")
    provisioning.daemon.kill()
    text += _read_until(watching, "reconnecting…")
    provisioning.daemon.start()
    stdout, rest = watching.communicate(timeout=60)
    text += rest
    assert watching.returncode == 0, text
    assert text.count("reconnecting…") == 1
    assert text.count("is back after") == 1
    assert [line.split()[0] for line in stdout.splitlines()[1:]] == ["db-1", "web-1", "web-2"]


def test_logs_are_the_bytes_that_the_operation_wrote(provisioning: Cli) -> None:
    assert provisioning("server", "create", "wuji", "--orchestrated").returncode == 0
    done = provisioning("workflow", "logs", "@last", "web-1")
    assert done.returncode == 0
    assert "web-1" in done.stdout
    everything = provisioning("workflow", "logs", "@last").stdout
    assert everything.count("==> ") == 5
    assert provisioning("workflow", "logs", "@last", "web-1", "-f").stdout == done.stdout


def test_delete_takes_everything_away(provisioning: Cli) -> None:
    assert provisioning("server", "create", "wuji", "--orchestrated").returncode == 0
    assert provisioning("server", "delete", "wuji").returncode == 2
    assert provisioning("server", "delete", "wuji", "--orchestrated", "--yes").returncode == 0
    assert provisioning("server", "list", "-o", "name").stdout == ""


@pytest.mark.slow
def test_stopping_says_that_running_tasks_live_on(provisioning: Cli) -> None:
    _faults(provisioning, {"verb": "create", "at": "begin", "do": "hang", "name": "web-1"})
    provisioning("server", "create", "wuji", "web-1", "--orchestrated", "--no-wait")
    until(lambda: (provisioning.daemon.workspace / ".ledger" / "hanging-begin-web-1").exists(), "web-1 to hang")
    done = provisioning("orchestrator", "stop")
    assert done.returncode == 0
    assert "1 running task lives on" in done.stderr
    provisioning.daemon.start()
    assert provisioning("workflow", "cancel", "@last").returncode == 0


def test_a_daemon_of_another_workspace_is_not_asked_to_make_servers(provisioning: Cli, tmp_path: Path) -> None:
    other = shutil.copytree(provisioning.daemon.workspace, tmp_path / "other")
    done = provisioning("server", "create", "wuji", "--orchestrated", "--workspace", str(other))
    assert done.returncode == 5
    assert str(provisioning.daemon.workspace) in done.stderr
    assert provisioning("workflow", "list", "-o", "name").stdout == ""


def test_jsonl_of_a_create_ends_with_the_servers(provisioning: Cli) -> None:
    done = provisioning("server", "create", "wuji", "--orchestrated", "-o", "jsonl")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[0] == {"type": "version", "ui": "1.0"}
    assert (lines[-1]["type"], lines[-1]["status"]) == ("summary", "succeeded")
    assert [server["name"] for server in lines[-1]["servers"]] == ["db-1", "web-1", "web-2"]
    assert lines[-2]["type"] == "workflow.succeeded"


@pytest.mark.slow
def test_interrupting_direct_mode_ends_its_work_and_says_how_to_go_on(provisioning: Cli) -> None:
    _faults(provisioning, {"verb": "create", "at": "begin", "do": "hang", "name": "web-2"})
    creating = _start(provisioning, "server", "create", "wuji")
    until(lambda: (provisioning.daemon.workspace / ".ledger" / "hanging-begin-web-2").exists(), "web-2 to hang")
    creating.send_signal(signal.SIGINT)
    _, told = creating.communicate(timeout=30)
    assert creating.returncode == 130
    assert "Ended half-way." in told
    assert "  provisioning server create wuji\n" in told
    assert provisioning("server", "create", "wuji").returncode == 0
    assert len(provisioning("server", "list", "wuji", "-o", "name").stdout.split()) == 3


def test_a_document_is_submitted_and_its_faults_are_told_where_they_stand(provisioning: Cli, tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    said = "- {id: a, operation: command/run, params: {argv: [echo, hello]}}"
    file.write_text(f"name: site\ntasks:\n  {said}\n  - id: b\n    operation: comand/run\n    needs: [c]\n")
    refused = provisioning("workflow", "submit", str(file))
    assert refused.returncode == 2 and provisioning("workflow", "list", "-o", "name").stdout == ""
    assert f"{file}:5:5" in refused.stderr and f"{file}:6:" in refused.stderr, refused.stderr
    file.write_text(f"name: site\ntasks:\n  {said}\n")
    done = provisioning("workflow", "submit", str(file), "--idempotency-key", "k")
    assert done.returncode == 0, done.stderr
    assert "hello" in provisioning("workflow", "logs", "@last", "a").stdout
    assert provisioning("workflow", "submit", str(file), "--idempotency-key", "k").returncode == 0
    assert len(provisioning("workflow", "list", "-o", "name").stdout.split()) == 1


def test_an_operation_is_run_by_its_name_here_and_by_the_orchestrator(provisioning: Cli) -> None:
    asked = ("operation", "run", "command/run", "--param", 'argv=["echo", "two  words"]', "-o", "json")
    for more in ((), ("--orchestrated",)):
        done = provisioning(*asked, *more)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["result"]["output"] == "two  words\n"
    assert (
        provisioning("operation", "run", "command/run", "--param", 'argv=["false"]', "--orchestrated").returncode == 1
    )
