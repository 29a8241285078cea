"""Operations that cannot be run: a permanent end, in words that say what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioning_orchestrator.ports import Exited
from provisioning_orchestrator.testing.dispatch_suite import an_id

from .host import Host, run


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def refused(host: Host, operation: str, **settings: object) -> str:
    """The reason; the next daemon must be told the same."""

    async def body() -> str:
        async with host.opened(**settings) as (dispatch, listener):
            await dispatch.start(host.spec(operation))
            verdict = await listener.end_of(an_id(1))
        async with host.opened(**settings) as (dispatch, _):
            again = (await dispatch.reconcile([an_id(1)]))[an_id(1)]
        assert isinstance(verdict, Exited) and verdict.exit_code is not None and verdict.signal is None
        assert again == verdict
        assert verdict.refused is not None
        return verdict.refused

    reason: str = run(body())
    return reason


def test_a_file_that_is_not_executable(host: Host) -> None:
    reason = refused(host, host.operation("plain", "exit 0", mode=0o644))
    assert "test/plain" in reason and "chmod +x" in reason


def test_a_missing_interpreter_in_the_first_line(host: Host) -> None:
    reason = refused(host, host.operation("odd", "#!/no/such/interpreter -x\n"))
    assert "/no/such/interpreter" in reason and "test/odd" in reason


def test_no_first_line_at_all(host: Host) -> None:
    file = host.library / "test" / "raw"
    file.write_text("echo hello\n")
    file.chmod(0o755)
    reason = refused(host, "test/raw")
    assert "#!/bin/sh" in reason and "test/raw" in reason


def test_a_missing_python(host: Host) -> None:
    reason = refused(host, host.operation("good.py", "print(1)"), python=Path("/no/python"))
    assert "/no/python" in reason and "--python" in reason and "good.py" in reason


def test_a_missing_nushell(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    operation = host.operation("good.nu", "def main [] {}")
    assert "--nu" in refused(host, operation)


def test_a_nushell_that_is_not_there(host: Host) -> None:
    operation = host.operation("good.nu", "def main [] {}")
    assert "/no/nu" in refused(host, operation, nu=Path("/no/nu"))


def test_an_operation_that_is_gone_since_it_was_submitted(host: Host) -> None:
    host.operation("create", "exit 0")
    assert "did you mean 'test/create'" in refused(host, "test/creat")


def test_an_operation_that_is_there_twice(host: Host) -> None:
    host.operation("twice.py", "")
    host.operation("twice", "exit 0")
    reason = refused(host, "test/twice")
    assert "twice.py" in reason and reason.count("twice") >= 3


def test_nothing_is_left_behind_in_working_directories(host: Host) -> None:
    refused(host, host.operation("odd", "#!/no/such/interpreter\n"))
    assert len(list((host.data / "work").iterdir())) == 1
