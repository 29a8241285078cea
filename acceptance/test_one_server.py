"""One server per key, whoever asks how often at once, and whatever is killed while it is made."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from acceptance.conftest import BIN, Cli
from acceptance.daemon import Daemon, until


def _begin(cli: Cli, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(BIN / "provisioning"), *arguments],
        env=cli.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _servers(cli: Cli) -> list[dict[str, Any]]:
    listed = cli("server", "list", "wuji", "-o", "json")
    assert listed.returncode == 0, listed.stderr
    items: list[dict[str, Any]] = json.loads(listed.stdout)["items"]
    return items


def _made(daemon: Daemon) -> set[str]:
    """The ids of all servers that any workflow ever announced."""
    found = set()
    for workflow in daemon.request("GET", "/workflows?limit=1000")[1]["items"]:
        events = daemon.request("GET", f"/workflows/{workflow['workflow_id']}/events?limit=1000")[1]["items"]
        found |= {
            event["data"]["id"]
            for event in events
            if event["type"] == "resource.created" and event["data"]["kind"] == "server"
        }
    return found


@pytest.mark.slow
def test_simultaneous_creates_direct_and_orchestrated_make_each_server_once(provisioning: Cli, daemon: Daemon) -> None:
    asked = [
        _begin(provisioning, "server", "create", "wuji", "--orchestrated"),
        _begin(provisioning, "server", "create", "wuji"),
        _begin(provisioning, "server", "create", "wuji", "--orchestrated"),
        _begin(provisioning, "server", "create", "wuji"),
    ]
    for each in asked:
        said, _ = each.communicate(timeout=120)
        assert each.returncode == 0, said

    servers = _servers(provisioning)
    assert sorted(server["name"] for server in servers) == ["db-1", "web-1", "web-2"]
    assert {server["state"] for server in servers} == {"started"}
    assert _made(daemon) <= {server["id"] for server in servers}, "a server was made that is not there any more"


@pytest.mark.slow
def test_killing_the_daemon_while_servers_are_made_makes_each_once(
    new_daemon: Callable[..., Daemon], tmp_path: Path
) -> None:
    daemon = new_daemon().start()
    home = tmp_path / "home"
    home.mkdir()
    cli = Cli(daemon, home)
    try:
        seen: set[str] = set()
        for _ in range(3):
            status, answer = daemon.request("POST", "/workflows/servers/create", {"infra": "wuji", "params": {}})
            assert status == 202, answer
            workflow = answer["workflow_id"]
            for _ in range(3):
                until(partial(_running_or_over, daemon, workflow), "a task to run")
                daemon.kill()
                daemon.start()
            assert daemon.ended(workflow)["status"] == "succeeded"
            servers = {server["id"] for server in _servers(cli)}
            assert len(servers) == 3
            assert _made(daemon) - seen == servers, "a server was made twice, or nobody was told of it"
            seen |= servers
            assert cli("server", "delete", "wuji", "--yes").returncode == 0
            assert _servers(cli) == []
    finally:
        cli("server", "delete", "wuji", "--yes")


def _running_or_over(daemon: Daemon, workflow: str) -> bool:
    found = daemon.request("GET", f"/workflows/{workflow}")[1]
    return "running" in found["tasks"] or found["ended_at"] is not None
