"""A real orchestrator as a subprocess, which may be killed and started again, and the requests of a client."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[1]
DEADLINE_S = 30.0
ENDED = frozenset({"succeeded", "failed", "cancelled"})
T = TypeVar("T")


def until(condition: Callable[[], T], what: str, deadline_s: float = DEADLINE_S) -> T:
    """The first true value of the condition. Fails, saying what was waited for, once the deadline has passed."""
    give_up = time.monotonic() + deadline_s
    while not (value := condition()):
        assert time.monotonic() < give_up, f"waited {deadline_s} s for {what}; the last answer was {value!r}"
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
    """`provisioning-orchestrator serve` in a directory of its own: one life after the other on the same port.

    options: more arguments of `serve`; without `--library` among them, the shipped Python operations. lives: how often
    it was started.
    """

    directory: Path
    workspace: Path
    options: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    lives: int = 0

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

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> Daemon:
        """Start it and return once it is ready."""
        self.launch()
        assert self.ready(), f"the daemon ended with {self.process and self.process.returncode}:\n{self.log}"
        return self

    def launch(self, crash: str | None = None) -> None:
        """Start it and return at once. crash: where it is to die, as PROVISIONING_CRASH says it."""
        command = [sys.executable, "-m", "provisioning_orchestrator", "serve", "--port", str(self.port)]
        command += ["--data-dir", str(self.data_dir), "--workspace", str(self.workspace), "--python", sys.executable]
        command += ["--library", str(ROOT / "core" / "library")] if "--library" not in self.options else []
        inherited = {name: value for name, value in os.environ.items() if name != "PROVISIONING_CRASH"}
        dying = {"PROVISIONING_CRASH": crash} if crash else {}
        with (self.directory / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *self.options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=inherited | self.environment | dying,
                start_new_session=True,
            )
        self.lives += 1

    def ready(self) -> bool:
        """Wait until it has recovered and answers; False if it ended before."""
        return until(self._answers_or_ended, f"the daemon at {self.url}; its log: {self.directory}/daemon.log") == "ok"

    def _answers_or_ended(self) -> str | None:
        if not self.alive():
            return "ended"
        try:
            status, health = self.request("GET", "/health", authorize=False)
        except OSError:
            return None
        return "ok" if status == 200 and health["status"] in ("ok", "degraded") else None

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def died_by_kill(self) -> bool:
        return self.process is not None and self.process.poll() == -signal.SIGKILL

    def ends_within(self, seconds: float) -> bool:
        assert self.process is not None
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """kill -9: nothing of it gets a chance to tidy up."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        if not self.ends_within(DEADLINE_S):
            self.kill()
            raise AssertionError(f"the daemon did not stop within {DEADLINE_S} s:\n{self.log}")
        return int(self.process.returncode)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        authorize: bool = True,
        headers: dict[str, str] | None = None,
        timeout_s: float = DEADLINE_S,
    ) -> tuple[int, Any]:
        """The status and the decoded JSON (bytes where it is none). Raises OSError where the daemon is away."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        sent = {"Content-Type": "application/json"} if body is not None else {}
        sent |= {"Authorization": f"Bearer {self.token}"} if authorize else {}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), sent | (headers or {}))
            response = connection.getresponse()
            raw = response.read()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()
        return response.status, json.loads(raw) if "json" in (response.getheader("Content-Type") or "") else raw

    def items(self, path: str) -> list[Any]:
        """All items of a list, page by page."""
        found: list[Any] = []
        cursor = ""
        while True:
            status, page = self.request("GET", f"{path}{'&' if '?' in path else '?'}limit=1000{cursor}")
            assert status == 200, page
            found += page["items"]
            if not page["next_cursor"]:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    def ended(self, workflow: str, deadline_s: float = 60.0) -> dict[str, Any]:
        """The workflow once it has ended, whatever happens to the daemon meanwhile."""

        def look() -> dict[str, Any] | None:
            try:
                status, found = self.request("GET", f"/workflows/{workflow}")
            except OSError:
                return None
            return found if status == 200 and found["status"] in ENDED else None

        found = until(look, f"the end of {workflow}", deadline_s)
        assert found is not None
        return found
