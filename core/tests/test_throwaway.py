"""What a killed owner leaves is removed by the next one of its prefix; what lives is left alone."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from provisioning_core.cli.port import alive
from provisioning_core.throwaway import throwaway

KILLED = """
import os, sys
from uuid import uuid4
from provisioning_core.provider import Wish
from provisioning_core.providers.local import LocalProvider
from provisioning_core.throwaway import throwaway

with throwaway("practice-", "machines") as path:
    (path / "machines").mkdir()
    wish = Wish("server", "ws/i/server/a", str(uuid4()), "i", "a", {"plan": "1cpu-1gb"})
    LocalProvider(path / "machines", isolation="process").create(wish)
    print(path, flush=True)
    os.kill(os.getpid(), 9)
"""


@pytest.mark.slow
def test_the_next_one_removes_what_a_killed_one_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    done = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True, timeout=60, check=False)
    left = Path(done.stdout.strip())
    assert done.returncode == -9 and left.parent == tmp_path
    room = json.loads(next(left.rglob("room.json")).read_text())["pid"]
    assert alive(room)
    with throwaway("practice-", "machines") as living:
        assert not left.exists() and not alive(room)
        with throwaway("practice-", "machines") as other:
            assert living.is_dir() and other.is_dir() and other != living
    assert list(tmp_path.iterdir()) == []
