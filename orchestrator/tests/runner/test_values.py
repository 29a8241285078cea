"""Hostile values arrive byte for byte over Python, Nushell and executables, and are never executed."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from provisioning_orchestrator.testing.dispatch_suite import an_id

from .host import Host, run

VALUES = [
    "wuji",
    "",
    " ",
    "o'brien",
    '"quoted"',
    "x'; touch PWNED; '",
    "$(touch PWNED)",
    "`touch PWNED`",
    "a\nid",
    "a\ntouch\tPWNED",
    "--help",
    "-h",
    "--",
    "--force",
    "null",
    "true",
    "0x10",
    "1e999",
    "~",
    "*",
    "../../etc/passwd",
    "%s%n",
    "\\",
    "\\n",
    "a\\",
    "\x1b[31mred\x1b[0m",
    "\u0000".join("ab"),
    "\u202e",
    "é ü 漢字",
    "🚀👩‍👩‍👧",
    "\r\n",
    "\t",
    "{{ 7*7 }}",
    "${HOME}",
    "a=b; c",
    "| cat",
    "x" * 131_072,
    "\u2028",
    "\ufeff",
    "(open x)",
    "$env.PATH",
    "[1 2]",
    "{a: 1}",
    "#comment",
    "&& id",
    "> PWNED",
    "!!",
    "\x7f\x01",
]


def nushell() -> Path | None:
    """Where tests find a Nushell: named by the environment, on PATH, or in the checkout's state."""
    named = os.environ.get("PROVISIONING_TEST_NU") or shutil.which("nu")
    if named:
        return Path(named)
    for parent in Path(__file__).resolve().parents:
        found = sorted((parent / ".state" / "nu").glob("node_modules/@nushell/*/bin/nu"))
        if found:
            return found[0]
    return None


def round_trip(host: Host, operation: str, nu: Path | None = None) -> None:
    async def body() -> None:
        async with host.opened(nu=nu) as (dispatch, listener):
            for number, value in enumerate(VALUES, start=1):
                line = json.dumps({"params": {"name": value, value or "empty": 1}}, ensure_ascii=number % 2 == 0)
                await dispatch.start(host.spec(operation, number, input=line.encode()))
                verdict = await listener.end_of(an_id(number))
                log = host.log(an_id(number)).decode("utf-8", "replace")
                assert verdict.exit_code == 0, f"{value!r}: {log}"
                result = json.loads(verdict.result)
                assert result["name"] == value, f"{value!r} arrived as {result['name']!r}"
                assert log == value, f"{value!r} is in the log as {log!r}"

    run(body())
    assert not list(host.path.rglob("PWNED"))


def test_over_python(tmp_path: Path) -> None:
    host = Host(tmp_path)
    code = """
import json, os, sys
params = json.load(sys.stdin)["params"]
sys.stdout.reconfigure(newline="")
print(params["name"], end="")
with open(os.environ["PROVISIONING_RESULT"], "w") as file:
    json.dump({"name": params["name"]}, file)
"""
    round_trip(host, host.operation("echoes.py", code))


def test_over_an_executable(tmp_path: Path) -> None:
    host = Host(tmp_path)
    code = (
        f"#!{sys.executable} -I"
        + """
import json, os, sys
params = json.loads(sys.stdin.buffer.read())["params"]
sys.stdout.buffer.write(params["name"].encode())
open(os.environ["PROVISIONING_RESULT"], "wb").write(json.dumps({"name": params["name"]}).encode())
"""
    )
    round_trip(host, host.operation("echoes", code))


def test_over_a_shell_script_that_only_passes_them_on(tmp_path: Path) -> None:
    host = Host(tmp_path)
    operation = host.operation("passes", 'cat > "$PROVISIONING_RESULT"')

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            for number, value in enumerate(VALUES, start=1):
                line = json.dumps({"name": value}).encode()
                await dispatch.start(host.spec(operation, number, input=line))
                assert (await listener.end_of(an_id(number))).result == line + b"\n"

    run(body())


@pytest.mark.nu
@pytest.mark.skipif(nushell() is None, reason="no Nushell: neither PROVISIONING_TEST_NU nor `nu` on PATH nor .state/nu")
@pytest.mark.slow
def test_over_nushell(tmp_path: Path) -> None:
    host = Host(tmp_path)
    code = """
def main [] {
    let params = ($in | from json | get params)
    print --no-newline $params.name
    {name: $params.name} | to json --raw | save --raw $env.PROVISIONING_RESULT
}
"""
    round_trip(host, host.operation("echoes.nu", code), nushell())


@pytest.mark.nu
@pytest.mark.skipif(nushell() is None, reason="no Nushell: neither PROVISIONING_TEST_NU nor `nu` on PATH nor .state/nu")
def test_nushell_exit_codes_are_kept(tmp_path: Path) -> None:
    host = Host(tmp_path)
    operation = host.operation("ends.nu", "def main [] { exit 42 }")
    assert run(host.run(host.spec(operation), nu=nushell())).exit_code == 42
