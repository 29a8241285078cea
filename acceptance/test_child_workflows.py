"""Tasks that submit workflows, with real processes and kills."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from acceptance.conftest import Cli
from acceptance.daemon import Daemon, until

OPERATIONS = str(Path(__file__).parent / "operations")


@pytest.fixture
def daemon(new_daemon: Callable[..., Daemon]) -> Daemon:
    return new_daemon("--library", OPERATIONS).start()


def submit(daemon: Daemon, operation: str, **params: Any) -> str:
    tasks = [{"id": "parent", "operation": operation, "params": params}]
    status, answer = daemon.request("POST", "/workflows", {"name": "with a child", "tasks": tasks})
    assert status == 202, answer
    return str(answer["workflow_id"])


def children(daemon: Daemon, workflow: str) -> list[Any]:
    return daemon.items(f"/workflows?parent={workflow}")


def task_of(daemon: Daemon, workflow: str) -> Any:
    return daemon.request("GET", f"/workflows/{workflow}/tasks/parent")[1]


def raised(daemon: Daemon) -> list[list[str]]:
    ledger = daemon.workspace / "children"
    return [line.split() for line in ledger.read_text().splitlines()] if ledger.exists() else []


def test_any_program_submits_a_child_with_what_is_in_its_environment(daemon: Daemon) -> None:
    workflow = submit(daemon, "children/plain")
    assert daemon.ended(workflow)["status"] == "succeeded", task_of(daemon, workflow)
    child = task_of(daemon, workflow)["result"]
    found = daemon.ended(child)
    assert (found["status"], found["parent"]) == ("succeeded", {"workflow_id": workflow, "task": "parent"})


def test_a_task_waits_for_its_child_and_the_cli_shows_both(daemon: Daemon, provisioning: Cli) -> None:
    workflow = submit(daemon, "children/raise-one", child="test/true")
    assert daemon.ended(workflow)["status"] == "succeeded", task_of(daemon, workflow)
    child = task_of(daemon, workflow)["result"]["child"]
    assert f"child     {child}" in provisioning("workflow", "show", workflow).stdout
    assert f"parent    {workflow} task parent" in provisioning("workflow", "show", child).stdout
    assert provisioning("workflow", "list", "--parent", workflow, "-o", "name").stdout.split() == [child]


@pytest.mark.slow
def test_a_child_and_its_waiting_parent_outlive_the_daemon(daemon: Daemon) -> None:
    workflow = submit(daemon, "children/raise-one", child="children/wait-for")
    (found,) = until(lambda: raised(daemon), "the child")
    daemon.kill()
    daemon.start()
    (daemon.workspace / "go").touch()
    assert daemon.ended(workflow)["status"] == "succeeded", task_of(daemon, workflow)
    assert [child["workflow_id"] for child in children(daemon, workflow)] == [found[1]]
    assert raised(daemon) == [["1", found[1]]], "the first attempt lived on"


@pytest.mark.slow
def test_a_later_attempt_finds_the_child_of_the_first(daemon: Daemon) -> None:
    workflow = submit(daemon, "children/raise-one", child="children/wait-for")
    until(lambda: raised(daemon), "the child")
    os.kill(_operation_of(daemon), signal.SIGKILL)
    until(lambda: len(raised(daemon)) == 2, "the second attempt")
    (daemon.workspace / "go").touch()
    assert daemon.ended(workflow)["status"] == "succeeded", task_of(daemon, workflow)
    (one,) = children(daemon, workflow)
    assert raised(daemon) == [["1", one["workflow_id"]], ["2", one["workflow_id"]]]


def _operation_of(daemon: Daemon) -> int:
    """The pid of the process that runs children/raise-one."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            environment = (process / "environ").read_bytes()
        except OSError:
            continue
        if (
            any(word.endswith(b"children/raise-one.py") for word in words)
            and str(daemon.workspace).encode() in environment
        ):
            return int(process.name)
    raise AssertionError("no such process")
