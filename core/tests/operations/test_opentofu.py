"""opentofu/apply over a program that speaks OpenTofu's command line: there is no OpenTofu to be had from a registry of
Python or Node packages. What it prints has the documented form of `show -json` and `output -json`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

TOFU = """\
#!{python}
import json, os, pathlib, sys
verb, rest = sys.argv[1], sys.argv[2:]
state = pathlib.Path("terraform.tfstate")
with open("calls", "a") as calls:
    print(json.dumps([verb, *[word for word in rest if not word.startswith("/")]]), file=calls)
wanted = json.loads(pathlib.Path("main.tf").read_text())
there = json.loads(state.read_text()) if state.exists() else {{}}
if wanted.get("broken"):
    print("Error: Unsupported argument", file=sys.stdout)
    sys.exit(1)
options = dict(word[1:].split("=", 1) for word in rest if "=" in word)
if verb == "plan":
    given = json.loads(pathlib.Path(options["var-file"]).read_text())
    after = {{}} if "-destroy" in rest else wanted["resources"] | given
    pathlib.Path(options["out"]).write_text(json.dumps(after))
    sys.exit(2 if after != there else 0)
if verb == "show":
    after = json.loads(pathlib.Path(rest[-1]).read_text())
    actions = lambda name: ["no-op"] if name in there and name in after else ["create"] if name in after else ["delete"]
    changes = [{{"address": name, "change": {{"actions": actions(name)}}}} for name in sorted({{**there, **after}})]
    print(json.dumps({{"format_version": "1.2", "resource_changes": changes}}))
if verb == "apply":
    state.write_text(pathlib.Path(rest[-1]).read_text())
if verb == "output":
    output = lambda name: {{"sensitive": name == "password", "type": "string", "value": there[name]}}
    print(json.dumps({{name: output(name) for name in there}}))
"""


@pytest.fixture
def configured(workspace: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory `cloud` of the workspace; `tofu` is on PATH, and no program that is named so elsewhere."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "tofu").write_text(TOFU.format(python=sys.executable))
    (programs / "tofu").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    directory: Path = workspace.path / "cloud"
    directory.mkdir()
    (directory / "main.tf").write_text(json.dumps({"resources": {"null_resource.a": "1", "password": "hush-hush"}}))
    return directory


def test_a_plan_is_applied_and_its_outputs_come_back(python: Any, configured: Path) -> None:
    found = python.run("opentofu/apply", {"directory": "cloud", "variables": {"null_resource.b": "2"}})
    assert found.result == {
        "changes": [
            {"address": "null_resource.a", "actions": ["create"]},
            {"address": "null_resource.b", "actions": ["create"]},
            {"address": "password", "actions": ["create"]},
        ],
        "applied": True,
        "outputs": {"null_resource.a": "1", "null_resource.b": "2"},
        "sensitive": ["password"],
    }
    assert "hush-hush" not in found.log
    verbs = [json.loads(line)[0] for line in (configured / "calls").read_text().splitlines()]
    assert verbs == ["init", "plan", "show", "apply", "output"]


def test_without_changes_nothing_is_applied(python: Any, configured: Path) -> None:
    python.run("opentofu/apply", {"directory": "cloud"})
    (configured / "calls").unlink()
    found = python.run("opentofu/apply", {"directory": "cloud"})
    assert (found.result["applied"], found.result["changes"]) == (False, [])
    assert "apply" not in (configured / "calls").read_text()


def test_a_plan_alone_changes_nothing(python: Any, configured: Path) -> None:
    found = python.run("opentofu/apply", {"directory": "cloud", "plan_only": True})
    assert (len(found.result["changes"]), found.result["applied"]) == (2, False)
    assert not (configured / "terraform.tfstate").exists()


def test_destroying_deletes(python: Any, configured: Path) -> None:
    python.run("opentofu/apply", {"directory": "cloud"})
    found = python.run("opentofu/apply", {"directory": "cloud", "destroy": True})
    assert [each["actions"] for each in found.result["changes"]] == [["delete"], ["delete"]]
    assert json.loads((configured / "terraform.tfstate").read_text()) == {}


def test_what_it_refuses_is_the_error(python: Any, configured: Path) -> None:
    (configured / "main.tf").write_text('{"broken": true}')
    error = python.run("opentofu/apply", {"directory": "cloud"}).error
    assert (error["code"], error["retryable"]) == ("tofu_failed", False)
    assert error["message"] == "tofu init ended with exit code 1: Error: Unsupported argument"


def test_without_the_program_it_says_what_to_install(python: Any, configured: Path) -> None:
    error = python.run("opentofu/apply", {"directory": "cloud", "program": "terraform"}).error
    assert error["code"] == "not_installed" and "no `terraform` on PATH" in error["message"]
    assert python.run("opentofu/apply", {"directory": "../.."}).error["code"] == "bad_params"


def test_a_plan_of_a_megabyte_is_read_whole(python: Any, configured: Path) -> None:
    names = [f"null_resource.{n:03}" for n in range(300)]
    wanted = {"resources": dict.fromkeys(names, "x" * 4_000), "padding": "y" * 1_000_000}
    (configured / "main.tf").write_text(json.dumps(wanted))
    tofu = configured.parent.parent / "programs" / "tofu"
    shown = '"resource_changes": changes, "configuration": wanted'
    tofu.write_text(tofu.read_text().replace('"resource_changes": changes', shown))
    found = python.run("opentofu/apply", {"directory": "cloud", "plan_only": True})
    assert [change["address"] for change in found.result["changes"]] == names
