"""What the next daemon finds: every attempt is classified, none starts twice, whatever was killed when."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioning_orchestrator.ports import Alive, AttemptEnded, AttemptId, Exited, NeverStarted, Vanished
from provisioning_orchestrator.runner import processes, statefile
from provisioning_orchestrator.runner.boot import Boot
from provisioning_orchestrator.runner.classify import classify
from provisioning_orchestrator.runner.files import AttemptFiles
from provisioning_orchestrator.runner.request import Request
from provisioning_orchestrator.runner.shim import Shim
from provisioning_orchestrator.testing.dispatch_suite import an_id, until

from .host import Host, alive, number_in, run, shim_of

HERE = Boot(processes.boot_id(), doubtful=False, sync=False)
ELSEWHERE = Boot("another-boot", doubtful=True, sync=False)
ID = an_id(1)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture
def files(tmp_path: Path) -> AttemptFiles:
    return AttemptFiles(str(tmp_path), ID)


def header(**changes: object) -> dict[str, object]:
    return {"id": ID, "mark": "m", "boot": HERE.id, "sync": 0, "work": "1", **changes}


def write(files: AttemptFiles, claim: bytes = b"", outcome: bytes = b"", **changes: object) -> None:
    Path(files.state).write_bytes(statefile.new_content(header(**changes), b"{}", claim, outcome))


def a_claim(**changes: object) -> bytes:
    return statefile.record(statefile.CLAIM, {"pid": 1, "start": 1, "boot": HERE.id, "inode": 0, **changes})


def an_outcome(code: int = 4) -> bytes:
    fields: dict[str, object] = {"kind": "exited", "code": code, "started": 5, "ended": 6, "cut": 7}
    return statefile.record(statefile.OUTCOME, fields)


# --- the order of classification -------------------------------------------------------------------------------------


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


# --- the late shim ---------------------------------------------------------------------------------------------------


def late_shim(files: AttemptFiles, tmp_path: Path, go: int) -> int:
    """A forked shim that opens the state file by itself, as one would that a stopped daemon starts far too late."""
    request = Request(
        number=1, id=str(ID), input=2, log=files.log, work=str(tmp_path / "work"), keep=files.kept, leave=files.leave,
        timeout_s=5.0, grace_s=1.0, sync=False, arguments=["/bin/sh", "-c", "echo ran"], environment=[],
    )  # fmt: skip
    pid = os.fork()
    if pid:
        return pid
    try:
        state = os.open(files.state, os.O_RDWR | os.O_CLOEXEC)
        os.read(go, 1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM})
        Shim(state, request, HERE.id, {}, (b"", b"")).run()
    finally:
        os._exit(0)


@pytest.mark.slow
def test_poison_and_a_late_shim_race_and_exactly_one_wins(tmp_path: Path) -> None:
    won = {"shim": 0, "poison": 0}
    (tmp_path / "work").mkdir()
    for turn in range(200):
        directory = tmp_path / str(turn)
        directory.mkdir()
        files = AttemptFiles(str(directory), ID)
        write(files)
        read, go = os.pipe()
        shim = late_shim(files, tmp_path, read)
        os.write(go, b"x")
        deadline = time.perf_counter() + (turn % 40) * 0.00002
        while time.perf_counter() < deadline:
            pass
        verdict = classify(ID, files, HERE).verdict
        os.waitpid(shim, 0)
        os.close(read)
        os.close(go)
        ran = Path(files.log).exists() and Path(files.log).read_bytes() == b"ran\n"
        if isinstance(verdict, NeverStarted):
            assert not ran, "the attempt was declared never started, and it ran"
            won["poison"] += 1
        else:
            assert isinstance(classify(ID, files, HERE).verdict, Exited) and ran
            won["shim"] += 1
    assert won["shim"] and won["poison"], won


def test_a_poisoned_attempt_does_not_run(tmp_path: Path, files: AttemptFiles) -> None:
    (tmp_path / "work").mkdir()
    assert isinstance(classify(ID, files, HERE).verdict, NeverStarted)
    read, go = os.pipe()
    os.write(go, b"x")
    _, status = os.waitpid(late_shim(files, tmp_path, read), 0)
    assert os.waitstatus_to_exitcode(status) != 0 and not Path(files.log).exists()


# --- daemons killed at every point -----------------------------------------------------------------------------------

DRIVER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import host as h
from provisioning_orchestrator.ports import AttemptEnded, AttemptId, AttemptSpec
host = h.Host(Path({path!r}))
async def body():
    async with host.opened() as (dispatch, listener):
        if {reconcile}:
            await dispatch.reconcile([AttemptId("wf_suite", n, 1) for n in range(1, {count} + 1)])
        async def one(n):
            await dispatch.start(host.spec("test/counts", n))
            await listener.end_of(AttemptId("wf_suite", n, 1))
        if not {reconcile}:
            await asyncio.gather(*(one(n) for n in range(1, {count} + 1)))
asyncio.run(body())
"""


