"""Wheel and sdist of each distribution, and environments with a wheel alone: made once for all of pytest-xdist.

Two kinds of environments. In the one of `installed`, pip has installed the wheel with what it asks for at least, as a
user does. In the one of `install_with_extras` is also what extras ask for. It is linked from the environment that the
tests run in, by the wheel's own metadata: nothing that is not asked for is there, and nothing is unpacked twice.
"""

from __future__ import annotations

import fcntl
import importlib.metadata
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
BUILD_S = 300


@dataclass(frozen=True)
class Distribution:
    """name: also its directory. other: what must not be there. carried: directories beside src/, by their place in the
    package."""

    name: str
    package: str
    program: str
    other: str
    carried: Mapping[str, str]

    @property
    def source(self) -> Path:
        return ROOT / self.name

    @property
    def project(self) -> str:
        return self.package.replace("_", "-")


CORE = Distribution(
    "core",
    "provisioning_core",
    "provisioning",
    "provisioning_orchestrator",
    {"library": "library", "library-nu": "library-nu", "taskservs": "taskservs/builtin"},
)
ORCHESTRATOR = Distribution(
    "orchestrator", "provisioning_orchestrator", "provisioning-orchestrator", "provisioning_core", {}
)
DISTRIBUTIONS = (CORE, ORCHESTRATOR)


@dataclass(frozen=True)
class Built:
    distribution: Distribution
    wheel: Path
    sdist: Path

    def in_wheel(self) -> dict[str, bytes]:
        """What it installs, by path; without the metadata."""
        return {name: data for name, data in read_wheel(self.wheel).items() if ".dist-info/" not in name}

    def metadata(self) -> list[str]:
        (data,) = [data for name, data in read_wheel(self.wheel).items() if name.endswith(".dist-info/METADATA")]
        return data.decode().splitlines()

    def in_sdist(self) -> dict[str, bytes]:
        """By path below its one directory; without what the build writes itself."""
        with tarfile.open(self.sdist) as archive:
            found = {
                member.name.partition("/")[2]: archive.extractfile(member) for member in archive if member.isfile()
            }
            return {name: data.read() for name, data in found.items() if data and name != "PKG-INFO"}


