"""The runtime of Python operations: input, result, errors, events."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

HEAD = "import os, sys\nfrom provisioning_core.errors import *\nfrom provisioning_core.operation import *\n"


def body(text: str) -> str:
    return f"{HEAD}def main(task):\n    {text}\nrun(main)\n"


def test_a_plain_value_is_the_result(own_operations: Any) -> None:
    assert own_operations(body("return [1, None, {'a': 'é'}]")).run("own", {}).result == [1, None, {"a": "é"}]


def test_a_result_may_be_partial_and_expand(own_operations: Any) -> None:
    text = "return Result(1, tasks=[new_task('a', 'own', {}, needs=['b'], key='k')], partial=True)"
    ended = own_operations(body(text)).run("own", {})
    assert ended.document == {
        "status": "partial",
        "result": 1,
        "tasks": [{"id": "a", "operation": "own", "params": {}, "needs": ["b"], "key": "k"}],
    }


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        ("UsageError('m', code='c', hint='h')", {"code": "c", "message": "m (h)", "retryable": False}),
        ("ProviderError('m')", {"code": "provider_error", "message": "m", "retryable": True}),
        (
            "ProviderError('m', code='slow_down', retry_after_s=7.5)",
            {"code": "slow_down", "message": "m", "retryable": True, "retry_after_s": 7.5},
        ),
        ("ConnectionResetError(104, 'reset')", {"code": "os_error", "retryable": True}),
        ("ValueError('m')", {"code": "internal", "message": "ValueError: m", "retryable": False}),
    ],
)
def test_what_is_raised_becomes_the_error_document(own_operations: Any, raised: str, error: dict[str, Any]) -> None:
    ended = own_operations(body(f"raise {raised}")).run("own", {})
    assert ended.error == {"message": ended.error["message"]} | error
    assert ("Traceback" in ended.log) == (error["code"] in ("internal", "os_error"))


def test_a_result_that_is_no_json_is_a_bug_of_the_operation(own_operations: Any) -> None:
    ended = own_operations(body("return {1, 2}")).run("own", {})
    assert ended.error["code"] == "internal"
    assert "set is not JSON serializable" in ended.error["message"]


def test_killed_before_its_end_it_leaves_no_result(own_operations: Any) -> None:
    ended = own_operations(body("task.progress('half'); os.kill(os.getpid(), 9)")).run("own", {})
    assert (ended.code, ended.document) == (-9, None)
    assert ended.events == [{"type": "progress", "message": "half"}]


def test_an_exit_of_its_own_is_kept(own_operations: Any) -> None:
    ended = own_operations(body("sys.exit(7)")).run("own", {})
    assert (ended.code, ended.document) == (7, None)


def test_events_of_several_processes_are_whole_lines(own_operations: Any) -> None:
    text = (
        "import subprocess\n"
        "    if os.fork() == 0:\n"
        "        [task.progress('c' * 3000) for _ in range(200)]; os._exit(0)\n"
        "    [task.progress('p' * 3000, percent=50) for _ in range(200)]\n"
        "    os.wait()"
    )
    ended = own_operations(body(text)).run("own", {})
    assert ended.code == 0, ended.log
    assert len(ended.events) == 400
    assert {event["message"] for event in ended.events} == {"c" * 3000, "p" * 3000}


def test_by_hand_the_result_goes_to_standard_output(own_operations: Any) -> None:
    own = own_operations(body("task.progress('working'); return task.params['n'] + 1"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PROVISIONING_")}
    shown = subprocess.run(
        [sys.executable, str(own.root / "own.py")],
        input=b'{"params": {"n": 1}}',
        capture_output=True,
        env=environment,
        check=True,
        timeout=60,
    )
    assert json.loads(shown.stdout.splitlines()[-1]) == {"status": "success", "result": 2}


def test_output_survives_a_poor_locale(own_operations: Any) -> None:
    ended = own_operations("import os\nos.environ['LC_ALL'] = 'C'\n" + body("print('é🦀', chr(0xd800)); return 1")).run(
        "own", {}
    )
    assert ended.result == 1
    assert ended.log == "é🦀 \\ud800\n"
