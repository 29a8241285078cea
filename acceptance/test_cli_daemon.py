"""`provisioning orchestrator`: the CLI starts, finds and stops the real daemon."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from acceptance.conftest import BIN
from acceptance.daemon import free_port, until
from provisioning_core.cli.port import alive


@dataclass
class Commands:
    """The CLI with a data directory and a port of its own."""

    directory: Path
    port: int = field(default_factory=free_port)

    @property
    def environment(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("PROVISIONING_", "XDG_"))}
        return ours | {
            "HOME": str(self.directory / "home"),
            "PROVISIONING_URL": f"http://127.0.0.1:{self.port}",
            "PROVISIONING_DATA_DIR": str(self.directory / "data"),
            "PROVISIONING_WORKSPACE": str(self.directory / "workspace"),
            "PATH": os.defpath,
        }

    def __call__(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(BIN / "provisioning"), *arguments],
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def status(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self("orchestrator", "status", "-o", "json").stdout)
        return document


@pytest.fixture
def commands(tmp_path: Path, workspace: Path) -> Iterator[Commands]:
    (tmp_path / "home").mkdir()
    commands = Commands(tmp_path)
    yield commands
    commands("orchestrator", "stop")


def test_start_tells_the_other_commands_all_that_it_was_told(commands: Commands, tmp_path: Path) -> None:
    data = tmp_path / "data of mine"
    started = commands("orchestrator", "start", "--port", str(commands.port), "--data-dir", str(data))
    line = next(line for line in started.stderr.splitlines() if "export" in line)
    told = dict(word.split("=", 1) for word in shlex.split(line.partition("export")[2]))
    assert told["PROVISIONING_DATA_DIR"] == str(data)
    listed = commands("workflow", "list", **told)
    assert listed.returncode == 0, listed.stderr
    assert commands("orchestrator", "stop", **told).returncode == 0


def test_start_status_logs_and_stop_are_one_life(commands: Commands) -> None:
    started = commands("orchestrator", "start")
    assert started.returncode == 0, started.stderr
    assert f"http://127.0.0.1:{commands.port}" in started.stderr
    status = commands.status()
    assert (status["status"], status["data_dir"]) == ("ok", str(commands.directory / "data"))
    assert status["counts"]["running"] == 0
    again = commands("orchestrator", "start")
    assert (again.returncode, "runs already" in again.stderr) == (0, True)
    assert commands.status()["pid"] == status["pid"]
    assert "ready at" in commands("orchestrator", "logs").stdout
    stopped = commands("orchestrator", "stop")
    assert (stopped.returncode, stopped.stderr) == (0, f"orchestrator stopped (pid {status['pid']})\n")
    assert not alive(status["pid"])
    assert commands("orchestrator", "status").returncode == 6
    assert commands("orchestrator", "stop").returncode == 0
    assert list((commands.directory / "home").iterdir()) == []


def test_the_daemon_is_told_the_cores_python_library_and_path(commands: Commands) -> None:
    assert commands("orchestrator", "start", "--slots", "3").returncode == 0
    process = Path(f"/proc/{commands.status()['pid']}")
    words = (process / "cmdline").read_bytes().decode().split("\0")
    told = {words[i]: words[i + 1] for i in range(len(words) - 1) if words[i].startswith("--")}
    assert Path(told["--python"]).parent == BIN
    assert subprocess.run([told["--python"], "-c", "import provisioning_core"]).returncode == 0
    assert (Path(told["--library"]) / "servers" / "create.py").is_file()
    assert told["--workspace"] == str(commands.directory / "workspace")
    assert told["--slots"] == "3"
    variables = dict(part.split("=", 1) for part in (process / "environ").read_bytes().decode().split("\0") if part)
    assert variables["PATH"].split(":")[0] == str(BIN)
    assert os.getsid(int(process.name)) == int(process.name), "a session of its own: no terminal can end it"


def test_the_nushell_library_is_chosen_by_a_flag(commands: Commands) -> None:
    assert commands("orchestrator", "start", "--nu-library").returncode == 0
    words = Path(f"/proc/{commands.status()['pid']}/cmdline").read_bytes().decode().split("\0")
    library = Path(words[words.index("--library") + 1])
    assert (library / "servers" / "create.nu").is_file()


def test_the_nushell_library_without_nushell_is_warned_of(commands: Commands) -> None:
    started = commands("orchestrator", "start", "--nu-library", PATH=str(BIN))
    assert "there is no `nu` on PATH" in started.stderr


def test_a_taken_port_is_named_with_its_owner_and_a_free_one(commands: Commands) -> None:
    listen = f"import socket, time; s = socket.create_server(('127.0.0.1', {commands.port})); time.sleep(60)"
    other = subprocess.Popen([sys.executable, "-c", listen])
    try:
        until(lambda: _listens(commands.port), "the other program")
        done = commands("orchestrator", "start")
        assert done.returncode == 5
        assert f"port {commands.port} is taken by" in done.stderr
        assert f"(pid {other.pid})" in done.stderr
        assert "hint:  provisioning orchestrator start --port " in done.stderr
    finally:
        other.kill()
        other.wait()


def test_another_port_is_started_on_when_asked(commands: Commands) -> None:
    port = free_port()
    started = commands("orchestrator", "start", "--port", str(port))
    assert started.returncode == 0
    assert f"export PROVISIONING_URL=http://127.0.0.1:{port}" in started.stderr
    commands.port = port
    assert commands.status()["status"] == "ok"


def test_a_daemon_that_cannot_start_says_why_in_its_own_words(commands: Commands) -> None:
    done = commands("orchestrator", "start", "--library", str(commands.directory / "nowhere"))
    assert done.returncode == 3
    assert "nowhere" in done.stderr
    (commands.directory / "data").mkdir()
    (commands.directory / "data" / "orchestrator.db").write_text("this is no database, however one looks at it" * 200)
    done = commands("orchestrator", "start")
    assert done.returncode != 0
    assert "orchestrator.db" in done.stderr or "database" in done.stderr


def test_a_missing_program_is_named_with_the_ways_to_get_it(commands: Commands) -> None:
    done = commands("orchestrator", "start", PROVISIONING_ORCHESTRATOR="/nowhere/orchestrator")
    assert done.returncode == 3
    assert "PROVISIONING_ORCHESTRATOR" in done.stderr


def test_without_a_token_every_call_is_exit_4_and_without_auth_none_is_needed(commands: Commands) -> None:
    assert commands("orchestrator", "start").returncode == 0
    done = commands("workflow", "list", PROVISIONING_TOKEN_FILE=str(commands.directory / "none"))
    assert done.returncode == 4
    assert str(commands.directory / "none") in done.stderr
    commands("orchestrator", "stop")
    started = commands("orchestrator", "start", "--no-auth")
    assert (started.returncode, "every user and program of this machine" in started.stderr) == (0, True)
    assert commands("workflow", "list", PROVISIONING_TOKEN_FILE=str(commands.directory / "none")).returncode == 0


def test_somebody_elses_orchestrator_is_neither_taken_for_ours_nor_stopped(commands: Commands) -> None:
    assert commands("orchestrator", "start").returncode == 0
    pid = commands.status()["pid"]
    mine = {"PROVISIONING_DATA_DIR": str(commands.directory / "mine")}
    started = commands("orchestrator", "start", **mine)
    assert started.returncode == 5
    assert f"another orchestrator (pid {pid}, data {commands.directory / 'data'})" in started.stderr
    assert "hint:  provisioning orchestrator start --port " in started.stderr
    stopped = commands("orchestrator", "stop", **mine)
    assert (stopped.returncode, "nothing was stopped" in stopped.stderr) == (4, True)
    assert alive(pid)
    assert commands("orchestrator", "status").returncode == 0


def test_a_killed_daemon_is_started_again_by_the_same_command(commands: Commands) -> None:
    assert commands("orchestrator", "start").returncode == 0
    first = commands.status()["pid"]
    os.kill(first, signal.SIGKILL)
    until(lambda: not _listens(commands.port), "the end of the daemon")
    assert commands("orchestrator", "start").returncode == 0
    assert commands.status()["pid"] != first


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
