"""A real orchestrator as a subprocess, and a client that survives its deaths."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

READY_S = 30.0


class Daemon:
    """One data directory, one port, and one life of the daemon after the other."""

    def __init__(self, root: Path, library: Path, *, slots: int = 10) -> None:
        self.root = root
        self.data_dir = root / "data"
        self.workspace = root / "workspace"
        self.workspace.mkdir(parents=True, exist_ok=True)
        self._library = library
        self._slots = slots
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.lives = 0

    def start(self, crash: str | None = None) -> None:
        """Start a life; `crash` is its PROVISIONING_CRASH. Does not wait."""
        environment = {name: value for name, value in os.environ.items() if name != "PROVISIONING_CRASH"}
        if crash:
            environment["PROVISIONING_CRASH"] = crash
        command = [sys.executable, "-m", "provisioning_orchestrator", "serve", "--port", str(self.port)]
        command += ["--data-dir", str(self.data_dir), "--library", str(self._library), "--slots", str(self._slots)]
        command += ["--workspace", str(self.workspace), "--python", sys.executable]
        with (self.root / "daemon.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        self.lives += 1

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def died_by_kill(self) -> bool:
        return self._process is not None and self._process.poll() == -signal.SIGKILL

    def kill(self) -> None:
        if self.alive():
            os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def stop(self) -> int:
        """Stop cleanly; the exit code."""
        assert self._process is not None
        if self.alive():
            self._process.terminate()
        return self._process.wait(timeout=20)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Whether it ended within the time."""
        assert self._process is not None
        try:
            self._process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def ready(self) -> bool:
        """Wait until it has recovered; False if it died before."""
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if not self.alive():
                return False
            try:
                status, body = self.request("GET", "/health", token=False)
            except OSError:
                status, body = 0, {}
            if status == 200 and body.get("status") == "ok":
                return True
            self.wait(0.02)
        raise AssertionError(f"the daemon was not ready within {READY_S} s; see {self.root / 'daemon.log'}")

    def request(
        self, method: str, path: str, body: Any = None, *, token: bool = True, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and JSON. Raises OSError where the daemon is away."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        sent = {"Content-Type": "application/json", **(headers or {})}
        if token:
            sent["Authorization"] = f"Bearer {(self.data_dir / 'token').read_text().strip()}"
        try:
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            content = answer.read()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()
        kind = answer.getheader("Content-Type", "")
        return answer.status, json.loads(content) if "json" in kind and content else content

    def items(self, path: str) -> list[Any]:
        """All items of a list, page by page."""
        found: list[Any] = []
        cursor = ""
        while True:
            joint = "&" if "?" in path else "?"
            status, page = self.request("GET", f"{path}{joint}limit=1000{cursor}")
            assert status == 200, page
            found += page["items"]
            if not page["next_cursor"]:
                return found
            cursor = f"&cursor={page['next_cursor']}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
