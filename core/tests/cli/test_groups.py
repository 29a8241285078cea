"""The name of a counted group is taken where names of servers are; where one is expected its members are named."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.library import library_root
from provisioning_core.testing.replay import Replay

MORE = """\
networks:
  - {name: wuji-net, cidr: 10.77.0.0/24}
servers:
  - {name: web, count: 2, plan: 1cpu-1gb, network: wuji-net}
  - {name: one, count: 1, plan: 1cpu-1gb}
  - {name: db, plan: 2cpu-4gb}
taskservs:
  - {name: nginx, on: [web, db]}
"""


@pytest.fixture(autouse=True)
def _more(workspace: Path) -> None:
    (workspace / "infra" / "wuji.yaml").write_text(MORE)


def names(program: Any, *arguments: str) -> list[str]:
    done = program(*arguments, "-o", "name")
    assert done.returncode == 0, done.stderr
    return str(done.stdout).split()


def states(program: Any) -> dict[str, str]:
    return {each["name"]: each["state"] for each in json.loads(program("server", "list", "-o", "json").stdout)["items"]}


def test_create_list_and_delete_take_all_of_a_group(program: Any) -> None:
    assert names(program, "server", "create", "wuji", "web", "db", "--check") == ["wuji-net", "web-1", "web-2", "db"]
    assert program("server", "create", "wuji", "web", "db").returncode == 0
    assert names(program, "server", "list", "wuji", "web") == ["web-1", "web-2"]
    assert names(program, "server", "list", "wuji", "db", "web-2") == ["db", "web-2"]
    assert names(program, "server", "list", "wuji", "one") == []
    refused = program("server", "list", "wuji", "wbe")
    assert refused.returncode == 3
    assert "no server 'wbe'. Did you mean 'web'?" in refused.stderr
    assert program("server", "delete", "wuji", "web", "--yes").returncode == 0
    assert names(program, "server", "list", "wuji") == ["db"]


def test_start_and_stop_take_all_of_a_group_and_leave_alone_what_is_so(program: Any) -> None:
    assert program("server", "create", "wuji").returncode == 0
    assert program("server", "stop", "web-2", "--yes").returncode == 0
    checked = program("server", "stop", "wuji/web", "--check", "--exit-code")
    assert (checked.returncode, checked.stdout) == (10, "~ server web-1  started: to be stopped\n")
    assert program("server", "stop", "web", "--yes").returncode == 0
    assert states(program) == {"web-1": "stopped", "web-2": "stopped", "one-1": "started", "db": "started"}
    again = program("server", "stop", "web", "--yes")
    assert "Nothing to do: web-1, web-2 are stopped already." in again.stderr
    started = program("server", "start", "web")
    assert [line.split()[:3] for line in started.stdout.splitlines()[1:]] == [
        ["web-1", "wuji", "started"],
        ["web-2", "wuji", "started"],
    ]


def test_of_a_group_that_is_there_in_part_the_rest_is_told(program: Any) -> None:
    assert program("server", "create", "wuji", "web-1").returncode == 0
    done = program("server", "stop", "web", "--yes")
    assert done.returncode == 0
    assert "not created: web-2" in done.stderr
    absent = program("server", "stop", "one", "--yes")
    assert absent.returncode == 3
    assert "no server 'one' exists; it is defined in wuji, but not created" in absent.stderr


def test_by_the_orchestrator_a_group_is_one_workflow_that_its_operation_takes(program: Any, replay: Replay) -> None:
    assert program("server", "create", "wuji").returncode == 0
    replay.on_submit = lambda _: "wf_1"
    done = program("server", "reboot", "web", "--yes", "--orchestrated", "--no-wait")
    assert done.returncode == 0, done.stderr
    (asked,) = [each for each in replay.asked if each.method == "POST"]
    params = asked.body["params"]
    assert params == {"servers": ["web-1", "web-2"], "action": "reboot"}
    jsonschema = pytest.importorskip("jsonschema")
    sidecar = tomllib.loads((library_root() / "servers" / "power.toml").read_text())
    jsonschema.validate(params | {"infra": "wuji"}, sidecar["params"])


@pytest.mark.parametrize("command", [["show", "web"], ["ssh", "wuji/web", "--", "true"]])
def test_where_one_is_expected_the_members_are_named(program: Any, command: list[str]) -> None:
    assert program("server", "create", "wuji").returncode == 0
    done = program("server", *command)
    assert done.returncode == 2
    assert "is a group of 2 servers, and one is expected" in done.stderr
    assert "one of: web-1, web-2" in done.stderr


def test_a_group_of_one_is_that_one(program: Any) -> None:
    assert program("server", "create", "wuji", "one").returncode == 0
    assert json.loads(program("server", "show", "one", "-o", "json").stdout)["name"] == "one-1"


def test_resize_takes_all_of_a_group(program: Any, workspace: Path) -> None:
    assert program("server", "create", "wuji").returncode == 0
    (workspace / "infra" / "wuji.yaml").write_text(MORE.replace("count: 2, plan: 1cpu-1gb", "count: 2, plan: 2cpu-2gb"))
    refused = program("server", "resize", "web", "--plan", "4cpu-4gb")
    assert refused.returncode == 2
    assert "of all 2 servers of the group web" in refused.stderr
    done = program("server", "resize", "web", "--plan", "2cpu-2gb", "--check")
    assert [line.split()[:3] for line in done.stdout.splitlines()] == [
        ["~", "server", "web-1"],
        ["~", "server", "web-2"],
    ]


def test_taskservs_are_removed_from_all_of_a_group(program: Any) -> None:
    done = program("taskserv", "delete", "wuji", "--server", "web", "--check", "-o", "name")
    assert (done.returncode, done.stdout.split()) == (0, ["nginx.web-1", "nginx.web-2"])
