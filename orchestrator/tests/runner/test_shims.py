"""A shim serves one attempt after the other, and nothing of one reaches the next."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from pathlib import Path

import pytest

from provisioning_orchestrator.ports import NeverStarted, Vanished
from provisioning_orchestrator.runner import LocalDispatch, forker
from provisioning_orchestrator.testing.dispatch_suite import Listener, an_id, until

from .host import Host, alive, number_in, run, shim_of


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_shim_that_is_free_serves_the_next_attempt(host: Host) -> None:
    operation = host.operation("quick", "exit 3")

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            for number in range(1, 11):
                await dispatch.start(host.spec(operation, number))
                assert (await listener.end_of(an_id(number))).exit_code == 3

    run(body())
    assert len({shim_of(host, an_id(number)) for number in range(1, 11)}) == 1


def test_attempts_at_the_same_time_have_shims_of_their_own(host: Host) -> None:
    operation = host.operation("waits", f"while ! test -e {host.path}/go; do sleep 0.02; done")

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            for number in range(1, 6):
                await dispatch.start(host.spec(operation, number))
            files = [host.file(an_id(number)) for number in range(1, 6)]  # they come one after the other
            await until(lambda: all(file.exists() and b"pid=" in file.read_bytes() for file in files))
            assert len({shim_of(host, an_id(number)) for number in range(1, 6)}) == 5
            (host.path / "go").touch()
            for number in range(1, 6):
                await listener.end_of(an_id(number))

    run(body())


def test_a_cancel_that_comes_late_does_not_hit_the_next_attempt_of_the_shim(host: Host) -> None:
    host.operation("quick", "exit 3")
    host.operation("slow", f"echo $$ > {host.path}/up; while ! test -e {host.path}/go; do sleep 0.02; done; exit 4")

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await dispatch.start(host.spec("test/quick", 1))
            await listener.end_of(an_id(1))
            shim = shim_of(host, an_id(1))
            os.kill(shim, signal.SIGTERM)
            await dispatch.start(host.spec("test/slow", 2))
            await until(number_in(host.path / "up"))
            assert shim_of(host, an_id(2)) == shim
            os.kill(shim, signal.SIGTERM)
            (host.path / "go").touch()
            verdict = await listener.end_of(an_id(2))
            assert (verdict.exit_code, verdict.cancelled) == (4, False)

    run(body())


def test_a_shot_idle_shim_is_replaced(host: Host) -> None:
    """An attempt that is passed to a shim in the moment of its death never starts, which is told."""
    operation = host.operation("quick", "exit 3")

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            ran = 0
            for number in range(1, 21):
                await dispatch.start(host.spec(operation, number))
                verdict = await listener.end_of(an_id(number))
                if isinstance(verdict, NeverStarted):
                    continue
                assert verdict.exit_code == 3
                ran += 1
                shim = shim_of(host, an_id(number))
                os.kill(shim, signal.SIGKILL)
                if number % 2:
                    await until(lambda pid=shim: not Path(f"/proc/{pid}").exists())  # type: ignore[misc]
            assert ran >= 10

    run(body())


def test_a_shim_whose_attempt_handed_processes_over_serves_no_other(host: Host) -> None:
    gives = """sleep 60 >/dev/null 2>&1 &
echo "$! $(cut -d')' -f2 /proc/$!/stat | cut -d' ' -f21)" > "$PROVISIONING_LEAVE"; echo $!"""
    host.operation("gives", gives)
    host.operation("quick", "exit 3")

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await dispatch.start(host.spec("test/gives", 1))
            assert (await listener.end_of(an_id(1))).exit_code == 0
            await dispatch.start(host.spec("test/quick", 2))
            await listener.end_of(an_id(2))

    run(body())
    kept = int(host.log(an_id(1)))
    try:
        assert alive(kept)
        assert shim_of(host, an_id(1)) != shim_of(host, an_id(2))
    finally:
        os.kill(kept, signal.SIGKILL)


@pytest.mark.slow
def test_idle_shims_go(host: Host) -> None:
    operation = host.operation("quick", "exit 3")

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await dispatch.start(host.spec(operation))
            await listener.end_of(an_id(1))
            shim = shim_of(host, an_id(1))
            await until(lambda: not Path(f"/proc/{shim}").exists(), patience_s=forker.IDLE_S * 5)

    run(body())


@pytest.mark.slow
def test_many_attempts_through_many_shims_leave_no_process_and_no_descriptor(host: Host) -> None:
    operation = host.operation("quick", "exit 3")

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            helper = dispatch.helper_pid()
            before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
            for turn in range(6):
                numbers = range(turn * 60 + 1, turn * 60 + 61)
                await asyncio.gather(*(dispatch.start(host.spec(operation, number)) for number in numbers))
                for number in numbers:
                    assert (await listener.end_of(an_id(number))).exit_code == 3
            assert len(os.listdir("/proc/self/fd")) <= before + 2  # noqa: PTH208
            children = Path(f"/proc/{helper}/task/{helper}/children")
            await until(lambda: children.read_text() == "", patience_s=forker.IDLE_S * 5)
            assert len(os.listdir(f"/proc/{helper}/fd")) <= 5  # noqa: PTH208

    run(body())


@pytest.mark.slow
def test_shims_shot_at_random_end_as_their_true_outcome_or_as_vanished(host: Host) -> None:
    """None is called a success that was none, none starts twice, and nothing of a vanished one is alive."""
    operation = host.operation(
        "counts",
        f"""n=$(basename "$PROVISIONING_RESULT" .1.result); echo $$ >> {host.path}/ran.$n
seq 1 25; sleep 0.0$((n % 10)); seq 26 50; exit $((n % 200))""",
    )
    chance = random.Random(5)
    kinds: Counter[str] = Counter()

    async def one(dispatch: LocalDispatch, listener: Listener, number: int) -> None:
        await dispatch.start(host.spec(operation, number))
        verdict = await listener.end_of(an_id(number))
        ran = host.path / f"ran.{number}"
        pids = [int(line) for line in ran.read_text().split()] if ran.exists() else []
        kinds[type(verdict).__name__] += 1
        assert len(pids) <= 1
        if isinstance(verdict, NeverStarted):
            assert not pids
        elif isinstance(verdict, Vanished):
            assert not [pid for pid in pids if alive(pid)]
        else:
            assert verdict.exit_code == number % 200 and len(pids) == 1
            assert host.log(an_id(number)) == b"".join(b"%d\n" % line for line in range(1, 51))

    async def shoot(dispatch: LocalDispatch) -> None:
        while True:
            helper = dispatch.helper_pid()
            if helper is not None and (children := children_of(helper)):
                kill(chance.choice(children))
            if helper is not None and chance.random() < 0.03:
                kill(helper)
            await asyncio.sleep(0.01)

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            shooter = asyncio.create_task(shoot(dispatch))
            for first in range(1, 400, 10):
                await asyncio.gather(*(one(dispatch, listener, number) for number in range(first, first + 10)))
            shooter.cancel()

    run(body())
    assert kinds["Exited"] >= 20 and kinds["Vanished"] >= 20, kinds


def children_of(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
