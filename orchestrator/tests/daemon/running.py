"""A real daemon as a process of its own, on a free port, with operations as files."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

PATIENCE_S = 20.0
T = TypeVar("T")


def until(condition: Callable[[], T]) -> T:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {PATIENCE_S} s in vain"
        time.sleep(0.01)
    return found


@dataclass
class Running:
    directory: Path
    options: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    port: int = 0
    process: subprocess.Popen[str] | None = None

    @property
    def data_dir(self) -> Path:
        return self.directory / "data"

    @property
    def library(self) -> Path:
        return self.directory / "library"

    @property
    def errors(self) -> str:
        return (self.directory / "errors").read_text()

    def operation(self, name: str, script: str) -> None:
        path = self.library / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def spawn(self, *options: str) -> subprocess.Popen[str]:
        self.library.mkdir(exist_ok=True)
        command = [*self.prefix, sys.executable, "-m", "provisioning_orchestrator", "serve", "--port", str(self.port)]
        command += ["--data-dir", str(self.data_dir), "--library", str(self.library), *self.options, *options]
        with (self.directory / "errors").open("a") as errors:
            return subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=errors,
                stdin=subprocess.DEVNULL,
                text=True,
                env=os.environ | self.environment,
            )

    def start(self, *options: str) -> Running:
        """Returns when it says that it is ready."""
        self.process = self.spawn(*options)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"at http://127\.0\.0\.1:(\d+) \(pid (\d+), data (.+)\)", line)
        assert found, (line, self.errors)
        assert (int(found[2]), found[3]) == (self.process.pid, str(self.data_dir))
        self.port = int(found[1])
        return self

    def stop(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Its exit code, and how long it took."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(how)
        code = self.process.wait(PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code, time.monotonic() - began

    def open(self, path: str, accept: str = "*/*") -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        connection.request("GET", path, headers={**self._token(), "Accept": accept})
        return connection.getresponse()

    def ask(self, method: str, path: str, body: Any = None, host: str = "127.0.0.1", **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(host, self.port, timeout=PATIENCE_S)
        sent = {**self._token(), "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def run(self, operation: str, **headers: str) -> str:
        status, answer = self.ask("POST", f"/workflows/{operation}", {"infra": "wuji"}, **headers)
        assert status == 202, answer
        return str(answer["workflow_id"])

    def ended(self, workflow: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self.ask("GET", f"/workflows/{workflow}")[1]
            return found if found["ended_at"] else None

        found = until(look)
        assert found is not None
        return found

    def _token(self) -> dict[str, str]:
        path = self.data_dir / "token"
        return {"Authorization": f"Bearer {path.read_text().strip()}"} if path.exists() else {}
