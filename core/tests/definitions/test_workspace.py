"""Workspaces: found, read, named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provisioning_core.errors import NotFoundError, UsageError
from provisioning_core.workspace import load_workspace
from provisioning_core.yamlfile import DefinitionErrors


def test_a_workspace_is_found_upwards_from_where_one_is(workspace: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace.path / "infra")
    assert load_workspace(environ={}).path == workspace.path.resolve()


def test_the_environment_names_a_workspace_exactly(workspace: Any, tmp_path: Path) -> None:
    environ = {"PROVISIONING_WORKSPACE": str(workspace.path)}
    assert load_workspace(environ=environ).name == "test-ws"
    with pytest.raises(NotFoundError, match="is not a workspace"):
        load_workspace(environ={"PROVISIONING_WORKSPACE": str(workspace.path / "infra")})


def test_where_there_is_none_the_error_says_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        load_workspace(tmp_path)
    assert "PROVISIONING_WORKSPACE" in str(caught.value.hint)


def test_the_id_is_the_name_unless_it_is_said(workspace: Any) -> None:
    assert load_workspace(workspace.path).key("wuji", "server", "web-1") == "test-ws/wuji/server/web-1"
    file = workspace.path / "provisioning.yaml"
    file.write_text(file.read_text() + "id: own-id\n")
    assert load_workspace(workspace.path).key("wuji", "server", "web-1") == "own-id/wuji/server/web-1"


def test_all_faults_of_the_file_are_told(workspace: Any) -> None:
    (workspace.path / "provisioning.yaml").write_text("nam: x\nid: A/b\nprovider: '../x'\n")
    with pytest.raises(DefinitionErrors) as caught:
        load_workspace(workspace.path)
    lines = str(caught.value).splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        "provisioning.yaml:1:1", "provisioning.yaml:1:1", "provisioning.yaml:2:5", "provisioning.yaml:3:11",
    ]  # fmt: skip
    assert "Did you mean 'name'?" in lines[0]


def test_names_are_those_that_can_be_loaded(workspace: Any) -> None:
    workspace.define("abc", "servers: []")
    (workspace.path / "infra" / "Not-a-name.yaml").touch()
    (workspace.path / "infra" / "notes.txt").touch()
    assert load_workspace(workspace.path).infra_names() == ["abc", "wuji"]


@pytest.mark.parametrize("provider", ["nonexistent", "no.such.module:Provider", "provisioning_core.errors:Nothing"])
def test_a_provider_that_cannot_be_loaded_is_named(workspace: Any, provider: str) -> None:
    (workspace.path / "provisioning.yaml").write_text(f"name: a\nprovider: {provider}\n")
    with pytest.raises(UsageError) as caught:
        load_workspace(workspace.path).load_provider()
    assert provider in str(caught.value)
    assert caught.value.code == "unknown_provider"


def test_an_own_provider_is_loaded_by_module_and_class(workspace: Any) -> None:
    assert load_workspace(workspace.path).load_provider().name == "ledger"
