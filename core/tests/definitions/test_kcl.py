"""Definitions in KCL: the same values, the same schema; its own errors with their places."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
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
    monkeypatch.setattr(sys, "path", [each for each in sys.path if "site-packages" not in each])
    with pytest.raises(
        UsageError, match=r"infra/x\.k is written in KCL, which this installation cannot read"
    ) as caught:
        load(workspace, GOOD)
    assert (caught.value.hint or "").endswith("install 'provisioning-core[kcl]'")


ENDLESS = "_f = lambda n: int { 1 if n < 2 else _f(n - 1) + _f(n - 2) }\nx = _f(90)\nservers = []"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "x = [i for i in range(100000000)]\nservers = []",
            "more than 128 MiB of memory, the limit (setting kcl_mem",
        ),
        ("_f = lambda n { _f(n + 1) }\nx = _f(1)\nservers = []", "nests too deep"),
        (ENDLESS, "more than 1 s, the limit (setting kcl_time_s)"),
        ("_l = {a = [1]}\nservers = []\nx = " + "[" * 60 + "]" * 60, "nested more than 50 levels deep"),
    ],
)
def test_what_has_no_end_is_ended_at_a_limit_that_is_named(
    workspace: Any, monkeypatch: pytest.MonkeyPatch, text: str, expected: str
) -> None:
    monkeypatch.setenv("PROVISIONING_KCL_MEMORY_MB", "128")
    if text is ENDLESS:
        monkeypatch.setenv("PROVISIONING_KCL_TIME_S", "1")
    found = faults(workspace, text)
    assert len(found) == 1 and found[0].startswith("infra/x.k:1:1  ") and expected in found[0], found


@pytest.mark.parametrize(
    "text", ['file.write("x", "hi")', 'file.append("here", "hi")', 'file.delete("here")', 'file.mkdir("x")']
)
def test_it_writes_and_deletes_nothing(workspace: Any, text: str) -> None:
    if sys.platform != "linux":
        pytest.skip("landlock is of Linux")
    here = workspace.path / "infra" / "here"
    here.write_text("kept")
    faults(workspace, f"import file\nservers = []\n_x = {text}")
    assert sorted(each.name for each in here.parent.iterdir()) == ["here", "wuji.yaml", "x.k"]
    assert here.read_text() == "kept"


def test_it_sees_no_variable_of_ours(workspace: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPCLOUD_TOKEN", "canary")
    (found,) = faults(workspace, 'import file\nservers = []\nx = file.read_env("UPCLOUD_TOKEN") or "unseen"')
    assert "unknown field 'x'" in found
    text = """
import file
servers = [{name = "a", plan = "1cpu-1gb", labels = {seen = file.read_env("UPCLOUD_TOKEN") or "nothing"}}]
"""
    assert load(workspace, text).servers[0].labels == {"seen": "nothing"}


def test_a_program_that_is_killed_leaves_no_evaluation_behind(workspace: Any) -> None:
    (workspace.path / "infra" / "x.k").write_text(ENDLESS)
    command = [sys.executable, "-m", "provisioning_core", "infra", "validate", "x"]
    program = subprocess.Popen(command, cwd=workspace.path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    children = Path(f"/proc/{program.pid}/task/{program.pid}/children")
    try:
        if not children.exists():
            pytest.skip("the children of a process are not told by this system")
        wait_for(lambda: bool(children.read_text().split()))
        (child,) = children.read_text().split()
    finally:
        program.kill()
        program.wait()
    wait_for(lambda: not Path(f"/proc/{child}/cmdline").exists() or not Path(f"/proc/{child}/cmdline").read_bytes())


def wait_for(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)
