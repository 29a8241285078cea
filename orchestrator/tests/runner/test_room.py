"""Without room on the disk, without descriptors; and giving room back."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning_orchestrator.ports import AttemptEnded, NeverStarted
from provisioning_orchestrator.runner.classify import classify
from provisioning_orchestrator.runner.files import AttemptFiles
from provisioning_orchestrator.testing.dispatch_suite import an_id

from .host import Host, run
from .written import HERE

ID = an_id(1)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


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


def test_on_a_full_disk_the_exit_code_is_kept_and_what_is_started_never_starts(small_disk: Path) -> None:
    host = Host(small_disk)
    host.operation("fills", 'cat /dev/zero > "$PROVISIONING_RESULT"; echo lost; exit 4')

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await dispatch.start(host.spec("test/fills", 1))
            verdict = await listener.end_of(an_id(1))
            assert verdict.exit_code == 4
            await dispatch.start(host.spec("test/fills", 2))
            verdict = await listener.end_of(an_id(2))
            assert isinstance(verdict, NeverStarted) and "No space left" in verdict.reason
            host.file(an_id(1), ".result").unlink()
            assert isinstance((await dispatch.reconcile([an_id(2)]))[an_id(2)], NeverStarted)
            await dispatch.start(host.spec("test/fills", 3))
            assert (await listener.end_of(an_id(3))).exit_code == 4

    run(body())


def test_on_a_full_disk_a_recovery_says_never_only_if_no_late_shim_can_come(small_disk: Path) -> None:
    directory = small_disk / "attempts"
    directory.mkdir()
    number = 0
    with pytest.raises(OSError, match="No space left"):  # noqa: PT012 - until nothing at all can be made any more
        while True:
            number += 1
            (small_disk / f"filler-{number}").write_bytes(b"x" * 4096)
            (small_disk / f"empty-{number}").touch()
    files = AttemptFiles(str(directory), ID)
    try:
        never = isinstance(classify(ID, files, HERE).verdict, NeverStarted)
    except OSError:
        never = False
    assert never == Path(files.state).exists(), "a file that is there keeps every shim away; without one, nobody knows"
    if not never:
        assert isinstance(classify(ID, files, HERE, gone=True).verdict, NeverStarted)
    for filler in small_disk.glob("filler-*"):
        filler.unlink()
    assert isinstance(classify(ID, files, HERE).verdict, NeverStarted)
    assert Path(files.state).exists()


def test_without_free_descriptors_attempts_start_and_ends_are_still_told(host: Host) -> None:
    host.operation("waits", f"while ! test -e {host.path}/go; do sleep 0.02; done; exit 3")
    driver = f"""
import asyncio, json, os, resource, sys
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
        await dispatch.start(host.spec("test/waits", 2))
        try:
            large = {{"params": "x" * 100_000}}
            await dispatch.start(host.spec("test/waits", 3, input=json.dumps(large).encode()))
        except StartRefused as refusal:
            print(refusal)
        pid = os.posix_spawn("/bin/touch", ["touch", str(host.path / "go")], dict(os.environ))
        os.waitpid(pid, 0)
        print((await listener.end_of(h.an_id(1))).exit_code)
        for fd in taken:
            os.close(fd)
        print((await listener.end_of(h.an_id(2))).exit_code)
        await dispatch.start(host.spec("test/waits", 3, input=json.dumps(large).encode()))
        print((await listener.end_of(h.an_id(3))).exit_code)
asyncio.run(body())
"""
    ended = subprocess.run([sys.executable, "-c", driver], capture_output=True, text=True, check=False, timeout=60)
    lines = ended.stdout.splitlines()
    assert len(lines) == 4 and "Too many open files" in lines[0], ended.stderr + ended.stdout
    assert lines[1:] == ["3", "3", "3"]


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
