"""Both programs together, as a user has them: a real daemon on a free port, the real CLI, a copy of the example."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from acceptance.daemon import ROOT, Daemon

BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Cli:
    """The real CLI, pointed at one daemon and workspace, off a terminal, with a HOME that has to stay empty."""

    daemon: Daemon
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("PROVISIONING_", "XDG_"))}
        return ours | {
            "HOME": str(self.home),
            "PROVISIONING_URL": self.daemon.url,
            "PROVISIONING_DATA_DIR": str(self.daemon.data_dir),
            "PROVISIONING_TOKEN_FILE": str(self.daemon.data_dir / "token"),
            "PROVISIONING_WORKSPACE": str(self.daemon.workspace),
            "PROVISIONING_LIBRARY": str(ROOT / "core" / "library"),
        }

    def __call__(self, *arguments: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(BIN / "provisioning"), *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A copy of the example's workspace."""
    return Path(shutil.copytree(ROOT / "examples" / "wuji", tmp_path / "workspace"))


@pytest.fixture
def new_daemon(tmp_path: Path, workspace: Path) -> Iterator[Callable[..., Daemon]]:
    """Makes daemons: `new_daemon("--slots", "2", NAME=value).start()`. All are stopped in the end."""
    made: list[Daemon] = []

    def make(*options: str, **environment: str) -> Daemon:
        directory = tmp_path / f"daemon-{len(made)}"
        directory.mkdir()
        made.append(Daemon(directory, workspace, options, environment))
        return made[-1]

    yield make
    for daemon in made:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.stop()


@pytest.fixture
def daemon(new_daemon: Callable[..., Daemon]) -> Daemon:
    """A running one with the Python library and the defaults."""
    return new_daemon().start()


@pytest.fixture
def provisioning(daemon: Daemon, tmp_path: Path) -> Iterator[Cli]:
    """The CLI of that daemon. Machines that a test leaves are deleted, so that no process outlives it."""
    home = tmp_path / "home"
    home.mkdir()
    cli = Cli(daemon, home)
    yield cli
    cli("server", "delete", "wuji", "--yes")
