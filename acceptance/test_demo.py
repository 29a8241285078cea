"""What a newcomer does: a clone, bin/demo, a look around, bin/demo --destroy. The clone's path has a space in it."""

from __future__ import annotations

import os
import pty
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from acceptance.daemon import free_port

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[1]
SERVERS = {"web-1", "web-2", "db-1"}
COMMAND_S = 240


@dataclass(frozen=True)
class Clone:
    root: Path
    home: Path

    def run(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of bin/, through a link, from another directory, with a new HOME and the cached packages."""
        return subprocess.run(
            [str(self._link(command)), *arguments],
            cwd=self.home.parent,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_S,
        )

    def on_a_terminal(self, command: str, *arguments: str) -> str:
        """The same, as typed by somebody: what was shown. Nobody answers questions."""
        ours, theirs = pty.openpty()
        shown = b""
        argv = [str(self._link(command)), *arguments]
        where = self.home.parent
        with subprocess.Popen(
            argv, cwd=where, env=self._environment(), stdin=theirs, stdout=theirs, stderr=theirs
        ) as process:
            os.close(theirs)
            give_up = time.monotonic() + COMMAND_S
            while time.monotonic() < give_up:
                ready = select.select([ours], [], [], 0.5)[0]
                try:
                    shown += os.read(ours, 65536) if ready else b""
                except OSError:  # the last one has closed it
                    break
                if not ready and process.poll() is not None:
                    break
            else:
                process.kill()
            os.close(ours)
        assert process.returncode == 0, shown.decode()
        return shown.decode()

    def _link(self, command: str) -> Path:
        link = self.root.parent / command
        if not link.exists():
            link.symlink_to(self.root / "bin" / command)
        return link

    def _environment(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("PROVISIONING_", "XDG_"))}
        cache = {"PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR") or str(ROOT / ".state" / "cache" / "pip")}
        return ours | cache | {"HOME": str(self.home)}

    def done(self, command: str, *arguments: str) -> str:
        done = self.run(command, *arguments)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def hostnames(self) -> set[str]:
        return {self.done("provisioning", "server", "ssh", name, "--", "uname", "-n").strip() for name in SERVERS}


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Clone]:
    """A copy of what git would give: files that are known or not ignored."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    root = tmp_path / "a clone"
    for name in names:
        if name and (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, root / name)
    home = tmp_path / "home"
    home.mkdir()
    made = Clone(root, home)
    yield made
    made.run("demo", "--destroy")


def test_from_a_clone_to_servers_and_back_to_nothing(clone: Clone) -> None:
    said = clone.done("demo", "--port", str(free_port()))
    assert "From the command to running servers" in said
    assert clone.hostnames() == SERVERS

    said = clone.done("demo")
    assert "Nothing was to be done" in said and "Setting up" not in said

    port = free_port()
    said = clone.done("demo", "--port", str(port))
    assert f"http://127.0.0.1:{port}" in said and "Nothing was to be done" in said
    assert "  enter   bin/provisioning server ssh web-1\n" in said

    said = clone.done("demo", "--tour")
    assert "~ server db-1  plan: 2cpu-4gb -> 2cpu-8gb" in said
    assert "~ taskserv pages.web-1  params.text: welcome to the shop -> the shop is open" in said
    assert "gone        server web-2  deleted behind our back" in said
    assert said.rstrip().rpartition("$ bin/provisioning infra drift wuji")[2].lstrip().startswith("no drift in wuji")
    page = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080').read().decode())"
    shown = clone.done("provisioning", "server", "ssh", "web-2", "--", f'python3 -c "{page}"')
    assert "the shop is open, says web-2" in shown

    # Whoever is in a workspace of their own means that one; the demo means its own all the same.
    (clone.home.parent / "provisioning.yaml").write_text("name: own\nprovider: local\n")
    assert clone.done("provisioning", "workspace", "info", "-o", "name").strip() == "own"
    assert "Nothing was to be done" in clone.done("demo")
    said = clone.done("demo", "--destroy")
    assert "Nothing is left" in said
    assert not (clone.root / ".state" / "demo").exists()
    assert list(clone.home.iterdir()) == []
    assert processes_of(clone) == []


@pytest.mark.parametrize("port", ["0", "65536", "x"])
def test_a_port_that_is_none_is_refused_before_anything_is_set_up(clone: Clone, port: str) -> None:
    refused = clone.run("demo", "--port", port)
    assert refused.returncode == 2
    assert f"'{port}' is no port; accepted: 1 to 65535" in refused.stdout
    assert not (clone.root / ".state").exists()


def test_a_kill_of_the_daemon_in_the_middle_makes_no_server_twice(clone: Clone) -> None:
    said = clone.on_a_terminal("demo", "--kill", "--port", str(free_port()))
    assert ">>> kill -9" in said
    assert clone.hostnames() == SERVERS
    listed = clone.done("provisioning", "server", "list", "-o", "name").split()
    assert sorted(listed) == sorted(SERVERS)


def test_a_workspace_that_was_spoilt_is_destroyed_all_the_same(clone: Clone) -> None:
    clone.done("demo", "--port", str(free_port()))
    (clone.root / ".state" / "demo" / "workspace" / "provisioning.yaml").write_text("nme: x\n")
    said = clone.done("demo", "--destroy")
    assert "unknown field 'nme'" in said and "Nothing is left" in said
    assert not (clone.root / ".state" / "demo").exists()
    assert processes_of(clone) == []


def test_a_taken_port_is_named_with_its_owner_and_another_is_chosen(clone: Clone) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (clone.root / ".state" / "demo").mkdir(parents=True)
        (clone.root / ".state" / "demo" / "port").write_text(f"{port}\n")
        said = clone.done("demo")
        assert f"Port {port} is taken by" in said and f"(pid {os.getpid()})" in said
        assert clone.hostnames() == SERVERS
        refused = clone.run("demo", "--destroy")
        assert refused.returncode == 0, refused.stdout


@pytest.mark.nu
def test_the_operations_in_nushell_make_the_same_servers(clone: Clone) -> None:
    if (ROOT / ".state" / "nu").exists():  # or the nu on PATH, or a new one by npm
        shutil.copytree(ROOT / ".state" / "nu", clone.root / ".state" / "nu", symlinks=True)
    clone.done("demo", "--nu", "--port", str(free_port()))
    assert clone.hostnames() == SERVERS


def processes_of(clone: Clone) -> list[str]:
    """Command lines of processes that name the clone."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(clone.root) in command:
            found.append(command)
    return found
