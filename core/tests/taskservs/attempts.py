"""Attempts of taskservs/install-one as what they are: processes of their own, that can be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from provisioning_core.library import find_operation, library_root
from provisioning_core.trial import INFRA, SERVER

DEADLINE_S = 120.0


class Attempt:
    def __init__(self, workspace: Path, directory: Path, name: str, params: dict[str, Any]) -> None:
        self.directory = directory
        directory.mkdir(parents=True)
        given = {"infra": INFRA, "name": name, "taskserv": name, "server": SERVER, "params": params}
        told = {"workflow_id": "wf_test", "task_id": "t", "attempt": 1, "intent": str(uuid4()), "params": given}
        environment = dict(os.environ) | {"PROVISIONING_WORKSPACE": str(workspace)}
        environment |= {f"PROVISIONING_{each}": str(directory / each.lower()) for each in ("RESULT", "EVENTS", "LEAVE")}
        operation = find_operation([library_root()], "taskservs/install-one")
        with (directory / "log").open("wb") as log:
            self.process = subprocess.Popen(
                operation.command(sys.executable, "nu"), stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment
            )
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(told).encode() + b"\n")
        self.process.stdin.close()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self) -> dict[str, Any]:
        """The result file."""
        self.process.wait(DEADLINE_S)
        document: dict[str, Any] = json.loads((self.directory / "result").read_text())
        return document

    def result(self) -> dict[str, Any]:
        document = self.end()
        assert document["status"] == "success", (self.directory / "log").read_text()
        result: dict[str, Any] = document["result"]
        return result


def until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < end, f"waited {DEADLINE_S} s for {what}"
        time.sleep(0.02)
