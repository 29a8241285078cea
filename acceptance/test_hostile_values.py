"""Values that other tools have executed: here they arrive byte for byte, or are refused with a reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from acceptance.daemon import Daemon

OPERATIONS = str(Path(__file__).parent / "operations")
HOSTILE = [
    "o'brien",
    'say "hi"',
    "x'; touch PWNED; '",
    "a\nid",
    "a\ttouch\tPWNED",
    "--help",
    "-h",
    "--",
    "$(touch PWNED)",
    "`touch PWNED`",
    "${HOME}",
    "$env.HOME",
    "(1+1)",
    "[a b]",
    "null",
    "\\",
    "%s%n",
    "../../etc/passwd",
    "; rm -rf /",
    "| tee PWNED",
    "\x1b[31mred\x1b]0;title\x07",
    "\r\n",
    "\u202egnp.exe",
    "👩‍👩‍👧‍👦 café",
    "{{7*7}}",
    "A" * 131_072,
    "",
]


def _params(daemon: Daemon, workflow: str, task: str) -> Any:
    status, log = daemon.request("GET", f"/workflows/{workflow}/tasks/{task}/log")
    assert status == 200
    return log


@pytest.mark.parametrize(
    "operation",
    [
        "test/copy",
        "test/copy-python",
        pytest.param("test/copy-nu", marks=pytest.mark.nu),
    ],
)
@pytest.mark.slow
def test_hostile_parameters_arrive_byte_for_byte(new_daemon: Callable[..., Daemon], operation: str) -> None:
    nu = shutil.which("nu")
    daemon = new_daemon("--library", OPERATIONS, *(("--nu", nu) if nu else ())).start()
    tasks = [
        {"id": f"t{n}", "operation": operation, "params": {"name": value, value[:100]: "key"}}
        for n, value in enumerate(HOSTILE)
    ]
    status, answer = daemon.request("POST", "/workflows", {"name": HOSTILE[2], "tasks": tasks})
    assert status == 202, answer
    workflow = answer["workflow_id"]
    ended = daemon.ended(workflow)

    assert (ended["status"], ended["name"]) == ("succeeded", HOSTILE[2])
    for n, value in enumerate(HOSTILE):
        log = _params(daemon, workflow, f"t{n}")
        got = json.loads(log)
        assert (got if operation == "test/copy-nu" else got["params"]) == {"name": value, value[:100]: "key"}
    assert not list(daemon.directory.parent.rglob("PWNED*"))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (rb'{"name": "n", "tasks": [{"id": "t", "operation": "test/copy", "params": {"a": "\u0000"}}]}', "NUL"),
        (rb'{"name": "n", "tasks": [{"id": "t", "operation": "test/copy", "params": {"a": "\ud800"}}]}', "surrogate"),
        (b'{"name": "n", "tasks": [{"id": "t", "operation": "test/copy", "params": {"a": NaN}}]}', "NaN"),
        (b'{"name": "n", "name": "m", "tasks": []}', "name"),
        (b"[" * 100_000, "deep"),
        (b'{"name": "n", "tasks": [{"id": "t", "operation": "test/copy", "params": {"a": 9223372036854775808}}]}', "9"),
        (
            b'{"name": "n", "tasks": [{"id": "t", "operation": "test/copy", "params": {"a": ' + b"9" * 5_000 + b"}}]}",
            "",
        ),
        (b"\xff\xfe{}", ""),
        (b"", ""),
    ],
    ids=["NUL", "lone surrogate", "NaN", "duplicate key", "depth", "2 to the 63", "5,000 digits", "not UTF-8", "empty"],
)
def test_hostile_json_is_refused_with_400(daemon: Daemon, body: bytes, said: str) -> None:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=20)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {daemon.token}"}
    connection.request("POST", "/workflows", body, headers)
    answer = connection.getresponse()
    problem = json.loads(answer.read())

    assert answer.status == 400
    assert answer.getheader("Content-Type") == "application/problem+json"
    assert said in json.dumps(problem)
