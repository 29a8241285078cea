"""The real program `provisioning` as a process: in a pipe, or on a terminal; against a replayed daemon."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from provisioning_core.testing.replay import TOKEN, Replay

DEADLINE_S = 20.0
INFRA = """\
networks:
  - {name: wuji-net, cidr: 10.77.0.0/24}
servers:
  - {name: web, count: 2, plan: 1cpu-1gb, network: wuji-net}
"""


@dataclass
class OnTerminal:
    """The program on a terminal of its own. screen: all that it wrote, escapes included."""

    process: subprocess.Popen[bytes]
    master: int
    screen: str = ""

    def until(self, text: str) -> str:
        """Read until the text is on the screen; everything that was written so far."""
        return self._read(lambda: text in self.screen, f"{text!r} on the screen")

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def interrupt(self) -> None:
        self.type("\x03")

    def end(self) -> int:
        """Its exit code, once it has ended."""
        self._read(lambda: self.process.poll() is not None, "the end of the program")
        self._read_rest()
        return self.process.returncode

    def _read(self, done: Callable[[], bool], what: str) -> str:
        give_up = time.monotonic() + DEADLINE_S
        while not done():
            if time.monotonic() > give_up:
                pytest.fail(f"waited {DEADLINE_S} s for {what}; the screen:\n{self.screen}")
            if select.select([self.master], [], [], 0.02)[0]:
                self._take()
        return self.screen

    def _read_rest(self) -> None:
        while select.select([self.master], [], [], 0.05)[0] and self._take():
            pass

    def _take(self) -> bool:
        try:
            data = os.read(self.master, 65536)
        except OSError:  # Linux: nobody has the other end open any more
            return False
        self.screen += data.decode("utf-8", "replace")
        return bool(data)


@dataclass
class Program:
    environ: dict[str, str]
    workspace: Path
    terminals: list[OnTerminal] = field(default_factory=list)

    def __call__(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """In pipes, without a terminal anywhere."""
        return subprocess.run(
            [sys.executable, "-m", "provisioning_core", *arguments],
            env=self.environ | environ,
            cwd=self.workspace,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            start_new_session=True,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "provisioning_core", *arguments],
            env=self.environ,
            cwd=self.workspace,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def on_terminal(self, *arguments: str, **environ: str) -> OnTerminal:
        """On a terminal of 80 by 24 that is also its controlling one, so that Ctrl-C is a signal."""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        process = subprocess.Popen(
            [sys.executable, "-c", _ON_TERMINAL, *arguments],
            env=self.environ | {"TERM": "xterm-256color", "PROVISIONING_COLOR": "auto"} | environ,
            cwd=self.workspace,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self.terminals.append(OnTerminal(process, master))
        return self.terminals[-1]


_ON_TERMINAL = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from provisioning_core.cli import main
main()
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """One infra `wuji`: a network and the servers web-1 and web-2, by a provider of files."""
    path = tmp_path / "workspace"
    (path / "infra").mkdir(parents=True)
    provider = "provisioning_core.testing.ledger_provider:LedgerProvider"
    (path / "provisioning.yaml").write_text(f"name: tests\nprovider: {provider}\n")
    (path / "infra" / "wuji.yaml").write_text(INFRA)
    return path


@pytest.fixture
def replay() -> Iterator[Replay]:
    with Replay() as replay:
        yield replay


@pytest.fixture
def program(tmp_path: Path, workspace: Path, replay: Replay) -> Iterator[Program]:
    data = tmp_path / "data"
    data.mkdir()
    (data / "token").write_text(TOKEN)
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PROVISIONING_", "XDG_"))}
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE"):
        ours.pop(name, None)
    (tmp_path / "home").mkdir()
    ours |= {"HOME": str(tmp_path / "home"), "PROVISIONING_URL": replay.url, "PROVISIONING_DATA_DIR": str(data)}
    program = Program(ours | {"PYTHONIOENCODING": "utf-8"}, workspace)
    yield program
    for terminal in program.terminals:
        if terminal.process.poll() is None:
            terminal.process.send_signal(signal.SIGKILL)
            terminal.process.wait()
        os.close(terminal.master)
