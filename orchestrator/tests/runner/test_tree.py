"""Everything that an attempt started ends with it, except what it handed over."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from provisioning_orchestrator.ports import Alive, Vanished
from provisioning_orchestrator.testing.dispatch_suite import an_id, until

from .host import Host, alive, number_in, run, shim_of

STUBBORN_TREE = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def note(name):
    with open(os.path.join(sys.argv[1] if len(sys.argv) > 1 else BASE, name + ".new"), "w") as file:
        file.write(f"{os.getpid()}\\n")
    os.rename(file.name, file.name[:-4])
def stay():
    while True:
        time.sleep(60)
note("main")
if os.fork() == 0:
    os.setsid(); note("session"); stay()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        note("daemon"); stay()
    os._exit(0)
if os.fork() == 0:
    note("child"); stay()
"""


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def tree(host: Host, then: str) -> tuple[str, list[Path]]:
    """An operation with four processes that ignore TERM, in two sessions of their own and double-forked."""
    operation = host.operation("tree.py", f"BASE = {str(host.path)!r}\n" + STUBBORN_TREE + then)
    return operation, [host.path / name for name in ("main", "session", "daemon", "child")]


def all_noted(pids: list[Path]) -> bool:
    return all(number_in(path)() for path in pids)


def living(pids: list[Path]) -> list[str]:
    return [path.name for path in pids if path.exists() and alive(int(path.read_text()))]


WAIT_FOR_ALL = """
while not all(os.path.exists(os.path.join(BASE, name)) for name in ("main", "session", "daemon", "child")):
    time.sleep(0.01)
"""


def test_after_a_normal_end_nothing_is_left(host: Host) -> None:
    operation, pids = tree(host, WAIT_FOR_ALL + "sys.exit(3)")
    verdict = run(host.run(host.spec(operation, grace_s=0.3)))
    assert verdict.exit_code == 3 and not verdict.cancelled
    assert all_noted(pids) and living(pids) == []


def test_a_cancel_ends_what_ignores_it(host: Host) -> None:
    operation, pids = tree(host, "stay()")

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await dispatch.start(host.spec(operation, grace_s=30))
            await until(lambda: all_noted(pids))
            await dispatch.cancel(an_id(1), 0.3)
            verdict = await listener.end_of(an_id(1))
            assert (verdict.signal, verdict.cancelled, verdict.timed_out) == (signal.SIGKILL, True, False)

    run(body())
    assert living(pids) == []


def test_a_second_cancel_can_shorten_the_grace(host: Host) -> None:
    operation, pids = tree(host, "stay()")

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await dispatch.start(host.spec(operation))
            await until(lambda: all_noted(pids))
            await dispatch.cancel(an_id(1), 1000)
            await dispatch.cancel(an_id(1), 0)
            assert (await listener.end_of(an_id(1))).cancelled

    run(body())
    assert living(pids) == []


def test_a_timeout_kills_the_tree_while_no_daemon_lives(host: Host) -> None:
    operation, pids = tree(host, "stay()")

    async def body() -> None:
        async with host.opened() as (dispatch, _):
            await dispatch.start(host.spec(operation, timeout_s=1.0, grace_s=0.2))
            await until(lambda: all_noted(pids))
        await until(lambda: not living(pids))
        async with host.opened() as (dispatch, listener):
            verdict = (await dispatch.reconcile([an_id(1)]))[an_id(1)]
            if verdict == Alive():
                verdict = await listener.end_of(an_id(1))
            assert getattr(verdict, "timed_out", False) and getattr(verdict, "signal", 0) == signal.SIGKILL

    run(body())


def test_an_operation_that_ends_on_term_within_its_grace_keeps_its_exit_code(host: Host) -> None:
    operation = host.operation(
        "tidy", f"trap 'echo tidied; exit 9' TERM; echo $$ > {host.path}/up; while :; do sleep 0.05; done"
    )

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await dispatch.start(host.spec(operation))
            await until(number_in(host.path / "up"))
            await dispatch.cancel(an_id(1), 20)
            verdict = await listener.end_of(an_id(1))
            assert (verdict.exit_code, verdict.cancelled) == (9, True)

    run(body())
    assert host.log(an_id(1)).endswith(b"tidied\n")


