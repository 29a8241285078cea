"""Each distribution is built, installed alone, with the pinned versions of its own dependencies, and tested alone.

A workspace environment that holds both would hide a wrong import; these environments cannot.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[1]
BUILD_S, TESTS_S = 180, 1200


@dataclass(frozen=True)
class Distribution:
    """name: also its directory. other: what must not be there."""

    name: str
    package: str
    program: str
    other: str

    @property
    def source(self) -> Path:
        return ROOT / self.name


CORE = Distribution("core", "provisioning_core", "provisioning", "provisioning_orchestrator")
ORCHESTRATOR = Distribution(
    "orchestrator", "provisioning_orchestrator", "provisioning-orchestrator", "provisioning_core"
)


@dataclass(frozen=True)
class Installed:
    distribution: Distribution
    wheel: Path
    sdist: Path
    bin: Path

    def run(self, *command: str | Path, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Away from the checkout, with nothing of this environment's."""
        keep = {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "HOME": str(self.bin.parent),
            "LANG": "C.UTF-8",
            "TERM": "dumb",
        }
        return subprocess.run(
            [str(part) for part in command],
            cwd=self.bin.parent,
            env=keep,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )


@pytest.fixture(scope="module", params=[CORE, ORCHESTRATOR], ids=lambda distribution: distribution.name)
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Wheel and sdist of one distribution, and an environment with the wheel and its pinned requirements alone."""
    distribution: Distribution = request.param
    temporary = tmp_path_factory.getbasetemp()
    # Made once, whichever of pytest-xdist's processes comes first.
    shared = temporary.parent if os.environ.get("PYTEST_XDIST_WORKER") else temporary
    room = shared / f"wheel-{distribution.name}"
    with (shared / f"{room.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (room / "complete").exists():
            build_and_install(distribution, room)
            (room / "complete").touch()
    (wheel,) = (room / "dist").glob("*.whl")
    (sdist,) = (room / "dist").glob("*.tar.gz")
    return Installed(distribution, wheel, sdist, room / "environment" / "bin")


def build_and_install(distribution: Distribution, room: Path) -> None:
    checked([sys.executable, "-m", "hatchling", "build", "-d", str(room / "dist")], cwd=distribution.source)
    checked([sys.executable, "-m", "venv", str(room / "environment")])
    pip = [str(room / "environment" / "bin" / "pip"), "install", "--quiet"]
    checked([*pip, "--require-hashes", "-r", str(ROOT / "requirements" / f"{distribution.name}.txt")])
    checked([*pip, "--no-deps", *map(str, (room / "dist").glob("*.whl"))])


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


def test_the_wheel_alone_runs_its_program_and_cannot_see_the_other(installed: Installed) -> None:
    done = installed.run(installed.bin / installed.distribution.program, "--version")
    assert (done.returncode, done.stdout.strip()[-5:]) == (0, "0.1.0"), done
    python = installed.bin / "python"
    assert installed.run(python, "-c", f"import {installed.distribution.package}").returncode == 0
    refused = installed.run(python, "-c", f"import {installed.distribution.other}")
    assert "ModuleNotFoundError" in refused.stderr


def test_its_metadata_asks_for_nothing_of_ours(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as wheel:
        (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = wheel.read(name).decode().splitlines()
    requires = [line for line in metadata if line.startswith("Requires-Dist:")]
    assert requires and not [line for line in requires if "provisioning" in line]
    assert "License-Expression: Apache-2.0" in metadata


def test_its_pinned_requirements_are_complete(installed: Installed) -> None:
    done = installed.run(installed.bin / "pip", "check")
    assert done.returncode == 0, done.stdout


def test_the_wheel_holds_the_package_as_it_is_in_the_checkout(installed: Installed) -> None:
    """Modules, SQL files, libraries, copies of the contract: nothing is left out, nothing else is let in."""
    distribution = installed.distribution
    expected = contents(distribution.source / "src" / distribution.package, distribution.package)
    if distribution is CORE:
        for library in ("library", "library-nu"):
            expected |= contents(distribution.source / library, f"{distribution.package}/{library}")
        expected |= contents(distribution.source / "taskservs", f"{distribution.package}/taskservs/builtin")
    with zipfile.ZipFile(installed.wheel) as wheel:
        carried = {name: wheel.read(name) for name in wheel.namelist() if ".dist-info/" not in name}
    assert carried.keys() == expected.keys()
    assert [name for name, data in expected.items() if carried[name] != data] == []


def test_executables_of_a_library_stay_executable_in_the_wheel() -> None:
    """An operation without a suffix is known by its executable bit, which pip keeps only if the wheel says so."""
    expected = {
        path.relative_to(CORE.source).as_posix()
        for library in ("library", "library-nu")
        for path in (CORE.source / library).rglob("*")
        if path.is_file() and not path.suffix and path.name != ".keep"
    }
    assert [name for name in expected if not os.access(CORE.source / name, os.X_OK)] == []


def test_copies_of_the_contract_equal_the_contract() -> None:
    """Files of a package that carry the name of a file of the contract are copies of it."""
    contract = {path.name: path for path in (ROOT / "contract").rglob("*.json")}
    assert contract
    for distribution in (CORE, ORCHESTRATOR):
        for copy in (distribution.source / "src").rglob("contract/**/*.json"):
            assert copy.read_bytes() == contract[copy.name].read_bytes(), f"{copy} differs from contract/"


def test_the_sdist_alone_passes_its_own_tests(installed: Installed, tmp_path: Path) -> None:
    """From the unpacked sdist, against the installed wheel: all but what the whole suite alone runs, which is the slow
    ones, those that need Nushell, and those of providers: they need the SDKs of the extras."""
    with tarfile.open(installed.sdist) as sdist:
        sdist.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    for shared in ("contract", "docs", "examples"):  # data that the tests of both read, beside the distribution as here
        shutil.copytree(ROOT / shared, tmp_path / shared)
    pip = [str(installed.bin / "pip"), "install", "--quiet"]
    checked([*pip, "--require-hashes", "-r", str(ROOT / "requirements" / "test.txt")])
    done = installed.run(
        installed.bin / "python",
        *("-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "--disable-warnings", "--import-mode=importlib"),
        *("-m", "not slow and not long and not nu", f"--ignore={unpacked / 'tests/providers'}"),
        *("--rootdir", unpacked, unpacked / "tests"),
        timeout_s=TESTS_S,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def contents(directory: Path, prefix: str) -> dict[str, bytes]:
    """Every file that belongs into a wheel, by its path in there."""
    return {
        f"{prefix}/{path.relative_to(directory).as_posix()}": path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
