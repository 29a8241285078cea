"""A new taskserv's folder is whole or not there, whoever is killed; and nothing half made stays."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from provisioning_core.errors import ConflictError
from provisioning_core.taskservs import read_manifest
from provisioning_core.taskservs.generating import KINDS, Kind, generate
from provisioning_core.workspace import Workspace

KILLED_AT = """
import os, signal, sys
from pathlib import Path
from provisioning_core.taskservs.generating import generate
from provisioning_core.workspace import load_workspace

setattr(Path, sys.argv[2], lambda *_: os.kill(os.getpid(), signal.SIGKILL))
generate(load_workspace(Path(sys.argv[1])), "greeter", "script")
"""


@pytest.mark.parametrize("at", ["write_text", "chmod", "rename"])
def test_a_kill_leaves_nothing_that_counts_and_the_next_removes_the_rest(workspace: Workspace, at: str) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED_AT, str(workspace.path), at], check=False)
    assert done.returncode == -signal.SIGKILL
    root = workspace.path / "taskservs"
    assert [each.name[:9] for each in root.iterdir()] == [".greeter."]
    folder = generate(workspace, "greeter", "pyinfra")
    assert list(root.iterdir()) == [folder]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_generated_has_a_good_manifest_and_is_never_overwritten(workspace: Workspace, kind: Kind) -> None:
    folder = generate(workspace, "greeter", kind)
    assert read_manifest(folder).name == "greeter"
    with pytest.raises(ConflictError, match="is there already"):
        generate(workspace, "greeter", kind)
