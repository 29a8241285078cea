"""A shim that begins when somebody has decided already; and one that is shot while it begins."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from provisioning_orchestrator.ports import Exited, NeverStarted, Vanished
from provisioning_orchestrator.runner import held as held_module
from provisioning_orchestrator.runner import statefile
from provisioning_orchestrator.runner.classify import classify
from provisioning_orchestrator.runner.files import AttemptFiles
from provisioning_orchestrator.runner.held import HeldState
from provisioning_orchestrator.runner.request import Request
from provisioning_orchestrator.runner.shim import Shim

from .host import Host
from .written import HERE, ID, header


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture
def files(tmp_path: Path) -> AttemptFiles:
    return AttemptFiles(str(tmp_path), ID)


def late_shim(files: AttemptFiles, tmp_path: Path, go: int, die_at: str = "") -> int:
    """A forked shim, as one that a stopped daemon's helper begins far too late. die_at: is shot when it calls that."""
    request = Request(
        number=1, id=str(ID), state=files.state, head=statefile.head(header()).rstrip(b"\0").decode(), input=b"{}",
        log=files.log, work=str(tmp_path / "work"), keep=files.kept, leave=files.leave, timeout_s=5.0, grace_s=1.0,
        sync=False, arguments=["/bin/sh", "-c", "echo ran"], environment=[],
    )  # fmt: skip
    pid = os.fork()
    if pid:
        return pid
    try:
        shim = Shim(request, None, HERE.id, {}, (b"", b""))
        if die_at:
            where = HeldState if hasattr(HeldState, die_at) else Shim
            setattr(where, die_at, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        os.read(go, 1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM})
        shim.run()
    finally:
        os._exit(0)


@pytest.mark.slow
def test_poison_and_a_late_shim_race_and_exactly_one_wins(tmp_path: Path) -> None:
    won = {"shim": 0, "poison": 0}
    (tmp_path / "work").mkdir()
    for turn in range(300):
        directory = tmp_path / str(turn)
        directory.mkdir()
        files = AttemptFiles(str(directory), ID)
        read, go = os.pipe()
        shim = late_shim(files, tmp_path, read)
        os.write(go, b"x")
        deadline = time.perf_counter() + (turn % 60) * 0.00002
        while time.perf_counter() < deadline:
            pass
        verdict = classify(ID, files, HERE).verdict
        os.waitpid(shim, 0)
        os.close(read)
        os.close(go)
        ran = Path(files.log).exists() and Path(files.log).read_bytes() == b"ran\n"
        if isinstance(verdict, NeverStarted):
            assert not ran, "the attempt was declared never started, and it ran"
            assert isinstance(classify(ID, files, HERE).verdict, NeverStarted)
            won["poison"] += 1
        else:
            assert isinstance(classify(ID, files, HERE).verdict, Exited) and ran
            won["shim"] += 1
    assert won["shim"] and won["poison"], won


def begun(files: AttemptFiles, tmp_path: Path, die_at: str = "") -> int:
    """The status of a late shim that began and ended."""
    (tmp_path / "work").mkdir(exist_ok=True)
    read, go = os.pipe()
    os.write(go, b"x")
    _, status = os.waitpid(late_shim(files, tmp_path, read, die_at), 0)
    return os.waitstatus_to_exitcode(status)


def test_a_poisoned_attempt_does_not_run(tmp_path: Path, files: AttemptFiles) -> None:
    assert isinstance(classify(ID, files, HERE).verdict, NeverStarted)
    before = Path(files.state).read_bytes()
    assert begun(files, tmp_path) == 0
    assert not Path(files.log).exists() and Path(files.state).read_bytes() == before, "it goes without a trace"


def test_an_attempt_that_another_shim_has_is_left_alone(tmp_path: Path, files: AttemptFiles) -> None:
    assert begun(files, tmp_path) == 0
    before = Path(files.state).read_bytes()
    assert begun(files, tmp_path) == 0
    assert Path(files.log).read_bytes() == b"ran\n" and Path(files.state).read_bytes() == before


@pytest.mark.parametrize("point", ["_prepare", "_claim", "claim", "write"])
def test_a_shim_that_is_shot_before_it_claims_never_started(tmp_path: Path, files: AttemptFiles, point: str) -> None:
    assert begun(files, tmp_path, die_at=point) == -signal.SIGKILL
    assert Path(files.state).exists()
    assert isinstance(classify(ID, files, HERE).verdict, NeverStarted)
    assert begun(files, tmp_path) == 0 and isinstance(classify(ID, files, HERE).verdict, NeverStarted)
    log = Path(files.log)
    assert not log.exists() or log.read_bytes() == b"", "nothing ran"


def test_a_shim_that_is_shot_after_it_claimed_is_not_known_to_have_done_nothing(
    tmp_path: Path, files: AttemptFiles
) -> None:
    assert begun(files, tmp_path, die_at="_spawn") == -signal.SIGKILL
    assert isinstance(classify(ID, files, HERE).verdict, Vanished)


@pytest.mark.parametrize("locked", [False, True])
def test_who_is_looked_at_between_making_and_locking_the_state_file_does_not_run(
    tmp_path: Path, files: AttemptFiles, monkeypatch: pytest.MonkeyPatch, locked: bool
) -> None:
    """A recovery finds the empty file: it poisons it, or still holds its lock."""

    def flock(fd: int, how: int) -> None:
        assert isinstance(classify(ID, files, HERE).verdict, NeverStarted)
        if locked:
            fcntl.flock(os.open(files.state, os.O_RDWR), fcntl.LOCK_EX)
        fcntl.flock(fd, how)

    slow = SimpleNamespace(flock=flock, LOCK_EX=fcntl.LOCK_EX, LOCK_NB=fcntl.LOCK_NB)
    monkeypatch.setattr(held_module, "fcntl", slow)
    assert begun(files, tmp_path) == 0
    assert not Path(files.log).exists() and isinstance(classify(ID, files, HERE).verdict, NeverStarted)
