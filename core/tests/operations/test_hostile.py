"""Values that want to be more than data: refused in clear words, never run, whatever the library is written in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provisioning_core.library import nu_library_root

SPEC = {"plan": "1cpu-1gb", "cpus": 1, "memory_gb": 1}
HOSTILE = {
    "quotes": "a'b\"c",
    "seed's hole": "x'; ^touch pwned; '",
    "newline": "a\ntouch pwned",
    "newline and tab": "a\ntouch\tpwned",
    "substitution": "$(touch pwned)",
    "backticks": "`touch pwned`",
    "nu closure": "{|| ^touch pwned}",
    "nu expression": "(^touch pwned)",
    "nu interpolation": '$"(^touch pwned)"',
    "semicolon": "; touch pwned",
    "flag": "--help",
    "short flag": "-h",
    "null byte": "a\0b",
    "ansi": "\x1b[31mred\x1b[2J",
    "131 KB": "x" * 131_072,
    "emoji": "🦀",
    "accent": "é",
    "right to left": "a\u202eb",
    "lone surrogate": "\ud800",
    "path": "../../etc/passwd",
    "glob": "*",
    "spaces": "  ",
    "empty": "",
    "json": '{"infra": "wuji"}',
}
WHERE: dict[str, Any] = {
    "infra of create": ("servers/create", lambda value: {"infra": value}),
    "server of create": ("servers/create", lambda value: {"infra": "wuji", "servers": [value]}),
    "name of create-one": ("servers/create-one", lambda value: {"infra": "wuji", "name": value, "spec": SPEC}),
    "label of create-one": (
        "servers/create-one",
        lambda value: {"infra": "wuji", "name": "a", "spec": SPEC, "labels": {"x": value}},
    ),
    "parameter of create": ("servers/create", lambda value: {"infra": "wuji", value: 1}),
    "name of delete-one": ("servers/delete-one", lambda value: {"infra": "wuji", "name": value}),
    "name of networks": ("networks/create", lambda value: {"infra": "wuji", "name": value, "spec": {}}),
}


@pytest.mark.slow
@pytest.mark.parametrize("place", WHERE)
def test_a_hostile_value_is_refused_and_nothing_of_it_runs(
    operations: Any, workspace: Any, tmp_path: Path, place: str
) -> None:
    operation, params = WHERE[place]
    attempts = {}
    for case, value in HOSTILE.items():
        if place.startswith("label") and case == "empty":
            continue  # a label may be empty
        attempts[case] = operations.start(operation, params(value))
        if len(attempts) % 4 == 0:
            attempts[case].process.wait(60)
    for case, attempt in attempts.items():
        ended = attempt.end()
        assert ended.error["retryable"] is False, case
        assert ended.error["code"] in ("bad_params", "bad_input"), case
        assert len(ended.error["message"]) < 1000, case
        assert ended.log.replace("\n", "").isprintable(), case
        assert ended.error["message"].isprintable(), case
    assert workspace.calls() == []
    assert list(tmp_path.rglob("*pwned*")) == []


def test_what_an_operation_is_told_arrives_byte_for_byte(own_operations: Any) -> None:
    own = own_operations("from provisioning_core.operation import run\nrun(lambda task: task.params)\n")
    values = {case: value for case, value in HOSTILE.items() if case != "lone surrogate"}
    assert own.run("own", values).result == values


@pytest.mark.nu
def test_what_a_nushell_operation_is_told_arrives_byte_for_byte(own_operations: Any, nu: str) -> None:
    own = own_operations(
        f"use {nu_library_root()}/_provisioning.nu *\n"
        "def main []: any -> nothing { $in | run-operation {|task| { result: $task.params } } }\n",
        nu=nu,
    )
    values = {case: value for case, value in HOSTILE.items() if case != "lone surrogate"}
    assert own.run("own", values).result == values