@dataclass(frozen=True)
class Installed:
    built: Built
    bin: Path

    @property
    def distribution(self) -> Distribution:
        return self.built.distribution

    @property
    def program(self) -> Path:
        return self.bin / self.distribution.program

    def run(
        self,
        *command: str | Path,
        at: Path | None = None,
        extra: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
    ) -> subprocess.CompletedProcess[str]:
        """Away from the checkout (at: else beside the environment), with nothing of this process's environment."""
        keep = {"PATH": f"{self.bin}:{os.environ['PATH']}", "LANG": "C.UTF-8", "TERM": "dumb"}
        keep["HOME"] = str(at or self.bin.parent)
        return subprocess.run(
            [str(part) for part in command],
            cwd=at or self.bin.parent,
            env=keep | dict(extra or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
        )


# --- made once -------------------------------------------------------------------------------------------------------


@contextmanager
def made_once(factory: pytest.TempPathFactory, name: str) -> Iterator[tuple[Path, bool]]:
    """A directory that all processes of pytest-xdist share, and whether it is whole; if not, the caller makes it."""
    temporary = factory.getbasetemp()
    shared = temporary.parent if os.environ.get("PYTEST_XDIST_WORKER") else temporary
    room = shared / name
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield room, (room / "complete").exists()
        (room / "complete").touch()


def build(distribution: Distribution, factory: pytest.TempPathFactory) -> Built:
    with made_once(factory, f"wheel-{distribution.name}") as (room, whole):
        if not whole:
            checked([sys.executable, "-m", "hatchling", "build", "-d", str(room)], cwd=distribution.source)
    (wheel,) = room.glob("*.whl")
    (sdist,) = room.glob("*.tar.gz")
    return Built(distribution, wheel, sdist)


def install(built: Built, factory: pytest.TempPathFactory) -> Installed:
    """The wheel with what it asks for without extras, in the pinned versions, by pip."""
    pip = pip_command(factory)
    with made_once(factory, f"environment-{built.distribution.name}") as (room, whole):
        if not whole:
            checked([sys.executable, "-m", "venv", "--without-pip", str(room)])
            versions = room / "versions.txt"
            versions.write_text(pinned(built.distribution))
            into = [*pip, "--python", str(room), "install", "--quiet"]
            checked([*into, "--constraint", str(versions), str(built.wheel)])
    return Installed(built, room / "bin")


def install_with_extras(built: Built, factory: pytest.TempPathFactory, *extras: str) -> Installed:
    """The wheel by pip, and what it asks for with these extras by links."""
    pip = pip_command(factory)
    with made_once(factory, f"extras-{built.distribution.name}") as (room, whole):
        if not whole:
            checked([sys.executable, "-m", "venv", "--without-pip", str(room)])
            checked([*pip, "--python", str(room), "install", "--quiet", "--no-deps", str(built.wheel)])
            (site,) = room.glob("lib/python*/site-packages")
            # The versions of the wheel's own metadata count, not those of the editable one beside the tests.
            requires = [line.partition(": ")[2] for line in built.metadata() if line.startswith("Requires-Dist:")]
            link_packages(site, requires, frozenset(extras), of=built.distribution.project)
    return Installed(built, room / "bin")


def link_tools(factory: pytest.TempPathFactory) -> Path:
    """A directory for PYTHONPATH with what the tests of both import beyond the distributions: requirements/test.in."""
    with made_once(factory, "test-tools") as (room, whole):
        if not whole:
            room.mkdir(exist_ok=True)
            lines = (ROOT / "requirements" / "test.in").read_text().splitlines()
            link_packages(room, [line for line in lines if line and not line.startswith("#")], frozenset())
    return room


def pip_command(factory: pytest.TempPathFactory) -> list[str]:
    """A pip that installs into other environments: the tests' own has none, and a base Python need not have one."""
    with made_once(factory, "pip") as (room, whole):
        if not whole:
            checked([sys.executable, "-m", "venv", str(room)])
    return [str(room / "bin" / "python"), "-m", "pip"]


def pinned(distribution: Distribution) -> str:
    """The versions of requirements/*.txt as constraints. (With their hashes pip would want one of our wheel, too.)"""
    locked = (ROOT / "requirements" / f"{distribution.name}.txt").read_text()
    return "".join(f"{line}\n" for line in re.findall(r"^([a-z0-9][^\\\n]*?) *\\?$", locked, re.MULTILINE))


def checked(command: list[str], cwd: Path | None = None) -> None:
    """Run it with the package cache that bin/setup filled; what it says is in the failure."""
    cache = {"PIP_CACHE_DIR": str(ROOT / ".state" / "cache" / "pip"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    cache |= {"RUSTUP_HOME": str(ROOT / ".state" / "cache" / "rustup")}  # pip asks rustc for its version: see bin/setup
    done = subprocess.run(
        command,
        cwd=cwd,
        env=cache | os.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_S,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}"


# --- links in place of an installer ----------------------------------------------------------------------------------


def link_packages(site: Path, requires: list[str], extras: frozenset[str], *, of: str = "") -> None:
    """Link the named distributions, and what they ask for in turn, from this environment. of: whose `requires`."""
    waiting = [(Requirement(line), extras) for line in requires]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement, asked = waiting.pop()
        if not applies(requirement, asked):
            continue
        wanted = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if wanted in seen:
            continue
        seen.add(wanted)
        if wanted[0] == canonicalize_name(of):  # `all` is made of the other extras
            waiting += [(Requirement(line), wanted[1]) for line in requires]
            continue
        found = importlib.metadata.distribution(requirement.name)
        assert requirement.specifier.contains(found.version, True), f"{requirement}, but here is {found.version}"
        for top in {file.parts[0] for file in found.files or [] if file.parts[0] not in ("..", "__pycache__")}:
            if not (site / top).exists():  # parts of a namespace lie in one directory
                (site / top).symlink_to(str(found.locate_file(top)))
        waiting += [(Requirement(line), wanted[1]) for line in found.requires or []]


def applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras | {""})


# --- contents --------------------------------------------------------------------------------------------------------


def read_wheel(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as wheel:
        return {name: wheel.read(name) for name in wheel.namelist() if not name.endswith("/")}


def known(distribution: Distribution, *within: str) -> dict[str, bytes]:
    """The files that git knows, or would take, below these places of the distribution; by path within it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *within],
        cwd=distribution.source,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    return {name: path.read_bytes() for name in listed if name and (path := distribution.source / name).is_file()}


def expected_in_wheel(distribution: Distribution) -> dict[str, bytes]:
    places = {f"src/{distribution.package}/": f"{distribution.package}/"}
    places |= {f"{here}/": f"{distribution.package}/{there}/" for here, there in distribution.carried.items()}
    return {
        there + name.removeprefix(here): data
        for here, there in places.items()
        for name, data in known(distribution, here).items()
    }
