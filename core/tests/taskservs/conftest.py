"""Servers for taskservs: real local machines, one per test, or one per module where tests do not disturb each other.

Packages that went to one server are kept for the next, in a directory that outlives the run where a checkout has one.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.errors import ConflictError
from provisioning_core.taskservs.folders import builtin_root
from provisioning_core.taskservs.marker import Marker
from provisioning_core.taskservs.offers import look
from provisioning_core.taskservs.proxying import source_hosts
from provisioning_core.taskservs.remote import Ended, connected
from provisioning_core.trial import SERVER, Bench, bench
from provisioning_core.workspace import Workspace, load_workspace

CHECKOUT = Path(__file__).parents[3]


@pytest.fixture(autouse=True, scope="session")
def package_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Where the lent proxy keeps packages, instead of in the home of whoever runs the tests."""
    state = CHECKOUT / ".state"
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(state / "cache") if state.is_dir() else str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = before


@pytest.fixture(scope="session")
def sources() -> None:
    """Skips where this machine reaches no package sources."""
    hosts = source_hosts()
    if not hosts:
        pytest.skip("this machine has no package sources (/etc/apt)")
    try:
        urllib.request.urlopen(f"http://{hosts[0]}/", timeout=10).close()
    except urllib.error.HTTPError:
        pass  # it answers
    except OSError as error:
        pytest.skip(f"the package source {hosts[0]} cannot be reached: {error}")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Without servers."""
    path = tmp_path / "workspace"
    (path / "infra").mkdir(parents=True)
    (path / "provisioning.yaml").write_text("name: ws\nprovider: local\n")
    return load_workspace(path)


class Box(Bench):
    """A bench, and questions to its server."""

    def says(self, line: str) -> str:
        ended = self.run(line)
        assert ended.code == 0, ended.last_words
        return ended.out.strip()

    def run(self, line: str) -> Ended:
        async def run() -> Ended:
            async with connected(self.server.attributes["ssh"]) as remote:
                return await remote.run(line)

        return asyncio.run(run())

    def markers(self) -> dict[str, Marker]:
        async def seen() -> dict[str, Marker]:
            async with connected(self.server.attributes["ssh"]) as remote:
                return dict((await look(remote, self.server.attributes)).markers)

        return asyncio.run(seen())

    def add(self, name: str, manifest: str, **files: str) -> Path:
        """A taskserv of the workspace. files: their names with `__` for the dot."""
        folder = self.workspace.path / "taskservs" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "taskserv.yaml").write_text(f"name: {name}\n{manifest}")
        for file, text in files.items():
            (folder / file.replace("__", ".")).write_text(text)
        return folder

    def add_builtin(self, name: str) -> None:
        shutil.copytree(builtin_root() / name, self.workspace.path / "taskservs" / name, dirs_exist_ok=True)


Boxes = Callable[[Any], Box]


def _box(level: Any) -> Iterator[Box]:
    said: list[str] = []
    try:
        with bench(level, [], said.append) as made:
            yield Box(made.workspace, made.server, said.append)
    except ConflictError as error:
        if error.code != "unsupported_server":
            raise
        pytest.skip(error.message)


@pytest.fixture
def namespace_box() -> Iterator[Box]:
    """A server with one user id, into which nothing can be installed by apt."""
    yield from _box("namespace")


@pytest.fixture(scope="module")
def image_box(sources: None) -> Iterator[Box]:
    """A server with packages and users, shared by a module's tests."""
    yield from _box("image")


def given(name: str, params: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"infra": "trial", "name": name, "taskserv": name, "server": SERVER, "params": params} | more
