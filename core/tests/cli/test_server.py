"""`provisioning server` and `provisioning infra`: by a provider of files, directly and through a replayed daemon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.cli.connecting import remote_line
from provisioning_core.providers.openssh import ssh_command
from provisioning_core.testing.replay import Asked, Replay

ID = "wf_01kb7q3m8x0001"


@pytest.fixture
def submitting(replay: Replay) -> Replay:
    """Each submission makes one workflow that has succeeded at once."""

    def submit(asked: Asked) -> str:
        if ID not in replay.workflows:
            replay.add_workflow(ID, "servers/create wuji", [{"id": "create", "operation": "servers/create"}])
            replay.record(ID, "workflow.submitted", total=1, tasks=[])
            replay.record(ID, "workflow.started")
            replay.record(ID, "task.started", "create", attempt=1)
            replay.record(ID, "task.succeeded", "create")
            replay.record(ID, "workflow.succeeded", counts={})
        return ID

    replay.on_submit = submit
    return replay


def _submitted(replay: Replay) -> list[Asked]:
    return [asked for asked in replay.asked if asked.method == "POST"]


def test_check_shows_the_plan_and_does_nothing(program: Any, replay: Replay) -> None:
    done = program("server", "create", "wuji", "--check")
    assert done.returncode == 0
    assert done.stdout.splitlines() == ["+ network wuji-net", "+ server web-1", "+ server web-2"]
    assert "3 to create." in done.stderr
    assert program("server", "create", "wuji", "--check", "--exit-code").returncode == 10
    assert program("server", "delete", "wuji", "--check", "--exit-code").returncode == 0
    document = json.loads(program("server", "create", "wuji", "web-2", "--check", "--json").stdout)
    assert (document["kind"], [change["name"] for change in document["changes"]]) == ("Plan", ["wuji-net", "web-2"])
    assert replay.asked == []


def test_create_directly_makes_the_servers_and_says_what_it_does_not_do(program: Any, replay: Replay) -> None:
    done = program("server", "create", "wuji")
    assert done.returncode == 0, done.stderr
    assert "without retry and without recovery" in done.stderr
    assert [line.split()[:3] for line in done.stdout.splitlines()] == [
        ["NAME", "INFRA", "STATE"],
        ["web-1", "wuji", "started"],
        ["web-2", "wuji", "started"],
    ]
    assert replay.asked == [], "no orchestrator was asked"
    again = program("server", "create", "wuji")
    assert again.returncode == 0
    assert "Nothing to do: 2 servers of wuji there already." in again.stderr
    assert again.stdout == done.stdout
    assert program("server", "create", "wuji", "--check", "--exit-code").returncode == 0


def test_a_failure_of_direct_mode_shows_the_log_and_is_exit_1(program: Any, workspace: Path) -> None:
    (workspace / ".ledger").mkdir()
    fault = [{"verb": "create", "at": "begin", "do": "refuse", "name": "web-2"}]
    (workspace / ".ledger" / "faults.json").write_text(json.dumps(fault))
    done = program("server", "create", "wuji")
    assert done.returncode == 1
    assert "Failed: server web-2" in done.stderr
    assert "provisioning server create wuji --orchestrated" in done.stderr
    assert program("server", "list", "wuji", "-o", "name").stdout == "web-1\n"


@pytest.mark.parametrize("flag", [["--no-wait"], ["--timeout", "3s"], ["--idempotency-key", "k"]])
def test_what_only_the_orchestrator_can_do_is_refused_directly(flag: list[str], program: Any) -> None:
    done = program("server", "create", "wuji", *flag)
    assert done.returncode == 2
    assert "--orchestrated" in done.stderr


def test_create_orchestrated_in_a_pipe_never_prompts_and_prints_the_servers(program: Any, submitting: Replay) -> None:
    program("server", "create", "wuji", "web-1")
    done = program("server", "create", "wuji", "--orchestrated")
    assert done.returncode == 0
    (asked,) = _submitted(submitting)
    assert (asked.path, asked.body) == ("/workflows/servers/create", {"infra": "wuji", "params": {}})
    assert asked.headers["Idempotency-Key"]
    assert "web-1" in done.stdout
    assert "provisioning server ssh web-1" in done.stderr
    assert program("workflow", "show", "@last", "-o", "name").stdout == f"{ID}\n"
    document = json.loads(program("server", "create", "wuji", "--orchestrated", "-o", "json").stdout)
    assert (document["kind"], document["workflow_id"]) == ("ServerList", ID)


def test_each_invocation_has_a_key_of_its_own_and_takes_one(program: Any, submitting: Replay) -> None:
    for extra in ([], [], ["--idempotency-key", "mine"]):
        program("server", "create", "wuji", "web-1", "--orchestrated", "--no-wait", *extra)
    keys = [asked.headers["Idempotency-Key"] for asked in _submitted(submitting)]
    assert len(set(keys)) == 3
    assert keys[2] == "mine"
    assert _submitted(submitting)[0].body["params"] == {"servers": ["web-1"]}


def test_without_waiting_the_id_alone_is_the_output(program: Any, submitting: Replay) -> None:
    done = program("server", "create", "wuji", "--orchestrated", "--no-wait")
    assert (done.returncode, done.stdout) == (0, f"{ID}\n")
    assert f"provisioning workflow watch {ID}" in done.stderr
    document = json.loads(program("server", "create", "wuji", "--orchestrated", "--detach", "--json").stdout)
    assert document == {"apiVersion": "provisioning/v1", "kind": "Workflow", "workflow_id": ID}


def test_a_key_that_was_used_for_another_wish_is_exit_5(program: Any, submitting: Replay) -> None:
    problem = {"code": "idempotency_mismatch", "detail": "the key was used before with another body"}
    submitting.refuse_once("POST", "/workflows/servers/create", (422, problem, {}))
    done = program("server", "create", "wuji", "--orchestrated", "--idempotency-key", "k")
    assert done.returncode == 5
    assert "used before with another body" in done.stderr


def test_nothing_is_sent_where_the_definition_is_wrong(program: Any, workspace: Path, submitting: Replay) -> None:
    (workspace / "infra" / "wuji.yaml").write_text("servers:\n  - name: web\n    plam: 1cpu-1gb\n")
    done = program("server", "create", "wuji", "--orchestrated")
    assert (done.returncode, done.stdout) == (2, "")
    assert "infra/wuji.yaml:3:5" in done.stderr
    assert "plan" in done.stderr
    assert _submitted(submitting) == []
    checked = program("infra", "validate")
    assert checked.returncode == 2
    assert "infra/wuji.yaml:3:5" in checked.stderr


def test_delete_in_a_pipe_demands_a_flag_and_names_it(program: Any, submitting: Replay) -> None:
    done = program("server", "delete", "wuji")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--yes" in done.stderr
    assert "--confirm=wuji" in done.stderr
    assert program("server", "delete", "wuji", "--confirm=wuij").returncode == 2
    program("server", "create", "wuji")
    assert program("server", "delete", "wuji", "--confirm=wuji").returncode == 0
    assert program("server", "list", "-o", "name").stdout == ""
    assert "Nothing to do" in program("server", "delete", "wuji", "--yes").stderr


def test_create_on_a_terminal_shows_the_plan_and_asks(program: Any, submitting: Replay) -> None:
    terminal = program.on_terminal("server", "create", "wuji", "--orchestrated")
    assert "web-2" in terminal.until("Create? [y/N]")
    terminal.type("n\n")
    assert terminal.end() == 1
    assert "Nothing was done." in terminal.screen
    assert _submitted(submitting) == []
    terminal = program.on_terminal("server", "create", "wuji", "--orchestrated")
    terminal.until("Create? [y/N]")
    terminal.interrupt()
    assert terminal.end() == 130
    assert _submitted(submitting) == []
    terminal = program.on_terminal("server", "create", "wuji", "--orchestrated", "--yes")
    assert terminal.end() == 0
    assert "Create?" not in terminal.screen
    assert len(_submitted(submitting)) == 1


def test_delete_on_a_terminal_wants_the_name_typed_back(program: Any) -> None:
    program("server", "create", "wuji")
    for typed, code, left in (("y", 1, "web-1\nweb-2\n"), ("wuji", 0, "")):
        terminal = program.on_terminal("server", "delete", "wuji")
        terminal.until("Delete:")
        terminal.type(f"{typed}\n")
        assert terminal.end() == code, terminal.screen
        assert program("server", "list", "-o", "name").stdout == left


def test_show_and_ssh_find_a_server_and_say_what_is_near(program: Any) -> None:
    assert program("server", "show", "web-1").returncode == 3
    assert "provisioning server create wuji web-1" in program("server", "show", "web-1").stderr
    program("server", "create", "wuji")
    assert json.loads(program("server", "show", "wuji/web-1", "--json").stdout)["state"] == "started"
    done = program("server", "ssh", "web-11")
    assert done.returncode == 3
    assert "did you mean 'web-1'" in done.stderr
    done = program("server", "ssh", "wuij/web-1")
    assert (done.returncode, "did you mean 'wuji/web-1'" in done.stderr) == (3, True)
    assert program("server", "show", "/web-1").returncode == 3


def test_a_server_is_shown_in_words(program: Any, workspace: Path) -> None:
    program("server", "create", "wuji", "web-1")
    _attributes(workspace, network_refusal=None, shared_with_host=["hostname", "network"])
    shown = program("server", "show", "web-1").stdout
    assert "shared_with_host  hostname, network\n" in shown
    assert not {"None", "[]", "{}"} & set(shown.split())


def test_an_infrastructure_that_lost_its_file_is_listed_as_long_as_it_has_servers(
    program: Any, workspace: Path
) -> None:
    program("server", "create", "wuji")
    (workspace / "infra" / "wuji.yaml").rename(workspace / "infra" / "renamed.yaml")
    assert program("server", "list", "wuji", "-o", "name").stdout == "web-1\nweb-2\n"
    assert program("server", "delete", "wuji", "--yes").returncode == 0
    assert program("server", "list", "wuji").returncode == 3


def test_a_server_that_does_not_run_is_a_change_and_is_started(program: Any, workspace: Path) -> None:
    program("server", "create", "wuji")
    ledger = workspace / ".ledger" / "ledger.json"
    document = json.loads(ledger.read_text())
    next(one for one in document["resources"].values() if one["name"] == "web-2")["state"] = "stopped"
    ledger.write_text(json.dumps(document))
    done = program("server", "create", "wuji", "--check", "--exit-code")
    assert done.returncode == 10
    assert done.stdout == "~ server web-2  stopped: to be started\n"
    assert "1 to start, 2 there already." in done.stderr
    done = program("server", "create", "wuji")
    assert "server web-2 was stopped: started again" in done.stderr
    assert program("server", "create", "wuji", "--check", "--exit-code").returncode == 0


def test_what_separates_the_servers_less_than_wanted_is_said(program: Any, workspace: Path) -> None:
    program("server", "create", "wuji")
    _attributes(workspace, shared_with_host=["hostname", "processes"])
    words = "note: web-1, web-2: plain processes here, less isolated: they share hostname, processes with this machine"
    assert words in program("server", "create", "wuji").stderr
    assert words not in program("server", "create", "wuji", "-q").stderr
    assert words not in program("server", "list", "wuji").stderr


def test_what_is_suggested_can_be_typed_here(program: Any) -> None:
    called = {"PROVISIONING_PROGRAM": "my clone/bin/provisioning"}
    assert (
        "  enter   'my clone/bin/provisioning' server ssh web-1\n"
        in program("server", "create", "wuji", **called).stderr
    )
    assert "hint:  'my clone/bin/provisioning' workflow list" in program("workflow", "show", "@last", **called).stderr
    assert (
        "hint:  bin/provisioning server list"
        in program("server", "show", "x", PROVISIONING_PROGRAM="bin/provisioning").stderr
    )
    assert "hint:  provisioning server list" in program("server", "show", "x").stderr


def _attributes(workspace: Path, **attributes: Any) -> None:
    """Let the provider say more of every server."""
    ledger = workspace / ".ledger" / "ledger.json"
    document = json.loads(ledger.read_text())
    for one in document["resources"].values():
        one["attributes"] |= attributes
    ledger.write_text(json.dumps(document))


def test_infra_list_show_and_validate(program: Any, workspace: Path) -> None:
    (workspace / "infra" / "bad.yaml").write_text("servers: 3\n")
    items = json.loads(program("infra", "list", "--json").stdout)["items"]
    assert [(item["name"], item["valid"]) for item in items] == [("bad", False), ("wuji", True)]
    assert program("infra", "validate", "wuji").returncode == 0
    assert program("infra", "validate").returncode == 2
    document = json.loads(program("infra", "show", "wuji", "--json").stdout)
    assert [(server["name"], server["state"]) for server in document["servers"]] == [
        ("web-1", "absent"),
        ("web-2", "absent"),
    ]


def test_ssh_uses_nothing_of_the_users_own_and_takes_no_name_for_an_option() -> None:
    ssh = {
        "host": "-oProxyCommand=touch /tmp/x",
        "port": 2222,
        "user": "root",
        "identity_file": "/a b/key",
        "known_hosts_file": '/a b/100%/"known"',
    }
    argv = ssh_command(ssh, "uname -n")
    assert argv[:3] == ["ssh", "-F", "/dev/null"]
    assert argv[argv.index("--") :] == ["--", "-oProxyCommand=touch /tmp/x", "uname -n"]
    assert "StrictHostKeyChecking=yes" in argv
    assert 'UserKnownHostsFile="/a b/100%%/\\"known\\""' in argv
    assert argv[argv.index("-i") + 1] == "/a b/key"


def test_several_words_are_exact_arguments_and_one_is_a_line_of_shell() -> None:
    assert remote_line(["cd /etc && ls"]) == "cd /etc && ls"
    assert remote_line(["echo", "a  b", "$HOME"]) == "echo 'a  b' '$HOME'"
    assert remote_line([]) == ""
