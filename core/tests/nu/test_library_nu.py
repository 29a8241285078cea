"""The Nushell library beside the Python one, and what is particular to it. What they share: tests/operations."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.direct import DirectOutcome, run_direct
from provisioning_core.library import Interpreters, find_operation, library_root, list_operations, nu_library_root

WISH = {
    "infra": "wuji",
    "spec": {"plan": "1cpu-1gb", "cpus": 1, "memory_gb": 1},
    "labels": {},
    "intent": "",
    "key": None,
}


def run_nu(nu: str, command: str, workspace: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        [nu, "--no-config-file", "-c", command],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": path, "HOME": str(workspace), "PROVISIONING_WORKSPACE": str(workspace)} | environment,
        cwd=workspace,
    )


def test_what_is_in_both_libraries_has_the_same_name_and_sidecar() -> None:
    roots = (library_root(), nu_library_root())
    python, nushell = (list_operations([root]) for root in roots)
    assert set(nushell) <= set(python), "Nushell has nothing that Python has not"
    assert {"servers/create", "servers/delete", "servers/list"} <= set(nushell)
    for name in nushell:
        first, second = (find_operation([root], name).file.with_suffix(".toml").read_text() for root in roots)
        assert first == second, name


@pytest.mark.nu
@pytest.mark.slow
def test_both_libraries_do_the_same_in_direct_mode(workspace: Any, nu: str) -> None:
    def run(root: Path, operation: str) -> DirectOutcome:
        outcome = run_direct(
            [root], operation, {"infra": "wuji"}, workspace=workspace.path, interpreters=Interpreters(nu=nu)
        )
        assert outcome.status == "succeeded"
        return outcome

    def shape(outcome: DirectOutcome) -> list[Any]:
        """All that is told of a run but what is random by nature."""
        random = {"id", "ssh"}
        return [
            (
                task.id,
                task.doc,
                [need.id for need in task.needs],
                {name: value for name, value in task.outcome.result.items() if name not in random},
            )
            for task in outcome.tasks
        ]

    first = [shape(run(library_root(), operation)) for operation in ("servers/create", "servers/delete")]
    second = [shape(run(nu_library_root(), operation)) for operation in ("servers/create", "servers/delete")]
    assert first == second
    assert workspace.made("test-ws/wuji/server/web-1") == 2


@pytest.mark.nu
def test_what_python_made_is_found_by_nushell(workspace: Any, nu: str) -> None:
    made = run_direct([library_root()], "servers/create", {"infra": "wuji"}, workspace=workspace.path)
    again = run_direct(
        [nu_library_root()],
        "servers/create",
        {"infra": "wuji"},
        workspace=workspace.path,
        interpreters=Interpreters(nu=nu),
    )
    assert [task.outcome.result["created"] for task in again.tasks[1:]] == [False] * 5
    ids = [[task.outcome.result["id"] for task in run.tasks[1:]] for run in (made, again)]
    assert ids[0] == ids[1]


@pytest.mark.nu
def test_create_server_is_a_command_of_the_module_as_in_the_original(workspace: Any, nu: str) -> None:
    module = nu_library_root() / "servers" / "create.nu"
    command = f"use {module} *; create-server 'web-1' ($env.WISH | from json) | to json --raw"
    done = run_nu(nu, command, workspace.path, WISH=json.dumps(WISH))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["created"] is True
    assert workspace.servers() == ["web-1"]


@pytest.mark.nu
def test_load_provider_and_create_vm_are_commands_of_the_shared_module(workspace: Any, nu: str) -> None:
    module = nu_library_root() / "_provisioning.nu"
    make = "let provider = (load-provider); $provider | create-vm 'web-1' ($env.WISH | from json) | get state"
    done = run_nu(nu, f"use {module} *; {make}", workspace.path, WISH=json.dumps(WISH))
    assert (done.returncode, done.stdout.strip()) == (0, "started"), done.stderr


@pytest.mark.nu
def test_what_goes_wrong_at_a_prompt_is_an_error_and_not_the_end_of_the_shell(workspace: Any, nu: str) -> None:
    module = nu_library_root() / "_provisioning.nu"
    ask = "try { load-provider nowhere | list-vms {} } catch {|error| print $error.msg }; print 'the shell lives'"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [nu, "--no-config-file", "--no-history", "--interactive", "-c", f"use {module} *; {ask}"],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": path, "HOME": str(workspace.path), "PROVISIONING_WORKSPACE": str(workspace.path)},
        cwd=workspace.path,
    )
    assert (done.returncode, "the shell lives" in done.stdout) == (0, True), done.stderr
    assert "no provider named 'nowhere'" in done.stdout


@pytest.mark.nu
def test_without_the_command_of_the_core_it_says_how_to_have_it(workspace: Any, nu: str, tmp_path: Path) -> None:
    library = tmp_path / "library"  # outside of any environment that would have a `provisioning` of its own
    shutil.copytree(nu_library_root(), library)
    command = f"use {library / 'servers' / 'create.nu'} *; create-server a {{}}"
    done = run_nu(nu, command, workspace.path, PATH="/nowhere")
    assert done.returncode == 1
    assert "`provisioning` is not on PATH" in done.stderr
    assert "provisioning orchestrator start" in done.stderr


@pytest.mark.nu
@pytest.mark.parametrize("flags", [["--no-config-file"], ["--no-config-file", "--stdin"]])
def test_the_input_is_read_with_and_without_the_stdin_flag(
    workspace: Any, nu: str, tmp_path: Path, flags: list[str]
) -> None:
    environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(workspace.path)}
    done = subprocess.run(
        [nu, *flags, str(nu_library_root() / "servers" / "list.nu")],
        input=b'{"params": {}}\n',
        capture_output=True,
        timeout=60,
        env=environment | {"PROVISIONING_WORKSPACE": str(workspace.path)},
        cwd=workspace.path,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"status": "success", "result": []}
