"""Make the environments of this clone: `.state/core`, `.state/orchestrator`, `.state/dev` and `.state/nu`.

Each is described by files (`requirements/*.txt`, a `pyproject.toml`) and carries a stamp, written last: the clone's
path, the interpreter, the digest of those files. A stamp that fits means that nothing is to be done. None, or one of
another path or interpreter (an interrupted run, a moved clone, a removed Python): the environment is made anew. One of
other files: it is brought up to date in place. One set-up runs at a time, by a lock that ends with its process.

Everything is written below `.state/`; pip and npm keep their caches there too, unless PIP_CACHE_DIR or npm_config_cache
name another place. pip does the work, because it is there: uv was 2.4 times faster here, but it would first have to be
fetched, and both environments are made side by side in under five seconds (docs/decisions/001-packaging.md).
"""

from __future__ import annotations

import compileall
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / ".state"
LOG = STATE / "setup.log"
# Not sys.executable: that may be a link in a virtual environment, or one that the next upgrade turns elsewhere.
BASE_PYTHON = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
LOG_TAIL_LINES = 15


USAGE = """\
bin/setup [core] [orchestrator] [dev] [nu] [workspace]      without names: core and orchestrator

Make the environments of this clone, in .state/: what is there and up to date costs nothing.
core and orchestrator are the two programs, dev is what bin/test runs in, nu the Nushell of its tests, workspace
the demo's copy of examples/wuji."""


class SetupFailed(Exception):
    """What was being done, what came of it, what to do now."""


@dataclass(frozen=True)
class Environment:
    """name: also its directory. packages: ours, installed so that edits count at once. sources: what makes it."""

    name: str
    requirements: str
    packages: tuple[str, ...]

    @property
    def directory(self) -> Path:
        return STATE / self.name

    @property
    def sources(self) -> list[Path]:
        named = [ROOT / "requirements" / self.requirements, ROOT / "requirements" / "build.txt"]
        return named + [ROOT / package / "pyproject.toml" for package in self.packages]


ENVIRONMENTS = {
    "core": Environment("core", "core.txt", ("core",)),
    "orchestrator": Environment("orchestrator", "orchestrator.txt", ("orchestrator",)),
    "dev": Environment("dev", "dev.txt", ("core", "orchestrator")),
}
WORKSPACE = "workspace"
NU = "nu"
NU_PACKAGE = "nushell@0.115.1"  # an npm package that ships the binary, one exact version for every platform


