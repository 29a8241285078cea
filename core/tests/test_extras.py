"""What is told to be installed, and whether the line that is told does it."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from provisioning_core import extras
from provisioning_core.extras import install_line


def line_of(python: Path, path: str) -> str:
    """What the environment of that Python says, with such a PATH."""
    code = f"import runpy; print(runpy.run_path({extras.__file__!r})['install_line']('aws'))"
    told = subprocess.run([python, "-c", code], env={"PATH": path}, capture_output=True, text=True, check=True)
    return told.stdout.strip()


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """The Python of an environment without pip, in a directory whose name needs quotes, as a clone's may."""
    directory = tmp_path / "it's here"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True)
    return directory / "bin" / "python"


@pytest.mark.skipif(find_spec("pip") is None, reason="no pip in this environment")
def test_an_environment_without_pip_is_named_to_another_pip(bare: Path) -> None:
    line = line_of(bare, os.environ["PATH"])
    asked = line.replace("install 'provisioning-core[aws]'", "list --format=freeze").replace(
        "python3", sys.executable, 1
    )
    listed = subprocess.run(["sh", "-c", asked], capture_output=True, text=True)
    assert (listed.returncode, listed.stdout.strip()) == (0, ""), listed.stderr


def test_a_pip_beside_it_on_path_is_just_pip(bare: Path) -> None:
    (bare.parent / "pip").symlink_to("/bin/true")
    assert line_of(bare, f"{bare.parent}:/usr/bin:/bin") == "pip install 'provisioning-core[aws]'"


def test_a_pip_that_is_not_on_path_is_run_by_its_python(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/opt/x/bin/python")
    monkeypatch.setitem(sys.modules, "pip", sys)
    assert install_line("shelf", "provisioning-shelf") == "/opt/x/bin/python -m pip install 'provisioning-shelf[shelf]'"
