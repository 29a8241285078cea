"""What holds for every command."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from provisioning_core import __version__
from provisioning_core.cli import exits
from provisioning_core.cli.program import provisioning
from provisioning_core.testing.replay import Replay

COMMANDS = [
    "server create",
    "server delete",
    "server list",
    "server show",
    "server ssh",
    *(f"server {verb}" for verb in ("start", "stop", "reboot", "resize", "price", "import")),
    *(f"cluster {verb}" for verb in ("create", "delete", "list", "show")),
    *(f"infra {verb}" for verb in ("create", "delete", "plan", "apply", "drift", "graph", "inventory")),
    "infra list",
    "infra show",
    "infra validate",
    "infra schema",
    "workspace init",
    "workspace list",
    "workspace switch",
    "workspace info",
    "workspace validate",
    "workspace schema",
    "config show",
    "config path",
    "provider list",
    "provider check",
    "provider zones",
    "provider plans",
    "provider images",
    "provider generate",
    "workflow list",
    "workflow show",
    "workflow watch",
    "workflow logs",
    "workflow cancel",
    "workflow resolve",
    "orchestrator start",
    "orchestrator stop",
    "orchestrator status",
    "orchestrator logs",
    "help",
    "completion",
]


def _help(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    provisioning.main([*arguments], prog_name="provisioning", standalone_mode=False)
    return capsys.readouterr().out


@pytest.mark.parametrize("command", ["", "server", "infra", "provider", "workflow", "orchestrator", *COMMANDS])
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_shows_examples_before_options_and_where_the_exit_codes_are(
    command: str, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = _help(capsys, *command.split(), flag)
    assert text.index("Examples:\n  ") < text.index("ptions:\n")
    assert "  provisioning " in text
    assert text.rstrip().endswith("Exit codes: provisioning help exit-codes")
    assert max(len(line) for line in text.splitlines()) <= 100


def test_every_exit_code_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    text = _help(capsys, "help", "exit-codes")
    codes = [value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)]
    assert {int(code) for code in re.findall(r"^ +(\d+)  ", text, re.MULTILINE)} == set(codes)


def test_help_finds_topics_and_commands(capsys: pytest.CaptureFixture[str], program: Any) -> None:
    assert "Create the servers of INFRA" in _help(capsys, "help", "server", "create")
    done = program("help", "exit-code")
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean 'exit-codes'" in done.stderr


def test_the_version_is_one_number_everywhere(program: Any) -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert __version__ == version("provisioning-core") == project["project"]["version"]
    for arguments in (["--version"], ["--no-color", "--version"]):
        assert program(*arguments).stdout == f"provisioning {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["wrkflow", "list"], "Did you mean 'workflow'?"),
        (["workflow", "lst"], "Did you mean 'list'?"),
        (["server", "create", "wuji", "--orchestratd"], "--orchestrated"),
        (["workflow", "list", "-o", "jason"], "'json'"),
        (["infra", "show", "wujii"], "Did you mean 'wuji'?"),
        (["server", "create", "wuji", "web-3", "--check"], "web-"),
        (["server", "list", "wujii"], "Did you mean 'wuji'?"),
    ],
)
def test_a_typing_error_is_answered_with_what_was_meant(arguments: list[str], hint: str, program: Any) -> None:
    done = program(*arguments)
    assert done.returncode in (2, 3)
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert hint in done.stderr


def test_nobody_there_is_exit_6_with_the_command_that_helps(program: Any, replay: Replay) -> None:
    replay.go_away()
    done = program("workflow", "list")
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr.splitlines() == [
        f"error: no orchestrator answers at {replay.url} (connection refused)",
        "hint:  provisioning orchestrator start",
    ]


def test_a_wrong_token_is_exit_4(program: Any, tmp_path: Path) -> None:
    (tmp_path / "data" / "token").write_text("another")
    done = program("workflow", "list")
    assert done.returncode == 4
    assert str(tmp_path / "data" / "token") in done.stderr


def test_what_is_not_there_is_exit_3(program: Any, replay: Replay) -> None:
    for arguments in (["workflow", "show", "nope"], ["infra", "show", "nope"], ["server", "show", "nope"]):
        assert program(*arguments).returncode == 3
    assert program("workflow", "show", "@last").returncode == 3


def test_data_is_on_standard_output_in_every_form(program: Any, replay: Replay) -> None:
    replay.add_workflow("wf_1", "servers/create wuji", [{"id": "create", "operation": "x"}])
    document = json.loads(program("workflow", "list", "-o", "json").stdout)
    assert (document["apiVersion"], document["kind"]) == ("provisioning/v1", "WorkflowList")
    assert document["items"][0]["workflow_id"] == "wf_1"
    assert program("workflow", "list", "--json").stdout == program("workflow", "list", "-o", "json").stdout
    assert program("-o", "json", "workflow", "list").stdout == program("workflow", "list", "-o", "json").stdout
    assert program("workflow", "list", "-o", "name").stdout == "wf_1\n"
    assert "kind: WorkflowList" in program("workflow", "list", "-o", "yaml").stdout
    lines = program("workflow", "list", "-o", "jsonl").stdout.splitlines()
    assert json.loads(lines[0]) == {"type": "version", "ui": "1.0"}
    assert "CREATED" in program("workflow", "list").stdout
    assert program("workflow", "list", PROVISIONING_OUTPUT="name").stdout == "wf_1\n"


def test_an_empty_list_is_an_empty_output(program: Any) -> None:
    done = program("workflow", "list")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "no workflows\n")
    assert json.loads(program("workflow", "list", "--json").stdout)["items"] == []


def test_no_escape_leaves_the_program_off_a_terminal(program: Any, replay: Replay) -> None:
    evil = "\x1b[31mevil\x1b]0;title\x07\u202e"
    replay.add_workflow("wf_1", evil, [{"id": "a", "operation": "x", "status": "failed"}], status="failed")
    for arguments in (["workflow", "list"], ["workflow", "show", "wf_1"], ["infra", "list"], ["nope"], ["-h"]):
        done = program(*arguments)
        assert "\x1b" not in done.stdout + done.stderr


def test_colour_and_escapes_on_a_terminal_follow_the_wishes(program: Any, replay: Replay) -> None:
    replay.add_workflow("wf_1", "\x1b[5mblink", [], status="failed")
    terminal = program.on_terminal("workflow", "list")
    assert terminal.end() == 0
    assert "\x1b[31mfailed" in terminal.screen
    assert "\x1b[5m" not in terminal.screen
    for environ in ({"TERM": "dumb"}, {"NO_COLOR": "1"}, {"PROVISIONING_COLOR": "never"}):
        terminal = program.on_terminal("workflow", "list", **environ)
        assert terminal.end() == 0
        assert "\x1b" not in terminal.screen
        assert "blink" in terminal.screen


def test_a_reader_that_closes_the_pipe_is_no_error(program: Any, replay: Replay) -> None:
    for i in range(3000):
        replay.add_workflow(f"wf_{i:05}", "x" * 50, [])
    process = program.start("workflow", "list", "--limit", "3000", "-o", "json")
    assert process.stdout is not None
    process.stdout.close()
    _, stderr = process.stdout, process.stderr.read() if process.stderr else ""
    assert process.wait(20) == 141
    assert stderr == ""


def test_a_bug_is_one_line_and_a_traceback_only_with_debug(program: Any, replay: Replay) -> None:
    replay.refuse_once("GET", "/workflows", (200, {"unexpected": 1}, {}))
    done = program("workflow", "list")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines() == ["error: unexpected: KeyError: 'items'", "hint:  the same with --debug"]
    replay.refuse_once("GET", "/workflows", (200, {"unexpected": 1}, {}))
    assert "Traceback" in program("workflow", "list", "--debug").stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_of_that_shell(shell: str, program: Any) -> None:
    script = program("completion", shell).stdout
    assert "_PROVISIONING_COMPLETE" in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_completion_knows_infrastructures_and_workflows(program: Any, replay: Replay) -> None:
    replay.add_workflow("wf_1", "x", [])
    for words, expected in (("provisioning server create w", "wuji"), ("provisioning workflow show wf", "wf_1")):
        environ = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
        done = program(_PROVISIONING_COMPLETE="bash_complete", **environ)
        assert f"plain,{expected}" in done.stdout


def test_completion_knows_groups_taskservs_workspaces_and_providers(program: Any, tmp_path: Path) -> None:
    program.environ["XDG_CONFIG_HOME"] = str(tmp_path / "config")
    definition = program.workspace / "infra" / "wuji.yaml"
    definition.write_text(definition.read_text() + "taskservs: [{name: pages, taskserv: nginx, on: [web]}]\n")
    assert program("workspace", "switch", ".").returncode == 0
    for words, expected in (
        ("provisioning server stop w", "web"),
        ("provisioning taskserv create wuji p", "pages"),
        ("provisioning taskserv create wuji --server we", "web"),
        ("provisioning t show ngi", "nginx"),
        ("provisioning ws switch t", "tests"),
        ("provisioning provider login upc", "upcloud"),
    ):
        environ = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
        done = program(_PROVISIONING_COMPLETE="bash_complete", **environ)
        assert f"plain,{expected}" in done.stdout.split(), words


def test_rich_is_imported_only_where_something_is_drawn(program: Any) -> None:
    code = "import sys; import provisioning_core.cli.program, provisioning_core.cli.workflow; import provisioning_core"
    heavy = "'rich', 'yaml', 'asyncssh', 'asyncio', 'msgspec', 'importlib.metadata'"
    check = f"{code}.cli.following; print([name for name in ({heavy}) if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_nothing_is_written_into_home(program: Any, tmp_path: Path) -> None:
    program("infra", "list")
    program("workflow", "list")
    assert list((tmp_path / "home").iterdir()) == []