def main(names: Sequence[str]) -> int:
    if {"-h", "--help"} & set(names):
        print(USAGE)
        return 0
    unknown = [name for name in names if name not in (*ENVIRONMENTS, NU, WORKSPACE)]
    if unknown:
        known = ", ".join((*ENVIRONMENTS, NU, WORKSPACE))
        print(f"bin/setup: nothing is named {unknown[0]!r}; there are {known}", file=sys.stderr)
        return 2
    try:
        STATE.mkdir(exist_ok=True)
        with one_at_a_time():
            make_stale(names or ["core", "orchestrator"])
    except SetupFailed as error:
        print(f"bin/setup: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # no room, no right to write, not ours
        print(f"bin/setup: cannot write in {STATE}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bin/setup: interrupted; the next run goes on from here", file=sys.stderr)
        return 130
    return 0


def make_stale(names: Sequence[str]) -> None:
    """Make what is not up to date of these, side by side."""
    stale = [ENVIRONMENTS[name] for name in names if name in ENVIRONMENTS and not fresh(ENVIRONMENTS[name])]
    if stale:
        LOG.write_text("")
        say(f"Setting up in {STATE} (Python {sys.version.split()[0]}, log in .state/setup.log)")
        pip = pip_command()
        with ThreadPoolExecutor() as pool:
            builder = pool.submit(make_builder, pip)
            made = [
                pool.submit(phase, env.name, lambda env=env: make(env, pip, builder.result))  # type: ignore[misc]
                for env in stale
            ]
            for each in made:
                each.result()
    if NU in names:
        make_nu()
    if WORKSPACE in names:
        make_workspace()


# --- one environment -------------------------------------------------------------------------------------------------


def make(env: Environment, pip: Sequence[str], builder: Callable[[], None]) -> None:
    """Bring the environment up to date; its stamp is away meanwhile, so that an interruption is seen."""
    before = read_stamp(env.directory)
    forget_stamp(env.directory)
    if before is None or before[:2] != identity():
        shutil.rmtree(env.directory, ignore_errors=True)
        run([str(BASE_PYTHON), "-m", "venv", "--without-pip", str(env.directory)], f"making {env.directory}")
    into = [*pip, "--python", str(env.directory), "install", "--quiet"]
    requirements = ROOT / "requirements" / env.requirements
    run([*into, "--require-hashes", "-r", str(requirements)], f"installing requirements/{requirements.name}")
    builder()
    ours = [argument for package in env.packages for argument in ("--editable", str(ROOT / package))]
    # The build tools come by PYTHONPATH: the environment itself holds nothing that its program does not need.
    run(
        [*into, "--no-deps", "--no-build-isolation", "--force-reinstall", *ours],
        f"installing {' and '.join(env.packages)}",
        {"PYTHONPATH": str(STATE / "build")},
    )
    for package in env.packages:
        compileall.compile_dir(ROOT / package / "src", quiet=2)
    write_stamp(env.directory, env.sources)


def make_builder(pip: Sequence[str]) -> None:
    """hatchling in `.state/build`, which builds our two packages."""
    directory, sources = STATE / "build", [ROOT / "requirements" / "build.txt"]
    if read_stamp(directory) == (*identity(), digest(sources)):
        return
    shutil.rmtree(directory, ignore_errors=True)
    command = [*pip, "install", "--quiet", "--target", str(directory), "--require-hashes", "-r", str(sources[0])]
    phase("build tools", lambda: run(command, "installing requirements/build.txt"))
    write_stamp(directory, sources)


def make_nu() -> None:
    """The pinned Nushell at `.state/nu/bin/nu`, by npm. Where that cannot be, say so and go on without."""
    directory = STATE / NU
    if (directory / "package").is_file() and (directory / "package").read_text() == NU_PACKAGE:
        return
    npm = shutil.which("npm")
    if npm is None:
        there = shutil.which("nu")
        say(f"  no npm here: {f'Nushell is {there}' if there else 'and no nu, so the tests with Nushell are skipped'}")
        return
    try:
        phase("nushell", lambda: install_nu(npm, directory))
    except SetupFailed as error:
        say(f"  Nushell is not there, its tests are skipped: {error}")


def install_nu(npm: str, directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    options = ["--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
    cache = {} if "npm_config_cache" in os.environ else {"npm_config_cache": str(STATE / "cache" / "npm")}
    run([npm, "install", *options, "--prefix", str(directory), NU_PACKAGE], "installing Nushell", cache)
    binaries = sorted(directory.glob("node_modules/@nushell/*/bin/nu"))
    if not binaries:
        raise SetupFailed("its npm package has no binary for this machine")
    (directory / "bin").mkdir()
    (directory / "bin" / "nu").symlink_to(os.path.relpath(binaries[0], directory / "bin"))
    (directory / "package").write_text(NU_PACKAGE)


def make_workspace() -> None:
    """The demo's own copy of the example, `.state/demo/workspace`: the checkout stays clean of what the demo makes."""
    copy = STATE / "demo" / "workspace"
    if not copy.exists():
        shutil.rmtree(copy.with_suffix(".new"), ignore_errors=True)
        shutil.copytree(ROOT / "examples" / "wuji", copy.with_suffix(".new"))
        copy.with_suffix(".new").rename(copy)


# --- pip -------------------------------------------------------------------------------------------------------------


def pip_command() -> list[str]:
    """A pip that can install into another environment: this Python's own, else one made in `.state/pip`."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    if importlib.util.find_spec("ensurepip") is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise SetupFailed(
            f"{sys.executable} has neither pip nor ensurepip. "
            f"Debian, Ubuntu: apt install python3-pip python{version}-venv. Fedora: dnf install python3-pip."
        )
    directory = STATE / "pip"
    if read_stamp(directory) != (*identity(), digest([])):
        shutil.rmtree(directory, ignore_errors=True)
        run([str(BASE_PYTHON), "-m", "venv", str(directory)], "making a pip of our own")
        write_stamp(directory, [])
    return [str(directory / "bin" / "python"), "-m", "pip"]


def run(command: Sequence[str], doing: str, extra: dict[str, str] | None = None) -> None:
    """Run it with its output in the log; SetupFailed carries the end of what it said."""
    # Settings of somebody's own pip that would send packages elsewhere.
    elsewhere = {
        "PIP_USER",
        "PIP_TARGET",
        "PIP_PREFIX",
        "PIP_ROOT",
        "PIP_REQUIRE_VIRTUALENV",
        "PYTHONPATH",
        "PYTHONHOME",
    }
    environment = {name: value for name, value in os.environ.items() if name not in elsewhere}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # without .pyc files every command starts at half the speed
    environment.setdefault("PIP_CACHE_DIR", str(STATE / "cache" / "pip"))
    if not os.path.exists(os.path.expanduser("~/.rustup")):  # noqa: PTH110, PTH111 - Path fails where nobody knows a home
        # pip asks `rustc` for its version, and where that is rustup's proxy, it would make a file in HOME.
        environment.setdefault("RUSTUP_HOME", str(STATE / "cache" / "rustup"))
    environment |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"} | (extra or {})
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        close_fds=False,  # it holds the lock too: were this process killed, the next would wait for what still writes
    )
    with LOG.open("a") as log:
        log.write(f"$ {' '.join(command)}\n{done.stdout}exit {done.returncode}\n")
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if not line.startswith("WARNING:")]
        tail = "\n".join(f"    {line}" for line in lines[-LOG_TAIL_LINES:])
        raise SetupFailed(f"{doing} failed (exit {done.returncode}); all of it is in {LOG}:\n{tail}")


# --- stamps, the lock, words -----------------------------------------------------------------------------------------


def fresh(env: Environment) -> bool:
    if (
        read_stamp(env.directory) != (*identity(), digest(env.sources))
        or not (env.directory / "bin" / "python").exists()
    ):
        return False
    # The commands of bin/ compare times first, and come here when a source is newer: a checkout of the same text is.
    os.utime(env.directory / "stamp")
    return True


def identity() -> tuple[str, str]:
    """An environment holds absolute paths: to where it lies, and to its interpreter."""
    return str(ROOT), f"{BASE_PYTHON} {sys.version.split()[0]}"


def digest(sources: Sequence[Path]) -> str:
    return hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()


def read_stamp(directory: Path) -> tuple[str, str, str] | None:
    try:
        path, interpreter, files = (directory / "stamp").read_text().splitlines()
    except (OSError, ValueError):
        return None
    return path, interpreter, files


def write_stamp(directory: Path, sources: Sequence[Path]) -> None:
    """The clone's path is the first line: the commands of bin/ read only that."""
    text = "\n".join((*identity(), digest(sources))) + "\n"
    (directory / "stamp.new").write_text(text)
    (directory / "stamp.new").replace(directory / "stamp")


def forget_stamp(directory: Path) -> None:
    (directory / "stamp").unlink(missing_ok=True)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    with (STATE / "setup.lock").open("w") as lock:
        os.set_inheritable(lock.fileno(), True)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another set-up of this clone to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def phase(name: str, work: Callable[[], None]) -> None:
    begun = time.monotonic()
    work()
    say(f"  {name:<12} {time.monotonic() - begun:5.1f} s")


def say(line: str) -> None:
    """On standard error: standard output belongs to the command that is being set up for."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
