"""Definitions in KCL: the same values, the same schema; its own errors with their places."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import pytest

from provisioning_core.errors import UsageError
from provisioning_core.infra import Infra, load_infra
from provisioning_core.workspace import load_workspace
from provisioning_core.yamlfile import DefinitionErrors

GOOD = """\
schema Server:
    name: str
    plan: str = "1cpu-1gb"
    labels: {str:str} = {}

_zones = ["a", "b"]
networks = [{name = "net", cidr = "10.0.0.0/24"}]
servers = [Server {name = "web-${z}", labels = {zone = z}} for z in _zones]
taskservs = [{name = "t", on = [s.name for s in servers], params = {deep = {n = 1, x = None}}}]
"""


def load(workspace: Any, text: str) -> Infra:
    (workspace.path / "infra" / "x.k").write_text(text, "utf-8")
    return load_infra(load_workspace(workspace.path), "x")


def faults(workspace: Any, text: str) -> list[str]:
    with pytest.raises(DefinitionErrors) as caught:
        load(workspace, text)
    return str(caught.value).splitlines()


@pytest.fixture(autouse=True)
def _needs_kcl() -> None:
    pytest.importorskip("kcl_lib", reason="the extra `kcl` is not installed")


def test_it_means_the_same_as_yaml(workspace: Any) -> None:
    text = """
    networks: [{name: net, cidr: 10.0.0.0/24}]
    servers:
      - {name: web-a, plan: 1cpu-1gb, labels: {zone: a}}
      - {name: web-b, plan: 1cpu-1gb, labels: {zone: b}}
    taskservs: [{name: t, on: [web-a, web-b], params: {deep: {n: 1, x: null}}}]
    """
    workspace.define("y", text)
    assert load(workspace, GOOD) == replace(load_infra(load_workspace(workspace.path), "y"), name="x")


def test_it_is_found_listed_and_refused_beside_one_in_yaml(workspace: Any) -> None:
    load(workspace, GOOD)
    loaded = load_workspace(workspace.path)
    assert loaded.infra_names() == ["wuji", "x"]
    workspace.define("x", "servers: []")
    assert loaded.infra_names() == ["wuji", "x"]
    with pytest.raises(UsageError, match=r"x is defined twice: infra/x\.yaml and infra/x\.k") as caught:
        load_infra(loaded, "x")
    assert caught.value.hint == "remove or rename one of the two"


def test_values_are_checked_by_the_same_schema_at_their_path(workspace: Any) -> None:
    found = faults(workspace, 'servers = [{name = "Web", plan = "x y", zoen = "a"}]\nnetworks = [{name = "n"}]\nx = 1')
    assert [line.split(": ")[0] for line in found] == [
        "infra/x.k  servers[0].name",
        "infra/x.k  servers[0].plan",
        "infra/x.k  servers[0].zoen",
        "infra/x.k  x",
        "infra/x.k  networks[0]",
    ]
    assert "Did you mean 'zone'?" in found[2]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "schema Server:\n    name: str\n    x: int\nservers = [Server {nam = 1}]\n",
            ["infra/x.k:4:19  KCL: ", "infra/x.k:4:20  KCL: Cannot add member 'nam' to schema 'Server'"],
        ),
        ("servers = [\n  {name = }\n]\n", ["infra/x.k:2:11  KCL: expected one of"]),
        ("servers = undefined_name\n", ["infra/x.k:1:11  KCL: name 'undefined_name' is not defined"]),
        (
            'schema S:\n    n: int\n    check:\n        n > 0, "n must be positive"\nservers = [S {n = 0}]\n',
            ["infra/x.k:4:1  KCL: Check failed on the condition: n must be positive", "infra/x.k:5:12  KCL: "],
        ),
        ("import no.such\nservers = []", ["infra/x.k:1:1  KCL: "]),
    ],
)
def test_its_own_errors_come_with_their_places_and_without_colours(
    workspace: Any, text: str, expected: list[str]
) -> None:
    found = faults(workspace, text)
    for start in expected:
        assert any(line.startswith(start) for line in found), found
    assert all(line.isprintable() for line in found)
    assert len(found) == len(set(found))


def test_a_fault_in_an_imported_file_is_told_there(workspace: Any) -> None:
    (workspace.path / "infra" / "sizes").mkdir()
    (workspace.path / "infra" / "sizes" / "small.k").write_text("plan = nothing\n")
    found = faults(workspace, 'import sizes\nservers = [{name = "a", plan = sizes.plan}]')
    assert any(line.startswith("infra/sizes/small.k:1:8  KCL: ") for line in found), found


def test_it_cannot_read_files_outside(workspace: Any) -> None:
    assert "KCL: " in faults(workspace, 'import file\nservers = [{name = file.read("/etc/hostname")}]')[0]


def test_without_kcl_the_error_says_what_to_install(workspace: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kcl_lib", None)
    with pytest.raises(
        UsageError, match=r"infra/x\.k is written in KCL, which this installation cannot read"
    ) as caught:
        load(workspace, GOOD)
    assert caught.value.hint == "pip install 'provisioning-core[kcl]'"
