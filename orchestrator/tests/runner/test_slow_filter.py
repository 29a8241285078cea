"""The end of an attempt with secrets is told when its filter has written all that the operation had, whoever is shot.

The filter is stopped before the operation writes, so that all of its output is in the pipe when it ends; then somebody
is shot, and only then the filter goes on.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provisioning_orchestrator.ports import Alive, AttemptEnded, AttemptId, Exited, Vanished
from provisioning_orchestrator.runner.filter import await_filter

from .host import Host, alive, an_id, number_in, run, shim_of, until
from .vault import ALL_LINES, WRITES, Vault, assert_clean, claimed, events_in, filters_of, told

EVENTS = [line.removeprefix("line ") for line in ALL_LINES]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    host = Host(tmp_path / "host")
    host.settings["secrets_command"] = (str(Vault(tmp_path).program),)
    host.settings["secrets_timeout_s"] = 20.0
    return host


class Stopped:
    """An attempt whose operation has ended, and whose filter was stopped before it wrote anything."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._place = host.library / "test"
        looking = f"while not Path({str(self._file('write'))!r}).exists(): time.sleep(0.01)"
        wait = f"import time\nfrom pathlib import Path\n{looking}\n"
        self._operation = host.operation("writes.py", wait + WRITES)
        self._file("go").touch()
        self.shim = self.filter = 0

    def _file(self, word: str) -> Path:
        return self._place / f"writes.py.{word}"

    async def begin(self, dispatch: Any) -> None:
        await dispatch.start(self._host.spec(self._operation, input=told()))
        await until(lambda: claimed(self._host) and len(filters_of(shim_of(self._host, an_id(1)))) == 1)
        self.shim = shim_of(self._host, an_id(1))
        (self.filter,) = filters_of(self.shim)
        await until(without(self.filter, self._host.file(an_id(1))))  # before, it has what its shim has, its lock too
        os.kill(self.filter, signal.SIGSTOP)
        self._file("write").touch()
        await until(number_in(self._file("half")))
        await until(lambda: not alive(int(self._file("half").read_text())))
        assert self._host.log(an_id(1)) == b"", "nothing of it is written yet"

    async def shoot(self, who: str) -> None:
        """They are dead when it returns, and hold no lock any more."""
        for name, pid in (("filter", self.filter), ("shim", self.shim)):
            if name in who:
                os.kill(pid, signal.SIGKILL)
                await until(lambda pid=pid: not alive(pid))  # type: ignore[misc]

    def go_on(self) -> None:
        try:
            os.kill(self.filter, signal.SIGCONT)
        except ProcessLookupError:
            pass  # It was shot.


def open_files(pid: int | str) -> list[Path]:
    links = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(fd.readlink())
        except OSError:
            continue
    return links


def without(pid: int, path: Path) -> Callable[[], bool]:
    return lambda: path not in open_files(pid)


def waited_for(host: Host) -> Callable[[], bool]:
    """Whether the daemon, which is this process, has the log open: it waits for the lock of its filter."""
    return lambda: host.file(an_id(1), ".log") in open_files("self")


def told_of(facts: list[Any], id: AttemptId) -> bool:
    return any(isinstance(fact, AttemptEnded) and fact.id == id for fact in facts)


@pytest.mark.parametrize("who", ["nobody", "filter", "shim"])
def test_no_end_is_told_before_all_lines_are_written(host: Host, who: str) -> None:
    stopped = Stopped(host)

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await stopped.begin(dispatch)
            await stopped.shoot(who)
            if who == "shim":
                await until(waited_for(host))
            if who != "filter":
                assert not told_of(listener.facts, an_id(1)) and host.log(an_id(1)) == b""
            stopped.go_on()
            verdict = await listener.end_of(an_id(1))
            assert isinstance(verdict, Vanished if who == "shim" else Exited)
            assert host.log(an_id(1)).decode().splitlines() == ALL_LINES, "complete when the end is told"
            assert events_in(host) == EVENTS
            await until(lambda: not alive(stopped.filter))

    run(body())
    assert_clean(host)


@pytest.mark.parametrize("who", ["daemon", "daemon, filter", "daemon, shim", "daemon, helper"])
def test_the_next_daemon_waits_too(host: Host, who: str) -> None:
    stopped = Stopped(host)

    async def body() -> None:
        async with host.opened() as (dispatch, _):
            await stopped.begin(dispatch)
            if "helper" in who:
                os.kill(dispatch.helper_pid() or 0, signal.SIGKILL)
        await stopped.shoot(who)
        async with host.opened() as (dispatch, listener):
            reconciled = asyncio.create_task(dispatch.reconcile([an_id(1)]))
            if "shim" in who:
                await until(waited_for(host))
                assert not reconciled.done() and host.log(an_id(1)) == b""
            stopped.go_on()
            verdict = (await reconciled)[an_id(1)]
            if isinstance(verdict, Alive):
                verdict = await listener.end_of(an_id(1))
            assert isinstance(verdict, Vanished if "shim" in who else Exited)
            assert host.log(an_id(1)).decode().splitlines() == ALL_LINES
            assert events_in(host) == EVENTS

    run(body())
    assert_clean(host)


def test_a_daemon_that_is_shot_while_it_waits_is_followed_by_one_that_waits(host: Host) -> None:
    stopped = Stopped(host)

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await stopped.begin(dispatch)
            await stopped.shoot("shim")
            await until(waited_for(host))
            assert not told_of(listener.facts, an_id(1))
        async with host.opened() as (dispatch, _):
            reconciled = asyncio.create_task(dispatch.reconcile([an_id(1)]))
            await until(waited_for(host))
            stopped.go_on()
            assert isinstance((await reconciled)[an_id(1)], Vanished)
            assert host.log(an_id(1)).decode().splitlines() == ALL_LINES

    run(body())
    assert_clean(host)


def test_a_filter_that_is_shot_while_it_is_waited_for_holds_nobody_up(host: Host) -> None:
    """Its shim is gone too: what was in the pipe is lost, nothing unredacted is left, and the end is told."""
    stopped = Stopped(host)

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await stopped.begin(dispatch)
            await stopped.shoot("shim")
            await until(waited_for(host))
            await stopped.shoot("filter")
            assert isinstance(await listener.end_of(an_id(1)), Vanished)

    run(body())
    assert host.log(an_id(1)) == b""
    assert_clean(host)


def test_a_filter_that_is_stuck_is_not_waited_for_for_ever(host: Host, tmp_path: Path) -> None:
    """Its lines come later, into the same log."""
    stopped = Stopped(host)

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await stopped.begin(dispatch)
            await stopped.shoot("shim")
            await until(waited_for(host))
            await asyncio.to_thread(await_filter, [str(host.file(an_id(1), ".log"))], 0.05)
            assert host.log(an_id(1)) == b"" and not told_of(listener.facts, an_id(1))
            stopped.go_on()
            await asyncio.to_thread(await_filter, [str(host.file(an_id(1), ".log"))])
            assert host.log(an_id(1)).decode().splitlines() == ALL_LINES
            await listener.end_of(an_id(1))

    run(body())
    assert_clean(host)
