"""What is said of an attempt from its state file alone, and who may not be taken for its shim."""

from __future__ import annotations

import fcntl
import os
import subprocess
from pathlib import Path

import pytest

from provisioning_orchestrator.ports import Alive, Exited, NeverStarted, Vanished
from provisioning_orchestrator.runner import processes
from provisioning_orchestrator.runner.boot import Boot
from provisioning_orchestrator.runner.classify import classify
from provisioning_orchestrator.runner.files import AttemptFiles

from .host import Host, alive, run
from .written import ELSEWHERE, HERE, ID, a_claim, an_outcome, write


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture
def files(tmp_path: Path) -> AttemptFiles:
    return AttemptFiles(str(tmp_path), ID)


def test_a_whole_outcome_is_the_truth(files: AttemptFiles) -> None:
    write(files, a_claim(), an_outcome())
    for boot in (HERE, ELSEWHERE):
        verdict = classify(ID, files, boot).verdict
        assert verdict == Exited(exit_code=4, started_at=5, ended_at=6, log_truncated=7)


def test_a_held_lock_means_alive_and_a_bare_pid_means_nothing(files: AttemptFiles) -> None:
    write(files, a_claim(pid=os.getpid()))
    with Path(files.state).open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert classify(ID, files, HERE).verdict == Alive()
    assert isinstance(classify(ID, files, HERE).verdict, Vanished)


@pytest.mark.parametrize("length", [1, 100, 200, 511])
def test_a_torn_outcome_is_none(files: AttemptFiles, length: int) -> None:
    torn = an_outcome().rstrip(b"\0")[:length]
    if length < len(an_outcome().rstrip(b"\0")):
        write(files, a_claim(), torn)
        assert isinstance(classify(ID, files, HERE).verdict, Vanished)


def test_no_claim_is_poisoned_and_stays_never_started(files: AttemptFiles) -> None:
    write(files)
    assert isinstance(classify(ID, files, HERE).verdict, NeverStarted)
    assert b"poisoned=1" in Path(files.state).read_bytes()
    assert isinstance(classify(ID, files, HERE).verdict, NeverStarted)
    assert isinstance(classify(ID, files, ELSEWHERE).verdict, NeverStarted)


def test_no_file_is_poisoned_and_stays_never_started(files: AttemptFiles) -> None:
    for _ in range(2):
        assert isinstance(classify(ID, files, HERE).verdict, NeverStarted)
    assert b"poisoned=1" in Path(files.state).read_bytes()


@pytest.mark.parametrize("size", [0, 10, 800, 2047])
def test_a_half_made_file_never_started(files: AttemptFiles, size: int) -> None:
    write(files)
    os.truncate(files.state, size)
    for _ in range(2):
        assert isinstance(classify(ID, files, HERE).verdict, NeverStarted)


def test_a_torn_claim_never_started_in_the_same_boot_only(files: AttemptFiles) -> None:
    write(files, a_claim()[:40])
    assert isinstance(classify(ID, files, ELSEWHERE).verdict, Vanished)
    assert isinstance(classify(ID, files, HERE).verdict, NeverStarted)


@pytest.mark.parametrize("claim", [b"", a_claim()])
def test_after_a_restart_of_the_machine_missing_evidence_proves_nothing(files: AttemptFiles, claim: bytes) -> None:
    write(files, claim)
    for _ in range(2):
        assert isinstance(classify(ID, files, ELSEWHERE).verdict, Vanished)


def test_after_a_restart_of_the_machine_a_synced_attempt_without_a_claim_never_started(files: AttemptFiles) -> None:
    write(files, sync=1)
    assert isinstance(classify(ID, files, ELSEWHERE).verdict, NeverStarted)


def test_after_a_restart_of_the_machine_a_missing_file_stays_in_doubt_whoever_looks(files: AttemptFiles) -> None:
    assert isinstance(classify(ID, files, ELSEWHERE).verdict, Vanished)
    # That recovery crashed after it had poisoned the file: the next must not read "never" out of it.
    sure = Boot(ELSEWHERE.id, doubtful=False, sync=False)
    assert isinstance(classify(ID, files, sure).verdict, Vanished)


def test_another_layout_is_never_guessed(files: AttemptFiles) -> None:
    write(files, a_claim(), an_outcome())
    content = Path(files.state).read_bytes().replace(b"layout=1 ", b"layout=7 ")
    Path(files.state).write_bytes(content)
    verdict = classify(ID, files, HERE).verdict
    assert isinstance(verdict, Vanished) and "layout 7" in verdict.reason
    with Path(files.state).open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert classify(ID, files, HERE).verdict == Alive()


def test_two_attempts_of_one_pid_in_one_tick_are_told_apart() -> None:
    """Pid and start time can be the same (both had 10 ms); the inode of the pidfd cannot."""
    pidfd = os.pidfd_open(os.getpid())
    inode = processes.pidfd_inode(pidfd)
    os.close(pidfd)
    me = processes.process(os.getpid())
    assert me is not None
    if not inode:
        pytest.skip("this kernel gives pidfds no inode of their own (before 6.9)")
    right = processes.open_exactly(os.getpid(), me.start, inode)
    assert right is not None
    os.close(right)
    assert processes.open_exactly(os.getpid(), me.start, inode + 1) is None
    assert processes.open_exactly(os.getpid(), me.start + 1, inode) is None


def test_a_stranger_with_the_pid_of_a_dead_shim_is_neither_watched_nor_hurt(host: Host) -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    files = AttemptFiles(str(host.data / "attempts" / ID.workflow), ID)
    Path(files.directory).mkdir(parents=True)
    Path(host.data / "boot").write_text(HERE.id)
    write(files, a_claim(pid=stranger.pid, start=1))

    async def body() -> None:
        async with host.opened() as (dispatch, _):
            assert isinstance((await dispatch.reconcile([ID]))[ID], Vanished)

    try:
        run(body())
        assert alive(stranger.pid)
    finally:
        stranger.kill()
        stranger.wait()