def daemon(host: Host, count: int, crash: str, reconcile: bool = False) -> int:
    """Run a daemon of its own process until it ends or dies; its exit code."""
    code = DRIVER.format(tests=str(Path(__file__).parent), path=str(host.path), count=count, reconcile=reconcile)
    environment = {**os.environ, "PROVISIONING_CRASH": crash}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    return ended.returncode


def verdicts_of(host: Host, count: int) -> dict[AttemptId, Any]:
    """What the next daemon says in the end."""
    ids = [an_id(number) for number in range(1, count + 1)]

    async def body() -> dict[AttemptId, Any]:
        async with host.opened() as (dispatch, listener):
            verdicts = dict(await dispatch.reconcile(ids))
            for id, verdict in verdicts.items():
                if verdict == Alive():
                    verdicts[id] = await listener.end_of(id)
            return verdicts

    found: dict[AttemptId, Any] = run(body())
    return found


def starts(host: Host, number: int) -> int:
    file = host.path / f"ran.{number}"
    return file.read_text().count("\n") if file.exists() else 0


def check(host: Host, count: int) -> list[type]:
    """The truth of every verdict against what really ran; the kinds of verdicts."""
    verdicts = verdicts_of(host, count)
    for number in range(1, count + 1):
        verdict = verdicts[an_id(number)]
        if isinstance(verdict, NeverStarted):
            assert starts(host, number) == 0, f"attempt {number} ran and was declared never started"
        else:
            assert isinstance(verdict, Exited), f"attempt {number}: {verdict}"
            assert verdict.exit_code == number % 200 and starts(host, number) == 1
            assert host.log(an_id(number)) == b"".join(b"%d\n" % line for line in range(1, 51))
    return [type(verdict) for verdict in verdicts.values()]


def counting(host: Host) -> None:
    host.operation(
        "counts",
        f"""n=$(basename "$PROVISIONING_RESULT" .1.result); echo x >> "{host.path}/ran.$n"
seq 1 25; sleep 0.1; seq 26 50; exit $((n % 200))""",
    )


POINTS = ["before-state-file", "after-state-file", "before-spawn", "after-spawn", "before-outcome-read"]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("nth", [1, 3])
def test_a_daemon_killed_at_any_point_leaves_attempts_that_are_told_truly(host: Host, point: str, nth: int) -> None:
    counting(host)
    assert daemon(host, 5, f"{point}:{nth}") == -signal.SIGKILL
    check(host, 5)


@pytest.mark.parametrize("point", ["mid-recovery:2", "after-poison:1"])
def test_a_recovery_that_is_killed_can_be_done_again(host: Host, point: str) -> None:
    counting(host)
    assert daemon(host, 5, "before-spawn:2") == -signal.SIGKILL
    assert daemon(host, 5, point, reconcile=True) == -signal.SIGKILL
    assert daemon(host, 5, point, reconcile=True) in (0, -signal.SIGKILL)
    assert NeverStarted in check(host, 5)


@pytest.mark.slow
def test_daemons_killed_at_random_lose_nothing_and_start_nothing_twice(host: Host) -> None:
    counting(host)
    killed = 0
    for turn in range(20):
        chance = [0.02, 0.05, 0.1][turn % 3]
        killed += daemon(host, 60, f"*:{chance}", reconcile=turn % 4 == 3) != 0
        # The next one starts the same ids again: what is there is not started a second time.
    assert killed >= 5
    check(host, 60)


# --- attaching, the helper, the boot ---------------------------------------------------------------------------------


