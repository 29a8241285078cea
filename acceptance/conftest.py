"""Both programs together, as a user has them: a real daemon on a free port, the real CLI, a copy of the example."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
DEADLINE_S = 20.0
T = TypeVar("T")


def until(condition: Callable[[], T], what: str, deadline_s: float = DEADLINE_S) -> T:
    """The first true value of the condition. Fails, saying what was waited for, once the deadline has passed."""
    give_up = time.monotonic() + deadline_s
    while not (value := condition()):
        if time.monotonic() > give_up:
            pytest.fail(f"waited {deadline_s} s for {what}; the last answer was {value!r}")
        time.sleep(0.02)
    return value


def free_port() -> int:
    """A port that was free on both loopback addresses a moment ago."""
    while True:
        with socket.socket() as four, socket.socket(socket.AF_INET6) as six:
            four.bind(("127.0.0.1", 0))
            port: int = four.getsockname()[1]
            try:
                six.bind(("::1", port))
            except OSError as error:
                if "in use" in str(error):
                    continue
            return port


@dataclass
class Daemon:
    """One `provisioning-orchestrator serve` in a directory of its own; it may be killed and started again."""

    directory: Path
    workspace: Path
    options: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def data_dir(self) -> Path:
        return self.directory / "data"

    @property
    def token(self) -> str:
        return (self.data_dir / "token").read_text().strip()

    @property
    def log(self) -> str:
        return (self.directory / "daemon.log").read_text(errors="replace")

    def start(self) -> Daemon:
        """Start it and return once it is healthy."""
        command = [str(BIN / "provisioning-orchestrator"), "serve", "--port", str(self.port)]
        command += ["--data-dir", str(self.data_dir), "--workspace", str(self.workspace), "--python", sys.executable]
        command += ["--library", str(ROOT / "core" / "library")] if "--library" not in self.options else []
        with (self.directory / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *self.options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | self.environment,
                start_new_session=True,
            )
        until(self.healthy, f"the daemon at {self.url}; its log: {self.directory}/daemon.log")
        return self

    def healthy(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            pytest.fail(f"the daemon ended with {self.process.returncode}:\n{self.log}")
        try:
            return self.request("GET", "/health", authorize=False)[0] == 200
        except OSError:
            return False

    def kill(self) -> None:
        """kill -9: nothing of it gets a chance to tidy up."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"the daemon did not stop within {DEADLINE_S} s:\n{self.log}")

    def request(self, method: str, path: str, body: Any = None, *, authorize: bool = True) -> tuple[int, Any]:
        """The status and the decoded JSON (bytes where it is none)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        headers |= {"Authorization": f"Bearer {self.token}"} if authorize else {}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            raw = response.read()
        finally:
            connection.close()
        return response.status, json.loads(raw) if "json" in (response.getheader("Content-Type") or "") else raw

    def ended(self, workflow: str, deadline_s: float = 60.0) -> dict[str, Any]:
        """The workflow once it has ended, whatever happens to the daemon meanwhile."""
        over = {"succeeded", "failed", "cancelled"}

        def look() -> dict[str, Any] | None:
            try:
                status, found = self.request("GET", f"/workflows/{workflow}")
            except OSError:
                return None
            return found if status == 200 and found["status"] in over else None

        found = until(look, f"the end of {workflow}", deadline_s)
        assert found is not None
        return found


@dataclass(frozen=True)
class Cli:
    """The real CLI, pointed at one daemon and workspace, off a terminal, with a HOME that has to stay empty."""

    daemon: Daemon
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("PROVISIONING_", "XDG_"))}
        return ours | {
            "HOME": str(self.home),
            "PROVISIONING_URL": self.daemon.url,
            "PROVISIONING_DATA_DIR": str(self.daemon.data_dir),
            "PROVISIONING_TOKEN_FILE": str(self.daemon.data_dir / "token"),
            "PROVISIONING_WORKSPACE": str(self.daemon.workspace),
            "PROVISIONING_LIBRARY": str(ROOT / "core" / "library"),
        }

    def __call__(self, *arguments: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(BIN / "provisioning"), *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A copy of the example's workspace."""
    return Path(shutil.copytree(ROOT / "examples" / "wuji", tmp_path / "workspace"))


@pytest.fixture
def new_daemon(tmp_path: Path, workspace: Path) -> Iterator[Callable[..., Daemon]]:
    """Makes daemons: `new_daemon("--slots", "2", NAME=value).start()`. All are stopped in the end."""
    made: list[Daemon] = []

    def make(*options: str, **environment: str) -> Daemon:
        directory = tmp_path / f"daemon-{len(made)}"
        directory.mkdir()
        made.append(Daemon(directory, workspace, options, environment))
        return made[-1]

    yield make
    for daemon in made:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.stop()


@pytest.fixture
def daemon(new_daemon: Callable[..., Daemon]) -> Daemon:
    """A running one with the Python library and the defaults."""
    return new_daemon().start()


@pytest.fixture
def provisioning(daemon: Daemon, tmp_path: Path) -> Iterator[Cli]:
    """The CLI of that daemon. Machines that a test leaves are deleted, so that no process outlives it."""
    home = tmp_path / "home"
    home.mkdir()
    cli = Cli(daemon, home)
    yield cli
    cli("server", "delete", "wuji", "--yes")
