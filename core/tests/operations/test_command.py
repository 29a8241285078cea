"""command/run as a process: what it is told, what it gives back, what it refuses."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.tools.command import CAPTURED_BYTES_MAX, run_here


@pytest.fixture
def ended(python: Any, workspace: Any) -> Any:
    def run(**params: Any) -> Any:
        return python.run("command/run", params)

    return run


def test_the_output_is_captured_and_logged(ended: Any) -> None:
    found = ended(argv=["sh", "-c", "echo out; echo err >&2"])
    assert found.result == {"exit_code": 0, "output": "out\n", "cut": 0}
    assert "out\n" in found.log and "err\n" in found.log


@pytest.mark.parametrize(
    ("capture", "expected"), [("text", '["a"]\n'), ("lines", ['["a"]']), ("json", ["a"]), ("none", None)]
)
def test_the_output_comes_back_as_wished(ended: Any, capture: str, expected: Any) -> None:
    assert ended(argv=["echo", '["a"]'], capture=capture).result["output"] == expected


def test_a_script_gets_its_arguments_as_they_are(ended: Any, tmp_path: Path) -> None:
    hostile = ["a b", "$(touch pwned)", "'; exit 3", "", "-n", "a\nb"]
    found = ended(script='for one in "$@"; do printf \'%s|\' "$one"; done', arguments=hostile)
    assert found.result["output"] == "|".join(hostile) + "|"
    assert not list(tmp_path.rglob("pwned"))


def test_a_script_ends_at_the_first_command_that_fails(ended: Any) -> None:
    found = ended(script="echo before; false; echo after")
    assert (found.error["code"], found.error["retryable"]) == ("command_failed", False)
    assert "exit code 1: before" in found.error["message"] and "after" not in found.log


def test_input_results_and_environment_reach_it(ended: Any) -> None:
    script = 'cat; printf \'%s \' "$NAME"; cat "$COMMAND_INPUT"'
    found = ended(script=script, input={"n": [1, "ü"]}, environment={"NAME": "$HOME"})
    assert found.result["output"] == ('{"n": [1, "\\u00fc"]}\n$HOME {"input": {"n": [1, "\\u00fc"]}, "results": {}}')
    assert ended(argv=["cat"], stdin="as it is").result["output"] == "as it is"


def test_other_exit_codes_can_be_good_or_worth_another_attempt(ended: Any) -> None:
    assert ended(argv=["sh", "-c", "exit 3"], ok_codes=[0, 3]).result["exit_code"] == 3
    assert ended(argv=["sh", "-c", "exit 75"], retry_codes=[75]).error["retryable"] is True
    assert "exit code 137" in ended(argv=["sh", "-c", "kill -9 $$"]).error["message"]


def test_a_directory_of_the_workspace_can_be_where_it_runs(ended: Any, workspace: Any) -> None:
    (workspace.path / "scripts").mkdir()
    assert ended(argv=["pwd"], directory="scripts").result["output"].strip() == str(workspace.path / "scripts")
    (workspace.path / "out").symlink_to("/")
    for bad in ("..", "/", "nowhere", "provisioning.yaml", "out/etc"):
        assert ended(argv=["pwd"], directory=bad).error["code"] == "bad_params"


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "exactly one of argv and script"),
        ({"argv": ["a"], "script": "b"}, "exactly one of argv and script"),
        ({"argv": []}, "a program is expected"),
        ({"argv": "ls -l"}, "a list of texts is expected"),
        ({"argv": ["ls"], "arguments": ["x"]}, "arguments go with script"),
        ({"argv": ["ls"], "captur": "json"}, "Did you mean 'capture'?"),
        ({"argv": ["ls"], "capture": "jsn"}, "Did you mean 'json'?"),
        ({"argv": ["ls"], "input": 1, "stdin": "x"}, "input and stdin are both given"),
        ({"argv": ["ls"], "environment": {"A=B": "x"}}, "an object of texts"),
        ({"argv": ["ls"], "server": "web-1"}, "infra is needed"),
        ({"argv": ["login", "secret://pw"]}, "argv refers to secret://pw, which is never put there"),
        ({"argv": ["ls"], "environment": {"PW": "secret://pw"}}, "give it as stdin or in input"),
        ({"argv": ["ls"], "ok_codes": [256]}, "a whole number from 0 to 255"),
    ],
)
def test_what_is_wrong_with_the_parameters_is_said(ended: Any, params: dict[str, Any], words: str) -> None:
    found = ended(**params)
    assert found.error["code"] == "bad_params" and words in found.error["message"]


def test_a_program_that_is_not_there_is_named(ended: Any) -> None:
    found = ended(argv=["no-such-program"])
    assert (found.error["code"], found.error["retryable"]) == ("not_runnable", False)
    assert "'no-such-program': No such file" in found.error["message"]


def test_output_that_is_no_json_is_an_error_that_shows_it(ended: Any) -> None:
    assert "it begins 'hello" in ended(argv=["echo", "hello"], capture="json").error["message"]


def test_more_output_than_is_captured_is_counted_and_all_of_it_is_logged(ended: Any) -> None:
    size = CAPTURED_BYTES_MAX + 1000
    found = ended(argv=[sys.executable, "-c", f"print('x' * {size}, end='')"])
    assert (len(found.result["output"]), found.result["cut"]) == (CAPTURED_BYTES_MAX, 1000)
    assert "x" * size in found.log


def test_output_that_json_makes_longest_still_fits_into_a_result(ended: Any) -> None:
    found = ended(argv=["head", "-c", "400000", "/dev/zero"])
    assert (found.result["exit_code"], found.result["cut"]) == (0, 400_000 - CAPTURED_BYTES_MAX)
    assert len(json.dumps(found.result)) < 1_048_576 - 4_096


def test_a_program_that_prints_before_it_reads_does_not_hang(tmp_path: Path) -> None:
    program = "import sys; sys.stdout.write('y' * 1_000_000); print(len(sys.stdin.read()))"
    heard: list[bytes] = []
    argv = [sys.executable, "-c", program]
    ran = run_here(argv, directory=tmp_path, stdin=b"z" * 1_000_000, heard=heard.append)
    assert b"".join(heard) == b"y" * 1_000_000 + b"1000000\n"
    assert ran.cut == 1_000_008 - CAPTURED_BYTES_MAX


def test_a_secret_goes_to_standard_input_and_nowhere_else(python: Any, tmp_path: Path) -> None:
    handed = tmp_path / "handed"
    handed.write_text('{"pw": "hunter2-hunter2"}')
    told = {"environment": {"PROVISIONING_SECRETS": str(handed)}}
    script = "wc -c; ! grep -q hunter2 $COMMAND_INPUT; ! env | grep hunter2"
    for given, size in (({"stdin": "secret://pw"}, 15), ({"input": {"password": "secret://pw"}}, 32)):
        found = python.start("command/run", {"script": script, **given}, **told).end()
        assert found.result["output"].strip() == str(size), found.log
        assert "hunter2" not in found.log


def test_a_cancelled_command_says_and_does_its_last_before_the_operation_ends(python: Any, tmp_path: Path) -> None:
    """Of a program that writes its state then, a pipe without a reader would be the end."""
    here, done = tmp_path / "here", tmp_path / "done"
    last = f"for n in 1 2 3; do echo last $n; sleep 0.1; done; touch {done}; exit 0"
    attempt = python.start("command/run", {"script": f"trap '{last}' TERM; touch {here}; while :; do sleep 0.05; done"})
    deadline = time.monotonic() + 30
    while not here.exists():
        assert time.monotonic() < deadline and attempt.process.poll() is None
        time.sleep(0.02)
    os.killpg(attempt.process.pid, signal.SIGTERM)
    ended = attempt.end()
    assert done.exists() and "last 3" in ended.log
    assert ended.code == -signal.SIGTERM and ended.document is None