def test_many_attempts_are_classified_quickly_and_the_loop_is_not_held_up(host: Host) -> None:
    directory = host.data / "attempts" / ID.workflow
    directory.mkdir(parents=True)
    (host.data / "boot").write_text(HERE.id)
    ids = [an_id(number) for number in range(1, 3001)]
    for id in ids[:2000]:
        write(AttemptFiles(str(directory), id), a_claim(), an_outcome(), id=id)

    async def body() -> None:
        async with host.opened() as (dispatch, _):
            slowest = 0.0
            done = False

            async def beat() -> None:
                nonlocal slowest
                while not done:
                    began = time.perf_counter()
                    await asyncio.sleep(0)
                    slowest = max(slowest, time.perf_counter() - began)

            heart = asyncio.create_task(beat())
            began = time.perf_counter()
            verdicts = await dispatch.reconcile(ids)
            took = time.perf_counter() - began
            done = True
            await heart
            assert sum(isinstance(verdict, Exited) for verdict in verdicts.values()) == 2000
            assert sum(isinstance(verdict, NeverStarted) for verdict in verdicts.values()) == 1000
            assert took < 10 and slowest < 0.5

    run(body())


def test_a_killed_helper_takes_nothing_with_it_and_the_next_start_works(host: Host) -> None:
    host.operation("waits", f"echo $$ > {host.path}/up; while ! test -e {host.path}/go; do sleep 0.02; done; exit 6")
    host.operation("quick", "exit 2")

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await dispatch.start(host.spec("test/waits", 1))
            await until(number_in(host.path / "up"))
            helper = dispatch.helper_pid()
            assert helper is not None
            os.kill(helper, signal.SIGKILL)
            await dispatch.start(host.spec("test/quick", 2))
            verdict = await listener.end_of(an_id(2))
            if isinstance(
                verdict, NeverStarted
            ):  # The helper died with this request in its hands: said so, and once more.
                await dispatch.start(host.spec("test/quick", 3))
                verdict = await listener.end_of(an_id(3))
            assert verdict.exit_code == 2
            (host.path / "go").touch()
            assert (await listener.end_of(an_id(1))).exit_code == 6

    run(body())


