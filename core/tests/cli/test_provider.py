"""`provisioning provider`: what there is, what is missing, what is offered, and a provider of one's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LEDGER = "provisioning_core.testing.ledger_provider:LedgerProvider"
MINIMAL = """\
#!/bin/sh
case $1 in
  list) echo '{"resources": []}' ;;
  capabilities) echo '{"capabilities": {"kinds": ["server"], "check": true}}' ;;
  check) echo '{"checks": [{"name": "rack", "ok": false, "message": "no power", "fix": "plug it in"}]}' ;;
  *) echo '{"error": {"code": "unknown_verb", "message": "no", "retryable": false}}' ;;
esac
"""


def place(workspace: Path, name: str, text: str) -> None:
    file = workspace / "providers" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    file.chmod(0o755)


def test_the_list_says_where_each_comes_from_and_what_it_can(program: Any, workspace: Path) -> None:
    place(workspace, "minimal", MINIMAL)
    place(workspace, "broken", "#!/bin/sh\nexit 3\n")
    items = {item["name"]: item for item in json.loads(program("provider", "list", "--json").stdout)["items"]}
    assert {"local", "minimal", "broken", LEDGER} <= items.keys()
    assert items[LEDGER]["default"] and "power" in items[LEDGER]["flags"]
    assert (items["minimal"]["from"], items["minimal"]["kinds"]) == ("providers/minimal", ["server"])
    assert "ended without an answer" in items["broken"]["error"]
    assert items["local"]["from"].startswith("provisioning-core ")
    assert "minimal" in program("provider", "list").stdout


def test_the_list_needs_no_workspace(program: Any, tmp_path: Path) -> None:
    program.workspace = tmp_path / "elsewhere"
    program.workspace.mkdir()
    done = program("provider", "list", "-o", "name")
    assert (done.returncode, "local" in done.stdout.split()) == (0, True)


def test_check_tells_what_it_finds_and_succeeds_where_all_is_well(program: Any) -> None:
    done = program("provider", "check")
    assert done.returncode == 0, done.stderr
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        ["ok", name] for name in ("provider", "capabilities", "servers", "zones", "plans", "images")
    ]


def test_check_fails_with_the_next_thing_to_do(program: Any, workspace: Path) -> None:
    place(workspace, "minimal", MINIMAL)
    done = program("provider", "check", "minimal")
    assert done.returncode == 1
    assert "no  rack" in done.stdout and "plug it in" in done.stdout
    items = json.loads(program("provider", "check", "minimal", "--json").stdout)["items"]
    assert [item["name"] for item in items if not item["ok"]] == ["rack"]
    done = program("provider", "check", "minimla")
    assert done.returncode == 2 and "Did you mean 'minimal'?" in done.stderr


def test_credentials_that_are_missing_are_said_with_the_command_that_asks_for_them(
    program: Any, workspace: Path, tmp_path: Path
) -> None:
    needed = {
        "code": "credentials_needed",
        "message": "please",
        "fields": [{"name": "token", "variables": ["X_TOKEN"]}],
    }
    place(workspace, "private", MINIMAL.replace('{"resources": []}', json.dumps({"error": needed})))
    done = program("provider", "check", "private", XDG_CONFIG_HOME=str(tmp_path / "nothing"))
    assert done.returncode == 1
    assert "no  credentials" in done.stdout and "X_TOKEN" in done.stdout
    assert "provisioning provider login private" in done.stdout


def test_credentials_that_others_can_read_are_said_once(program: Any, tmp_path: Path) -> None:
    file = tmp_path / "home" / ".config" / "provisioning" / "credentials.toml"
    file.parent.mkdir(parents=True)
    file.write_text('[upcloud]\ntoken = "practice"\n')
    file.chmod(0o644)
    environment = dict.fromkeys(("UPCLOUD_TOKEN", "UPCLOUD_USERNAME", "UPCLOUD_PASSWORD"), "")
    done = program("provider", "check", "upcloud", **environment)
    assert done.returncode == 1
    assert done.stdout.count("can be read by others") == 1
    assert "no  credentials" in done.stdout and f"chmod 600 {file}" in done.stdout


def test_zones_plans_and_images_are_what_the_provider_offers(program: Any) -> None:
    assert program("provider", "zones").stdout.split() == ["ZONE", "ledger", "fi-hel1", "de-fra1", "us-nyc1"]
    plans = json.loads(program("provider", "plans", "--json").stdout)["items"]
    assert plans[0] == {
        "name": "1cpu-1gb",
        "cpus": 1,
        "memory_gb": 1,
        "disk_gb": 10,
        "price_hour": 0.006,
        "currency": "EUR",
    }
    assert "0.0060 EUR" in program("provider", "plans", "--zone", "fi-hel1").stdout
    assert program("provider", "images", "-o", "name").stdout.split()[0] == "debian-13"


def test_a_provider_without_such_a_list_is_told_so(program: Any, workspace: Path) -> None:
    place(workspace, "minimal", MINIMAL)
    done = program("provider", "zones", "minimal")
    assert (done.returncode, done.stdout) == (2, "")
    assert "the provider minimal cannot tell its zones" in done.stderr


def test_generate_refuses_what_is_taken_and_what_is_no_name(program: Any, workspace: Path) -> None:
    assert program("provider", "generate", "mine").returncode == 0
    before = (workspace / "providers" / "mine.py").read_text()
    for name, code in (("mine", 5), ("local", 5), ("a b", 2), ("../x", 2), ("a:b", 2), ("", 2)):
        done = program("provider", "generate", name, "--language", "nu")
        assert done.returncode == code, (name, done.stderr)
    assert (workspace / "providers" / "mine.py").read_text() == before
    assert not list(workspace.parent.rglob("x.nu"))


@pytest.mark.parametrize("language", ["python", pytest.param("nu", marks=pytest.mark.nu), "executable"])
def test_what_is_generated_makes_servers_at_once(program: Any, workspace: Path, language: str) -> None:
    done = program("provider", "generate", "mycloud", "--language", language)
    assert done.returncode == 0, done.stderr
    (workspace / "provisioning.yaml").write_text("name: tests\nprovider: mycloud\n")
    assert program("provider", "check").returncode == 0
    assert program("server", "create", "wuji").returncode == 0
    servers = json.loads(program("server", "list", "--json").stdout)["items"]
    assert [(each["name"], each["state"]) for each in servers] == [("web-1", "started"), ("web-2", "started")]
    assert program("server", "delete", "wuji", "--yes").returncode == 0
    assert program("server", "list", "-o", "name").stdout == ""


@pytest.mark.slow
@pytest.mark.parametrize("language", ["python", pytest.param("nu", marks=pytest.mark.nu), "executable"])
def test_what_is_generated_passes_the_conformance_suite_as_it_is(program: Any, workspace: Path, language: str) -> None:
    program("provider", "generate", "my-cloud", "--language", language)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "providers", "-k", "not hostile"],
        cwd=workspace,
        env=program.environ,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout and "warning" not in done.stdout
