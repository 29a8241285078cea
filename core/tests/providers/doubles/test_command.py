"""`provisioning provider double`: what it says is enough to use it, and Ctrl-C leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from provisioning_core.providers.local import LocalProvider, destroy

from ..machines import eventually

INFRA = "servers:\n  - {name: web-1, plan: 1cpu-1gb}\n"


@contextmanager
def double(tmp_path: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, object]]]:
    """The running command, and what it says as JSON. Killed where a test forgets to end it."""
    argv = [sys.executable, "-m", "provisioning_core", "provider", "double", "upcloud", "-o", "json", *arguments]
    environ = os.environ | {"TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        text = ""
        while not text.endswith("}\n") or text.count("{") != text.count("}"):
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            text += line
        yield process, json.loads(text)
    finally:
        process.kill()
        process.communicate()


def provisioning(workspace: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"UPCLOUD_TOKEN": "for-practice-only", "XDG_CONFIG_HOME": str(workspace / "no-config")}
    argv = [sys.executable, "-m", "provisioning_core", *arguments]
    return subprocess.run(argv, cwd=workspace, env=environ, capture_output=True, text=True, timeout=120, check=False)


def make_workspace(directory: Path, settings: object) -> Path:
    (directory / "infra").mkdir(parents=True)
    (directory / "infra" / "wuji.yaml").write_text(INFRA)
    fields = {"name": "practice", "provider": "upcloud", "providers": {"upcloud": settings}}
    (directory / "provisioning.yaml").write_text(yaml.safe_dump(fields))
    return directory


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_servers_are_made_at_it_and_nothing_is_left_of_it(tmp_path: Path, end: signal.Signals) -> None:
    with double(tmp_path) as (process, said):
        workspace = make_workspace(tmp_path / "workspace", said["settings"])
        done = provisioning(workspace, "server", "create", "wuji")
        assert done.returncode == 0, done.stderr
        with urllib.request.urlopen(f"{said['url']}/_double/ledger?kind=server", timeout=10) as answer:
            assert [each["data"]["hostname"] for each in json.load(answer)["existing"]] == ["web-1"]
        process.send_signal(end)
        _, error = process.communicate(timeout=20)
        assert process.returncode == 0, error
    shutil.rmtree(workspace)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_what_it_prints_for_people_is_a_definition_that_works(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "provisioning_core", "provider", "double", "upcloud"]
    environ = os.environ | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        printed = "".join(process.stdout.readline() for _ in range(3))
        workspace = make_workspace(tmp_path / "workspace", {})
        (workspace / "provisioning.yaml").write_text("name: practice\n" + printed)
        assert provisioning(workspace, "server", "create", "wuji").returncode == 0
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.slow
def test_local_machines_are_removed_at_the_end_or_kept_and_found_again(tmp_path: Path) -> None:
    state = tmp_path / "cloud"
    port = ""
    for keep in (["--keep"], []):
        with double(tmp_path, "--state", str(state), "--backed", "local", *keep, *port.split()) as (process, said):
            workspace = tmp_path / "workspace"
            if not workspace.exists():
                make_workspace(workspace, said["settings"])
                port = f"--port {str(said['url']).rpartition(':')[2]}"
            done = provisioning(workspace, "server", "create", "wuji")
            assert done.returncode == 0, done.stderr
            done = provisioning(workspace, "server", "ssh", "web-1", "--", "hostname")
            assert done.stdout.strip() == "web-1", done.stderr
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)
        left = LocalProvider(state / "machines").list("server") if (state / "machines").exists() else []
        assert len(left) == len(keep)
    lines = [json.loads(line) for line in (state / "ledger.jsonl").read_text().splitlines()]
    assert len([each for each in lines if (each["event"], each["kind"]) == ("created", "server")]) == 1
    destroy(state / "machines")


@pytest.mark.slow
def test_a_killed_double_goes_on_where_it_stood(tmp_path: Path) -> None:
    state = tmp_path / "cloud"
    with double(tmp_path, "--state", str(state)) as (process, said):
        workspace = make_workspace(tmp_path / "workspace", said["settings"])
        assert provisioning(workspace, "server", "create", "wuji").returncode == 0
        process.kill()
        process.wait()
    port = str(said["url"]).rpartition(":")[2]
    with double(tmp_path, "--state", str(state), "--port", port):
        done = provisioning(workspace, "server", "list", "-o", "name")
        assert done.stdout.split() == ["web-1"], done.stderr
        eventually(lambda: provisioning(workspace, "server", "create", "wuji").returncode == 0)
    lines = [json.loads(line) for line in (state / "ledger.jsonl").read_text().splitlines()]
    assert len([each for each in lines if (each["event"], each["kind"]) == ("created", "server")]) == 1


def test_a_double_that_needs_more_than_is_installed_says_what_installs_it(tmp_path: Path) -> None:
    (tmp_path / "blocked").mkdir()
    missing = "raise ModuleNotFoundError(\"No module named 'moto'\", name='moto')\n"
    (tmp_path / "blocked" / "moto.py").write_text(missing)
    argv = [sys.executable, "-m", "provisioning_core", "provider", "double", "aws"]
    environ = os.environ | {"PYTHONPATH": str(tmp_path / "blocked"), "TMPDIR": str(tmp_path)}
    done = subprocess.run(argv, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "moto" in done.stderr) == (2, True), done.stderr
    assert "install 'provisioning-core[doubles]'" in done.stderr
    assert not list(tmp_path.glob("provisioning-double-*"))


@pytest.mark.slow
def test_a_double_with_a_state_of_its_own_removes_what_a_killed_one_without_has_left(tmp_path: Path) -> None:
    with double(tmp_path) as (process, _):
        process.kill()
        process.wait()
    assert list(tmp_path.glob("provisioning-double-*"))
    with double(tmp_path, "--state", str(tmp_path / "cloud")):
        assert not list(tmp_path.glob("provisioning-double-*"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "upcloud"),
        (["upcloud", "--fault", "lots=1"], "lost"),
        (["upcloud", "--fault", "lost=2"], "rate"),
        (["upcloud", "--fault", "lost"], "NAME=VALUE"),
        (["upcloud", "--keep"], "--state"),
        (["aws", "--keep", "--state", "cloud"], "forgets their servers"),
    ],
)
def test_what_it_does_not_understand_it_says(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = provisioning(tmp_path, "provider", "double", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
