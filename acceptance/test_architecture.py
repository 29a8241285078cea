"""The rules of the house that no reviewer should have to look for."""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"provisioning_core": ROOT / "core" / "src", "provisioning_orchestrator": ROOT / "orchestrator" / "src"}
LINES_MAX = 500
LOCKED_EXTRAS = {"core": ("taskservs",)}  # the demo installs services; the clouds are for those who have them
LINES_MEDIAN_MAX = 150


def tracked() -> list[Path]:
    """The files that git knows, except those deleted in the work tree."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


@pytest.fixture(scope="module")
def modules() -> list[Path]:
    return [path for source in PACKAGES.values() for path in sorted(source.rglob("*.py"))]


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    """import-linter over a tree, which is the one that is imported, wherever ours is installed."""
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{root}/core/src:{root}/orchestrator/src"}
    return subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
    )


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of what import-linter reads, for planting faults."""
    for source in PACKAGES.values():
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, tmp_path / source.relative_to(ROOT), ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_imports_go_down_only_and_the_distributions_are_strangers(house: Path) -> None:
    done = lint_imports(house)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("module", "planted"),
    [
        ("orchestrator/src/provisioning_orchestrator/workflow/spec.py", "provisioning_orchestrator.ports"),
        ("orchestrator/src/provisioning_orchestrator/store/__init__.py", "provisioning_orchestrator.runner"),
        ("orchestrator/src/provisioning_orchestrator/ports.py", "provisioning_orchestrator.api"),
        ("orchestrator/src/provisioning_orchestrator/api/__init__.py", "provisioning_core"),
        ("core/src/provisioning_core/errors.py", "provisioning_orchestrator"),
    ],
)
def test_a_planted_import_is_caught(house: Path, module: str, planted: str) -> None:
    with (house / module).open("a") as source:
        source.write(f"\nimport {planted}\n")
    done = lint_imports(house)
    assert done.returncode == 1, done.stdout
    assert "BROKEN" in done.stdout


def test_neither_distribution_names_the_other_in_an_import(modules: list[Path]) -> None:
    """import-linter follows imports; this also sees names given to importlib."""
    for package, source in PACKAGES.items():
        (other,) = set(PACKAGES) - {package}
        for module in modules:
            if module.is_relative_to(source):
                assert not re.search(rf"import.*\b{other}\b|\b{other}\b.*import", module.read_text()), module


def test_modules_stay_small(modules: list[Path]) -> None:
    lines = {str(module.relative_to(ROOT)): len(module.read_text().splitlines()) for module in modules}
    assert {name: count for name, count in lines.items() if count > LINES_MAX} == {}
    assert statistics.median(count for count in lines.values() if count) <= LINES_MEDIAN_MAX


def test_modules_are_nouns_of_the_domain(modules: list[Path]) -> None:
    unwanted = {"util", "utils", "common", "helper", "helpers", "manager", "base", "misc"}
    assert [module for module in modules if module.stem in unwanted or module.parent.name in unwanted] == []


def test_no_tracked_file_names_a_place_on_a_machine_or_a_package_host() -> None:
    """A path below somebody's home or checkout, or the address of a package registry, works on one machine only."""
    places = [
        rb"(?<![\w}])/(?:work|home|Users|root)/[A-Za-z0-9._-]",
        rb"pypi\.org",
        rb"python[h]osted\.org",
        rb"registry\.npmjs",
    ]
    # Examples that a reader knows for what they are.
    allowed = re.compile(rb"/(?:home|root)/\.?(?:ssh|\$|\{|user\b|you\b|x\b|somebody\b|file\b)")
    found = []
    for path in tracked():
        if path == Path(__file__):
            continue
        text = path.read_bytes()
        for place in places:
            found += [
                f"{path.relative_to(ROOT)}: {match.group().decode()}"
                for match in re.finditer(place + rb"[^\s\"'`)]*", text)
                if not allowed.match(match.group())
            ]
    assert found == []


def test_the_locked_requirements_hold_hashes_and_no_place() -> None:
    for path in sorted((ROOT / "requirements").glob("*.txt")):
        text = path.read_text()
        assert "--index-url" not in text and "--find-links" not in text and "://" not in text, path
        for pinned in re.findall(r"^[a-z0-9][^\\]*\\\n(?:    --hash=.*\n)*", text, re.MULTILINE):
            assert "==" in pinned and "--hash=sha256:" in pinned, pinned


@pytest.mark.parametrize("name", ["core", "orchestrator"])
def test_the_locked_requirements_are_those_of_the_package(name: str) -> None:
    """After a change of a pyproject.toml: bin/lock."""
    project = tomllib.loads((ROOT / name / "pyproject.toml").read_text())["project"]
    extras = project.get("optional-dependencies", {})
    asked_for = project["dependencies"] + [each for extra in LOCKED_EXTRAS.get(name, ()) for each in extras[extra]]
    wanted = {re.split(r"[^a-z0-9-]", dependency)[0] for dependency in asked_for}
    blocks = re.split(r"^(?=[a-z0-9])", (ROOT / "requirements" / f"{name}.txt").read_text(), flags=re.MULTILINE)
    asked = {block.split("==")[0] for block in blocks if f"{project['name']} ({name}/pyproject.toml)" in block}
    assert asked == wanted


def test_the_tested_versions_are_the_shipped_ones() -> None:
    def pins(name: str) -> set[str]:
        text = (ROOT / "requirements" / name).read_text()
        return set(re.findall(r"^([a-z0-9.-]+==[^ ;\\]+)", text, re.MULTILINE))

    assert pins("core.txt") | pins("orchestrator.txt") | pins("build.txt") | pins("test.txt") <= pins("dev.txt")


def test_the_licence_is_apache_2() -> None:
    assert (ROOT / "LICENSE").read_text().lstrip().startswith("Apache License")
    for package in ("core", "orchestrator"):
        assert 'license = "Apache-2.0"' in (ROOT / package / "pyproject.toml").read_text()


def test_the_suite_would_notice_a_missing_tree(modules: list[Path]) -> None:
    assert len(modules) > 20 and len(tracked()) > 50


def test_no_deadline_rests_on_wait_for(modules: list[Path]) -> None:
    """Where an answer comes in the same turn as a cancel, Python 3.11's loses the cancel: a check went on for ever."""
    assert [str(path) for path in modules if "asyncio.wait_for(" in path.read_text()] == []
