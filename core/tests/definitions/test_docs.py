"""docs/definitions.md and secrets.md: every example does what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.infra import load_infra
from provisioning_core.schema import load_schema
from provisioning_core.workspace import load_workspace
from provisioning_core.yamlfile import DefinitionErrors

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "definitions.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
YAML = [text for language, text in BLOCKS if language == "yaml" and not text.startswith("#")]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGmvO0WfKtIkzHnUuJYcX1uYvxTJxVwWlYF5BqJrU0aa team\n"


@pytest.mark.parametrize("text", YAML)
def test_each_definition_is_good(workspace: Any, text: str) -> None:
    (workspace.path / "keys").mkdir()
    (workspace.path / "keys" / "team.pub").write_text(KEY)
    (workspace.path / "files").mkdir()
    (workspace.path / "files" / "cloud-init.yaml").write_text("#cloud-config\n")
    workspace.define("x", text)
    assert load_infra(load_workspace(workspace.path), "x", manifests=True).servers


def test_the_definition_with_a_secret_is_good(workspace: Any) -> None:
    page = (DOCS / "secrets.md").read_text("utf-8")
    (text,) = (
        text for text in re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL) if "servers:" in text
    )
    workspace.define("x", text)
    infra = load_infra(load_workspace(workspace.path), "x", manifests=True)
    assert infra.taskservs[0].params == {"users": {"shop": "secret://shop/db-password"}}


def test_templates_mean_what_the_page_says(workspace: Any) -> None:
    workspace.define("x", next(text for text in YAML if "templates:" in text))
    a, b = load_infra(load_workspace(workspace.path), "x").servers
    assert (a.plan, a.zone, a.labels) == ("2cpu-2gb", "local", {"role": "web", "port": "p80", "team": "shop"})
    assert a.firewall[0].ports == (80, 80)
    assert a.user_data == '#!/bin/sh\necho "listen ${HOME} 80"\n'
    assert (b.plan, b.labels) == ("4cpu-8gb", {"role": "web", "port": "p8080"})


def test_errors_are_those_that_the_page_shows(workspace: Any) -> None:
    bad = next(text for language, text in BLOCKS if text.startswith("# bad.yaml"))
    shown = next(text for language, text in BLOCKS if language == "text")
    workspace.define("bad", bad)
    with pytest.raises(DefinitionErrors) as caught:
        load_infra(load_workspace(workspace.path), "bad", manifests=True)
    assert f"{caught.value}\n" == shown


def test_the_example_in_kcl_is_good(workspace: Any) -> None:
    pytest.importorskip("kcl_lib", reason="the extra `kcl` is not installed")
    text = next(text for language, text in BLOCKS if language == "kcl")
    (workspace.path / "infra" / "x.k").write_text(text)
    infra = load_infra(load_workspace(workspace.path), "x")
    assert infra.taskservs[0].servers == ("web-a", "web-b")


def test_the_workspaces_file_is_good(workspace: Any) -> None:
    text = next(text for language, text in BLOCKS if text.startswith("# provisioning.yaml"))
    (workspace.path / "provisioning.yaml").write_text(text)
    assert load_workspace(workspace.path, {}).settings == {"upcloud": {"url": "http://127.0.0.1:8081"}}


@pytest.mark.parametrize("kind", ["network", "server", "taskserv", "check", "cluster", None])
def test_every_field_is_on_the_page(kind: str | None) -> None:
    schema = load_schema("infra")
    section = PAGE[PAGE.index(f"**{kind}s**") :] if kind else PAGE
    fields = schema["$defs"][kind]["properties"] if kind else schema["properties"]
    for name in fields:
        assert f"`{name}`" in section or (name in ("template", "with") and f"{name}: " in PAGE), name
