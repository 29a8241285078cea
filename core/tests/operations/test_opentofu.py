"""opentofu/apply over a program that speaks OpenTofu's command line (there is no OpenTofu to be had from a registry of
Python or Node packages; what it prints has the documented form of `show -json` and `output -json`), and over a real one
where there is one, `tofu` or `terraform`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.attempt import Where, run_attempt
from provisioning_core.library import Interpreters, find_operation, library_root
from provisioning_core.secrets.stores import SECRETS, FileStore

TOFU = """\
#!{python}
import json, os, pathlib, sys
verb, rest = sys.argv[1], sys.argv[2:]
rest.remove("-no-color")
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


REAL = shutil.which("tofu") or shutil.which("terraform")
CONFIGURATION = """\
variable "database" { type = object({ user = string, password = string }) }
resource "terraform_data" "server" { input = "${var.database.user}: ${var.database.password}" }
output "user" { value = var.database.user }
output "told" { value = terraform_data.server.output }
output "password" {
  value     = var.database.password
  sensitive = true
}
"""
VALUE = "sea${urchin}%{if} \"o'clock\\ 🚀"


@pytest.mark.slow
@pytest.mark.skipif(REAL is None, reason="neither tofu nor terraform on PATH: tried against a stand-in only")
class TestReally:
    """`terraform_data` is built in: nothing is fetched."""

    @pytest.fixture
    def cloud(self, workspace: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        directory: Path = workspace.path / "cloud"
        directory.mkdir()
        (directory / "main.tf").write_text(CONFIGURATION)
        return directory

    def params(self, **more: Any) -> dict[str, Any]:
        return {"directory": "cloud", "program": Path(str(REAL)).name, **more}

    def test_plan_apply_nothing_to_do_and_destroy(self, python: Any, cloud: Path) -> None:
        variables = {"database": {"user": "sh op\n'ü${x}", "password": VALUE}}
        change = [{"address": "terraform_data.server", "actions": ["create"]}]
        found = python.run("opentofu/apply", self.params(variables=variables, plan_only=True))
        assert found.result == {"changes": change, "applied": False, "outputs": {}, "sensitive": []}
        found = python.run("opentofu/apply", self.params(variables=variables))
        outputs = {"user": "sh op\n'ü${x}", "told": f"sh op\n'ü${{x}}: {VALUE}"}
        assert found.result == {"changes": change, "applied": True, "outputs": outputs, "sensitive": ["password"]}
        assert "\033" not in found.log and "1 to add, 0 to change, 0 to destroy" in found.log
        again = python.run("opentofu/apply", self.params(variables=variables))
        assert again.result == {"changes": [], "applied": False, "outputs": outputs, "sensitive": ["password"]}
        gone = python.run("opentofu/apply", self.params(variables=variables, destroy=True))
        assert gone.result["changes"] == [{"address": "terraform_data.server", "actions": ["delete"]}]
        assert json.loads((cloud / "terraform.tfstate").read_text())["resources"] == []
        assert [path for path in python._directory.rglob("*") if path.name in ("plan", "variables.tfvars.json")] == []

    def test_its_own_words_are_the_error(self, python: Any, cloud: Path) -> None:
        error = python.run("opentofu/apply", self.params()).error
        assert (error["code"], error["retryable"]) == ("tofu_failed", False)
        assert error["message"].endswith("plan ended with exit code 1: Error: No value for required variable")
        (cloud / "main.tf").write_text("resource {")
        assert "init ended with exit code 1: Error: " in python.run("opentofu/apply", self.params()).error["message"]

    def test_a_secret_is_in_its_state_and_nowhere_else(
        self, python: Any, cloud: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
        monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
        FileStore(tmp_path / "config" / "provisioning" / "secrets.toml").set(SECRETS, "db", VALUE)
        (cloud / "main.tf").write_text(CONFIGURATION + LOOKING)
        params = self.params(variables={"database": {"user": "shop", "password": "secret://db"}})
        told = {"workflow_id": "direct_1", "task_id": "root", "attempt": 1, "key": None, "intent": "i"}
        where = Where(tmp_path / "attempt", cloud.parent, Interpreters(), 60.0)
        operation = find_operation([library_root()], "opentofu/apply")
        outcome, _ = run_attempt(operation, told | {"params": params, "results": {}}, where, lambda _: None)
        log = (tmp_path / "attempt" / "log").read_text()
        assert outcome.failure is None, log
        assert outcome.result["outputs"] == {"user": "shop", "told": "shop: [secret db]"}
        assert outcome.result["sensitive"] == ["password"] and "shop: [secret db]" in log
        assert (cloud / "looked").read_text() == "0\n", "of the command lines and environments of all processes"
        with_it = {path for path in tmp_path.rglob("*") if path.is_file() and b"urchin" in path.read_bytes()}
        assert with_it == {cloud / "terraform.tfstate", tmp_path / "config/provisioning/secrets.toml"}

    def test_a_cancel_ends_it_and_leaves_no_lock(self, python: Any, cloud: Path) -> None:
        here = cloud / "here"
        slow = f"touch {here}; sleep 300"
        (cloud / "main.tf").write_text(
            'resource "terraform_data" "a" {}\nresource "terraform_data" "slow" {\n'
            f'  provisioner "local-exec" {{ command = "{slow}" }}\n}}\n'
        )
        attempt = python.start("opentofu/apply", self.params())
        deadline = time.monotonic() + 30
        while not here.exists():
            assert time.monotonic() < deadline and attempt.process.poll() is None
            time.sleep(0.02)
        os.killpg(attempt.process.pid, signal.SIGTERM)
        attempt.end()
        made = {each["name"] for each in json.loads((cloud / "terraform.tfstate").read_text())["resources"]}
        assert "a" in made, "what was made before is known"
        (cloud / "main.tf").write_text('resource "terraform_data" "a" {}\n')
        assert python.run("opentofu/apply", self.params()).result["applied"] in (True, False), "it is not locked"


LOOKING = """
resource "terraform_data" "look" {
  provisioner "local-exec" {
    command = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>&1 | grep -ac 'urch[i]n' > looked; true"
  }
}
"""
