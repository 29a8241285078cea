"""Operations as what they are: processes that read one line of JSON, over a provider that is a ledger of files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from provisioning_core.library import find_operation, library_root, nu_library_root


@dataclass(frozen=True)
class Ended:
    """code: the exit code, negative for a signal. document: the result file, None where there is none."""

    code: int
    document: dict[str, Any] | None
    events: list[dict[str, Any]]
    log: str

    @property
    def result(self) -> Any:
        assert self.document is not None, self.log
        assert (self.code, self.document["status"]) == (0, "success"), self.log
        return self.document.get("result")

    @property
    def error(self) -> dict[str, Any]:
        assert self.document is not None, self.log
        assert (self.code, self.document["status"]) == (1, "error"), self.log
        error: dict[str, Any] = self.document["error"]
        return error


class Attempt:
    def __init__(self, process: subprocess.Popen[bytes], directory: Path) -> None:
        self.process, self.directory = process, directory

    def end(self) -> Ended:
        code = self.process.wait(60)
        document, events = self.directory / "result", self.directory / "events"
        return Ended(
            code,
            json.loads(document.read_text("utf-8")) if document.exists() else None,
            [json.loads(line) for line in events.read_text("utf-8").splitlines()] if events.exists() else [],
            (self.directory / "log").read_text("utf-8"),
        )


class Operations:
    """The operations of one library, run by hand as the contract says."""

    def __init__(self, root: Path, nu: str, workspace: Path, directory: Path) -> None:
        self.root, self.nu = root, nu
        self._workspace, self._directory = workspace, directory
        self._count = 0

    def run(self, operation: str, params: Any, **told: Any) -> Ended:
        return self.start(operation, params, **told).end()

    def start(
        self,
        operation: str,
        params: Any,
        *,
        line: bytes | None = None,
        environment: dict[str, str] | None = None,
        **told: Any,
    ) -> Attempt:
        """line: what it reads, instead of an input made of params and told. environment: on top of the contract's."""
        self._count += 1
        directory = self._directory / str(self._count)
        (directory / "work").mkdir(parents=True)
        given = {"workflow_id": "wf_test", "task_id": "t", "attempt": 1, "key": None, "intent": str(uuid4())}
        given |= {"operation": operation, "params": params, "results": {}} | told
        (directory / "input").write_bytes(line if line is not None else json.dumps(given).encode() + b"\n")
        environment = {**(environment or {}), "PROVISIONING_WORKSPACE": str(self._workspace)}
        environment["HOME"] = str(self._directory)
        environment |= {f"PROVISIONING_{name}": str(directory / name.lower()) for name in ("RESULT", "EVENTS", "LEAVE")}
        environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        command = find_operation([self.root], operation).command(sys.executable, self.nu)
        with (directory / "input").open("rb") as stdin, (directory / "log").open("wb") as log:
            process = subprocess.Popen(
                command,
                stdin=stdin,
                stdout=log,
                stderr=log,
                cwd=directory / "work",
                env=environment,
                start_new_session=True,
            )
        return Attempt(process, directory)


@pytest.fixture(params=["python", pytest.param("nu", marks=pytest.mark.nu)])
def operations(request: pytest.FixtureRequest, workspace: Any, tmp_path: Path) -> Operations:
    """The shipped operations, in Python and in Nushell: what holds for the one holds for the other."""
    in_nu = request.param == "nu"
    nu = request.getfixturevalue("nu") if in_nu else "nu"
    return Operations(nu_library_root() if in_nu else library_root(), nu, workspace.path, tmp_path / "attempts")


@pytest.fixture
def python(workspace: Any, tmp_path: Path) -> Operations:
    """Those in Python alone."""
    return Operations(library_root(), "nu", workspace.path, tmp_path / "attempts")


@pytest.fixture
def own_operations(workspace: Any, tmp_path: Path) -> Callable[..., Operations]:
    """A library of one operation `own`, whose text is given; nu: it is in Nushell, run by this."""

    def make(text: str, *, nu: str | None = None) -> Operations:
        library = tmp_path / "own-library"
        library.mkdir(exist_ok=True)
        (library / ("own.nu" if nu else "own.py")).write_text(text)
        return Operations(library, nu or "nu", workspace.path, tmp_path / "own-attempts")

    return make