HANDS_OVER = """
import os, time
def start_of(pid):
    return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[19]
kept = os.fork()
if kept == 0:
    os.setsid()
    if os.fork() == 0:
        open(BASE + "/grandchild", "w").write(f"{os.getpid()}\\n")
    else:
        open(BASE + "/kept", "w").write(f"{os.getpid()}\\n")
    while True:
        time.sleep(60)
lost = os.fork()
if lost == 0:
    open(BASE + "/lost", "w").write(f"{os.getpid()}\\n")
    while True:
        time.sleep(60)
while not all(os.path.exists(f"{BASE}/{name}") for name in ("kept", "grandchild", "lost")):
    time.sleep(0.01)
with open(os.environ["PROVISIONING_LEAVE"], "a") as leave:
    leave.write("not a line\\n999999999 1\\n1 1\\n")
    leave.write(f"{kept} {start_of(kept)}\\n")
    leave.write(f"{lost} 1\\n")
"""


@pytest.mark.parametrize("end", ["ends", "shot"])
def test_what_was_handed_over_lives_on_with_its_descendants(host: Host, end: str) -> None:
    wait = "" if end == "ends" else f"open({str(host.path / 'ready')!r}, 'w').write('1\\n')\ntime.sleep(60)"
    operation = host.operation("gives.py", f"BASE = {str(host.path)!r}\n" + HANDS_OVER + wait)
    names = [host.path / name for name in ("kept", "grandchild", "lost")]

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await dispatch.start(host.spec(operation))
            if end == "shot":
                await until(number_in(host.path / "ready"))
                os.kill(shim_of(host, an_id(1)), signal.SIGKILL)
            verdict = await listener.end_of(an_id(1))
            assert isinstance(verdict, Vanished) == (end == "shot")

    try:
        run(body())
        assert living(names) == ["kept", "grandchild"]
        # It may still use the directory in which it was started: that serves no other attempt.
        assert host.file(an_id(1), ".files").is_dir()
    finally:
        for path in names[:2]:
            os.kill(int(path.read_text()), signal.SIGKILL)


def test_a_shot_shim_means_vanished_and_no_survivor(host: Host) -> None:
    operation, pids = tree(host, "stay()")

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await dispatch.start(host.spec(operation))
            await until(lambda: all_noted(pids))
            os.kill(shim_of(host, an_id(1)), signal.SIGKILL)
            verdict = await listener.end_of(an_id(1))
            assert isinstance(verdict, Vanished)
            assert living(pids) == [], "the verdict came before the end of the tree"
            assert isinstance((await dispatch.reconcile([an_id(1)]))[an_id(1)], Vanished)

    run(body())


def test_a_shim_shot_while_no_daemon_lives_is_found_and_its_tree_ended_first(host: Host) -> None:
    operation, pids = tree(host, "stay()")

    async def body() -> None:
        async with host.opened() as (dispatch, _):
            await dispatch.start(host.spec(operation))
            await until(lambda: all_noted(pids))
        os.kill(shim_of(host, an_id(1)), signal.SIGKILL)
        async with host.opened() as (dispatch, listener):
            verdict = (await dispatch.reconcile([an_id(1)]))[an_id(1)]
            if verdict == Alive():  # It was still dying.
                verdict = await listener.end_of(an_id(1))
            assert isinstance(verdict, Vanished)
        assert living(pids) == []

    run(body())


def test_a_stopped_process_is_ended_too(host: Host) -> None:
    operation = host.operation("stops", f"sleep 60 & echo $! > {host.path}/pid; kill -STOP $!; exit 0")
    began = time.monotonic()
    verdict = run(host.run(host.spec(operation, grace_s=0.2)))
    assert verdict.exit_code == 0 and time.monotonic() - began < 10
    assert not alive(int((host.path / "pid").read_text()))


@pytest.mark.slow
def test_a_storm_of_forks_is_ended(host: Host) -> None:
    storm = f"""
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for depth in range(6):
    os.fork()
open({str(host.path)!r} + f"/storm.{{os.getpid()}}", "w").close()
while True:
    if os.fork() == 0:
        os.setsid()
        time.sleep(0.1)
        os._exit(0)
    time.sleep(0.05)
"""
    operation = host.operation("storm.py", storm)

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await dispatch.start(host.spec(operation))
            await until(lambda: len(list(host.path.glob("storm.*"))) == 64)
            await dispatch.cancel(an_id(1), 0.1)
            assert (await listener.end_of(an_id(1))).cancelled

    run(body())
    left = [path for path in host.path.glob("storm.*") if alive(int(path.name.partition(".")[2]))]
    assert left == []
