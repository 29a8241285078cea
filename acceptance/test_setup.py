"""bin/setup, as far as it makes nothing."""

from __future__ import annotations

import subprocess

import pytest

from acceptance.daemon import ROOT


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_the_help_is_the_usage_and_makes_nothing(word: str) -> None:
    done = subprocess.run([ROOT / "bin" / "setup", word], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("bin/setup [core] [orchestrator] [dev] [nu] [workspace]")


def test_a_name_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    done = subprocess.run([ROOT / "bin" / "setup", "cor"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "nothing is named 'cor'; there are core, " in done.stderr
