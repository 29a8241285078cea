"""Daemons killed at every point: the next one tells the truth of every attempt, and none starts twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from provisioning_orchestrator.ports import Exited, NeverStarted
from provisioning_orchestrator.testing.dispatch_suite import an_id

from .host import Host, verdicts_of

ID = an_id(1)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


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


POINTS = ["before-state-file", "before-spawn", "after-spawn", "before-outcome-read"]


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
