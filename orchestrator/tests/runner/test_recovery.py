"""What outlives what: attempts, shims, the helper, and what is known after a restart of the machine."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from provisioning_orchestrator.ports import Exited, NeverStarted, Vanished
from provisioning_orchestrator.runner.files import AttemptFiles
from provisioning_orchestrator.testing.dispatch_suite import an_id, until

from .host import Host, alive, number_in, run, shim_of, verdicts_of
from .written import HERE, a_claim, an_outcome, write

ID = an_id(1)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


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