def test_a_stopped_helper_is_replaced_and_its_request_is_told(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provisioning_orchestrator.runner.spawner.ANSWER_TIMEOUT_S", 0.3)
    host.operation("quick", "exit 2")

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await dispatch.start(host.spec("test/quick", 1))
            await listener.end_of(an_id(1))
            helper = dispatch.helper_pid()
            assert helper is not None
            os.kill(helper, signal.SIGSTOP)
            await dispatch.start(host.spec("test/quick", 2))
            assert isinstance(await listener.end_of(an_id(2)), NeverStarted)
            await dispatch.start(host.spec("test/quick", 3))
            assert (await listener.end_of(an_id(3))).exit_code == 2

    run(body())


def test_the_helper_goes_with_its_daemon_and_shims_stay(host: Host) -> None:
    host.operation("waits", f"echo $$ > {host.path}/up; while ! test -e {host.path}/go; do sleep 0.02; done")
    driver = f"""
import asyncio, os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
import host as h
host = h.Host(Path({str(host.path)!r}))
async def body():
    async with host.opened() as (dispatch, _):
        await dispatch.start(host.spec("test/waits"))
        await h.until(h.number_in(host.path / "up"))
        print(dispatch.helper_pid(), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(body())
"""
    # All output is read to its end: nothing that outlives the daemon may hold its pipes.
    ended = subprocess.run([sys.executable, "-c", driver], capture_output=True, text=True, check=False, timeout=20)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    helper = int(ended.stdout)
    run(until(lambda: not alive(helper)))
    assert alive(shim_of(host, ID))
    (host.path / "go").touch()
    assert verdicts_of(host, 1)[ID].exit_code == 0


def test_a_restart_of_the_machine_is_remembered_until_recovery_is_over(host: Host) -> None:
    host.operation("quick", "exit 2")

    async def verdict(boot: str, number: int, recovered: bool = False) -> Any:
        async with host.opened(boot_id=boot) as (dispatch, _):
            if recovered:
                dispatch.recovered()
            return (await dispatch.reconcile([an_id(number)]))[an_id(number)]

    run(host.run(host.spec("test/quick", 1), boot_id="first"))
    assert isinstance(run(verdict("first", 2)), NeverStarted)
    assert isinstance(run(verdict("second", 3)), Vanished)
    assert isinstance(run(verdict("second", 4)), Vanished), "a crash in recovery must not make it sure of itself"
    assert isinstance(run(verdict("second", 5, recovered=True)), NeverStarted)
    assert isinstance(run(verdict("second", 6)), NeverStarted)
    assert run(verdict("third", 1)).exit_code == 2


def test_closing_is_quick_and_leaves_attempts_alive(host: Host) -> None:
    host.operation("waits", f"echo $$ > {host.path}/up; while ! test -e {host.path}/go; do sleep 0.02; done; exit 3")

    async def body() -> float:
        async with host.opened() as (dispatch, _):
            await dispatch.start(host.spec("test/waits"))
            await until(number_in(host.path / "up"))
            began = time.perf_counter()
        return time.perf_counter() - began

    assert run(body()) < 2
    (host.path / "go").touch()
    assert verdicts_of(host, 1)[ID].exit_code == 3


# --- no room ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.getuid() != 0:
        pytest.skip("mounting a small file system needs root")
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("no file system may be mounted here")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def test_on_a_full_disk_the_exit_code_is_kept_and_a_start_is_refused(small_disk: Path) -> None:
    from provisioning_orchestrator.ports import StartRefused

    host = Host(small_disk)
    host.operation("fills", 'cat /dev/zero > "$PROVISIONING_RESULT"; echo lost; exit 4')

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await dispatch.start(host.spec("test/fills", 1))
            verdict = await listener.end_of(an_id(1))
            assert verdict.exit_code == 4
            with pytest.raises(StartRefused, match="No space left"):
                await dispatch.start(host.spec("test/fills", 2))
            assert not host.file(an_id(2)).exists(), "a refused start leaves nothing half done"
            assert isinstance((await dispatch.reconcile([an_id(2)]))[an_id(2)], NeverStarted)
            host.file(an_id(1), ".result").unlink()
            await dispatch.start(host.spec("test/fills", 3))
            assert (await listener.end_of(an_id(3))).exit_code == 4

    run(body())


def test_without_free_descriptors_a_start_is_refused_and_ends_are_still_told(host: Host) -> None:
    host.operation("waits", f"while ! test -e {host.path}/go; do sleep 0.02; done; exit 3")
    driver = f"""
import asyncio, os, resource, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
import host as h
from provisioning_orchestrator.ports import StartRefused
host = h.Host(Path({str(host.path)!r}))
async def body():
    async with host.opened() as (dispatch, listener):
        await dispatch.start(host.spec("test/waits", 1))
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        taken = []
        try:
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        try:
            await dispatch.start(host.spec("test/waits", 2))
        except StartRefused as refusal:
            print(refusal)
        pid = os.posix_spawn("/bin/touch", ["touch", str(host.path / "go")], dict(os.environ))
        os.waitpid(pid, 0)
        print((await listener.end_of(h.an_id(1))).exit_code)
        for fd in taken:
            os.close(fd)
        await dispatch.start(host.spec("test/waits", 2))
        print((await listener.end_of(h.an_id(2))).exit_code)
asyncio.run(body())
"""
    ended = subprocess.run([sys.executable, "-c", driver], capture_output=True, text=True, check=False, timeout=60)
    lines = ended.stdout.splitlines()
    assert len(lines) == 3 and "Too many open files" in lines[0], ended.stderr + ended.stdout
    assert lines[1:] == ["3", "3"]


def test_workflows_can_be_forgotten_but_not_while_they_run(host: Host) -> None:
    from provisioning_orchestrator.ports import NotPossibleNow

    host.operation("waits", f"while ! test -e {host.path}/go; do sleep 0.02; done")

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await dispatch.start(host.spec("test/waits"))
            with pytest.raises(NotPossibleNow, match="wf_suite"):
                await dispatch.forget_workflow("wf_suite")
            (host.path / "go").touch()
            await listener.end_of(ID)
            await dispatch.forget_workflow("wf_suite")
            assert not host.file(ID).parent.exists()
            with pytest.raises(ValueError, match="cannot be the id"):
                await dispatch.forget_workflow("../data")
            assert [fact for fact in listener.facts if isinstance(fact, AttemptEnded)]

    run(body())
