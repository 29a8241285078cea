"""A definition that a provider would refuse is refused before anything is made, at the places where it is wrong."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.clouds import Clouds
from provisioning_core.direct import run_direct
from provisioning_core.infra import load_infra
from provisioning_core.inspection import inspect_workspace
from provisioning_core.library import library_root
from provisioning_core.plan import plan_create, plan_infra
from provisioning_core.plan.acceptable import check_acceptable
from provisioning_core.workspace import Workspace, load_workspace
from provisioning_core.yamlfile import DefinitionErrors

BAD = """\
defaults:
  server: {labels: {a: x}}
templates:
  big:
    kind: server
    parameters: {zone: null}
    body: {plan: 2cpu-4gb, zone: "${zone}"}
networks:
  - {name: net, cidr: 10.77.0.0/24, zone: de-fra1}
servers:
  - name: web
    count: 3
    plan: 1cpu-1gb
    network: net
    storages:
      - {name: logs, size_gb: 10}
      - {name: data, size_gb: 10, tier: maxiop}
    firewall:
      - {protocol: tcp, ports: 22}
  - {name: db, template: big, with: {zone: fi-hell1}, labels: {a: null}}
  - {name: fine, plan: 1cpu-1gb, network: net, zone: de-fra1, labels: {a: null, role: x}}
  - {name: apart, plan: 1cpu-1gb, network: net, labels: {a: null}}
"""


@pytest.fixture
def upcloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Of a cloud that nobody may ask: it listens and never answers, and there are no credentials."""
    (tmp_path / "infra").mkdir()
    (tmp_path / "provisioning.yaml").write_text("name: ws\nprovider: upcloud\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    monkeypatch.setenv("UPCLOUD_DEBUG_API_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.delenv("UPCLOUD_TOKEN", raising=False)
    return define(tmp_path, BAD)


def define(path: Path, text: str) -> Workspace:
    (path / "infra" / "wuji.yaml").write_text(text)
    return load_workspace(path)


def places(error: DefinitionErrors) -> list[tuple[int, int, str]]:
    return [(problem.line, problem.column, problem.field) for problem in error.problems]


WRONG = [
    (2, 24, "servers[0].labels.a"),
    (11, 5, "servers[0]"),
    (17, 41, "servers[0].storages[1].tier"),
    (20, 44, "servers[1].zone"),
    (22, 5, "servers[3]"),
]


def test_a_plan_refuses_all_that_the_provider_would_at_its_places(upcloud: Workspace) -> None:
    for plan in (plan_create, plan_infra):
        with pytest.raises(DefinitionErrors) as refusal:
            plan(upcloud, "wuji")
        assert places(refusal.value) == WRONG
    messages = "\n".join(problem.message for problem in refusal.value.problems)
    assert "Did you mean 'maxiops'?" in messages and "its network 'net' is in de-fra1" in messages
    assert "not at upcloud" in messages


def test_the_operation_makes_nothing_of_it(upcloud: Workspace) -> None:
    for operation in ("servers/create", "infra/create"):
        outcome = run_direct([library_root()], operation, {"infra": "wuji"}, workspace=upcloud.path)
        assert outcome.status == "failed"
        failed = [task for task in outcome.tasks if task.status == "failed"]
        assert len(outcome.tasks) == len(failed) == 1, "only the one that refuses has run"
        assert "infra/wuji.yaml:20:44" in str(failed[0].outcome)


def test_a_workspace_is_not_valid_with_it(upcloud: Workspace) -> None:
    found = inspect_workspace(upcloud.path).problems
    assert [(problem.line, problem.column, problem.field) for problem in found] == WRONG


def test_servers_that_are_not_chosen_may_be_bad(upcloud: Workspace) -> None:
    infra = load_infra(upcloud, "wuji")
    check_acceptable(Clouds(upcloud), infra, infra.networks, infra.select(["fine"]))


def test_what_was_computed_has_a_path_and_no_line(upcloud: Workspace) -> None:
    pytest.importorskip("kcl_lib")
    (upcloud.path / "infra" / "wuji.yaml").unlink()
    (upcloud.path / "infra" / "wuji.k").write_text('servers = [{name = "web", plan = "1cpu-1gb", zone = "nowhere"}]\n')
    with pytest.raises(DefinitionErrors) as refusal:
        plan_infra(load_workspace(upcloud.path), "wuji")
    assert places(refusal.value) == [(0, 0, "servers[0].zone")]


def test_a_default_of_the_settings_that_is_bad_is_said_of_each_item(upcloud: Workspace) -> None:
    (upcloud.path / "provisioning.yaml").write_text(
        "name: ws\nprovider: upcloud\nproviders:\n  upcloud: {zone: nowhere}\n"
    )
    workspace = define(upcloud.path, "servers:\n  - {name: web, plan: 1cpu-1gb}\n  - {name: db, plan: 1cpu-1gb}\n")
    with pytest.raises(DefinitionErrors) as refusal:
        plan_infra(workspace, "wuji")
    assert places(refusal.value) == [(2, 5, "servers[0]"), (3, 5, "servers[1]")]


def test_thousands_of_servers_are_looked_at_without_any_call(upcloud: Workspace, monkeypatch: Any) -> None:
    server = "  - {{name: w{0}, count: 1000, plan: 1cpu-1gb, labels: {{role: web}}}}\n"
    workspace = define(upcloud.path, "servers:\n" + "".join(server.format(number) for number in range(3)))
    infra = load_infra(workspace, "wuji")
    monkeypatch.setattr(socket, "socket", None)
    check_acceptable(Clouds(workspace), infra, infra.networks, infra.servers)
