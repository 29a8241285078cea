"""Each distribution is built, installed alone, with the pinned versions of its own dependencies, and tested alone.

A workspace environment that holds both would hide a wrong import; these environments cannot. What may differ between a
wheel and the checkout is tried here, and no more: which files there are, where they lie, what is installed beside them,
the entry points. The rest of a distribution's tests would only say again what they say in the checkout.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import sys
import tarfile
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from acceptance.daemon import free_port
from acceptance.wheels import (
    CORE,
    DISTRIBUTIONS,
    ORCHESTRATOR,
    ROOT,
    Built,
    Distribution,
    Installed,
    build,
    checked,
    expected_in_wheel,
    install,
    install_with_extras,
    known,
    link_tools,
    pip_command,
    read_wheel,
)

pytestmark = pytest.mark.slow
TESTS_S = 600
EXTRAS = ("all",)
# What the extras bring, as it is imported; and Ansible's own process, in which one of our modules is loaded.
MODULES_OF_EXTRAS = {
    "upcloud_api",
    "requests",
    "boto3",
    "botocore",
    "hcloud",
    "pyinfra",
    "kcl_lib",
    "keyring",
    "pyrage",
}
MODULES_OF_EXTRAS |= {"moto", "ansible"}
# Tests of what finds files of the package, its entry points, its extras, and programs that it starts, by their place.
WHERE_PLACES_COUNT = {
    "core": (
        *(
            "cli/test_conventions.py",
            "cli/test_provider.py",
            "cli/test_workspace_commands.py",
            "definitions/test_schema.py",
        ),
        *("definitions/test_founding.py", "direct/test_direct.py", "taskservs", "providers/executable/test_plugins.py"),
    ),
    "orchestrator": ("api", "daemon", "runner", "store"),
}
# The conformance suite for AWS costs more than all these, and finds nothing in a wheel that the others would not.
OF_CLOUDS = (
    *("providers/aws/test_provider.py", "providers/hetzner/test_provider.py", "providers/upcloud/test_provider.py"),
    *("providers/hetzner/test_conformance.py", "providers/upcloud/test_conformance.py"),
)
IMPORT_ALL = """
import importlib, json, pkgutil, sys
package = importlib.import_module(sys.argv[1])
missing = {}
for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".", onerror=lambda name: None):
    if module.name.endswith("__main__"):
        continue
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        missing[module.name] = error.name
print(json.dumps(missing))
"""


@pytest.fixture(scope="module", params=DISTRIBUTIONS, ids=lambda distribution: distribution.name)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(request.param, tmp_path_factory)


@pytest.fixture(scope="module")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """With what it needs at least."""
    return install(built, tmp_path_factory)


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(build(CORE, tmp_path_factory), tmp_path_factory)


@pytest.fixture(scope="module")
def orchestrator(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(build(ORCHESTRATOR, tmp_path_factory), tmp_path_factory)


@pytest.fixture(scope="module")
def core_with_extras(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install_with_extras(build(CORE, tmp_path_factory), tmp_path_factory, *EXTRAS)


# --- contents --------------------------------------------------------------------------------------------------------


def test_the_wheel_holds_the_package_as_git_knows_it(built: Built) -> None:
    """Modules, SQL, schemas, templates, libraries, taskservs, py.typed: nothing is left out, nothing else is let in."""
    expected, carried = expected_in_wheel(built.distribution), built.in_wheel()
    assert sorted(expected.keys() - carried.keys()) == []
    assert sorted(carried.keys() - expected.keys()) == []
    assert [name for name, data in expected.items() if carried[name] != data] == []


def test_the_suite_would_notice_a_missing_file() -> None:
    """One of each sort of data, by name: a mistake in `known` must not compare nothing with nothing."""
    core, orchestrator = expected_in_wheel(CORE), expected_in_wheel(ORCHESTRATOR)
    assert len(core) > 200 and len(orchestrator) > 50
    for name in (
        "provisioning_core/py.typed",
        "provisioning_core/nushell/provisioning.nu",
        "provisioning_core/providers/executable/practice/practice.nu",
        "provisioning_core/providers/executable/contract/provider.json",
        "provisioning_core/schema/infra.schema.json",
        "provisioning_core/workspaces/layouts/wuji-like/infra/wuji.yaml",
        "provisioning_core/library/servers/create-one.toml",
        "provisioning_core/library-nu/servers/create-one.nu",
        "provisioning_core/taskservs/builtin/nginx/templates/site.conf.j2",
    ):
        assert name in core
    assert "provisioning_orchestrator/store/sql/write.sql" in orchestrator
    assert "provisioning_orchestrator/py.typed" in orchestrator


def test_the_sdist_holds_all_that_git_knows_of_the_distribution(built: Built) -> None:
    expected, carried = known(built.distribution, "."), built.in_sdist()
    carried.pop(".gitignore", None)  # hatchling brings it from above, to leave out the same
    assert sorted(expected.keys() - carried.keys()) == []
    assert sorted(carried.keys() - expected.keys()) == []
    assert [name for name, data in expected.items() if carried[name] != data] == []


def test_a_wheel_made_from_the_sdist_is_the_same(built: Built, tmp_path: Path) -> None:
    """Which is what pip makes where it is given no wheel."""
    source = unpack(built, tmp_path)
    checked([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")], cwd=source)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    assert read_wheel(wheel) == read_wheel(built.wheel)


def test_executables_of_a_library_stay_executable_in_the_wheel() -> None:
    """An operation without a suffix is known by its executable bit, which pip keeps only if the wheel says so."""
    names = [name for name in known(CORE, "library", "library-nu") if not Path(name).suffix and ".keep" not in name]
    assert [name for name in names if not os.access(CORE.source / name, os.X_OK)] == []


def test_copies_of_the_contract_equal_the_contract() -> None:
    """Files of a package that carry the name of a file of the contract are copies of it."""
    contract = {path.name: path for path in (ROOT / "contract").rglob("*.json")}
    assert contract
    for distribution in DISTRIBUTIONS:
        for copy in (distribution.source / "src").rglob("contract/**/*.json"):
            assert copy.read_bytes() == contract[copy.name].read_bytes(), f"{copy} differs from contract/"


# --- what it asks for ------------------------------------------------------------------------------------------------


def test_its_metadata_asks_for_nothing_of_ours_and_carries_the_licence(built: Built) -> None:
    metadata = built.metadata()
    requires = [line for line in metadata if line.startswith("Requires-Dist:")]
    others = [line for line in requires if "provisioning" in line and f"{built.distribution.project}[" not in line]
    assert requires and others == []
    assert "License-Expression: Apache-2.0" in metadata
    licences = [data for name, data in read_wheel(built.wheel).items() if name.endswith(".dist-info/licenses/LICENSE")]
    assert licences == [(ROOT / "LICENSE").read_bytes()]


def test_its_requirements_are_complete(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> None:
    pip_check(installed, tmp_path_factory)


def test_the_requirements_of_its_extras_are_complete(
    core_with_extras: Installed, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pip_check(core_with_extras, tmp_path_factory)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=lambda distribution: distribution.name)
def test_whatever_its_modules_import_it_asks_for(distribution: Distribution) -> None:
    """Also what a function imports when it is called, which no run without the extras would meet."""
    project = tomllib.loads((distribution.source / "pyproject.toml").read_text())["project"]
    asked = sum(project.get("optional-dependencies", {}).values(), project["dependencies"])
    # What is imported under another name than it is installed by; then what comes with something that is asked for,
    # or is there where our module is imported: our suites for plugins in somebody's tests, our callback in Ansible.
    modules = {"pyyaml": "yaml", "upcloud-api": "upcloud_api"}
    names = {word for line in asked if (word := leading_word(line)) != distribution.project}
    accepted = {modules.get(name, name.replace("-", "_")) for name in names}
    brought = {"botocore": "boto3", "gevent": "pyinfra", "jinja2": "pyinfra", "paramiko": "pyinfra", "werkzeug": "moto"}
    brought |= {"requests": "hcloud", "urllib3": "upcloud_api"}
    accepted |= {module for module, by in brought.items() if by in accepted} | {distribution.package}
    there = {"testing": {"pytest", "hypothesis"}, "callback": {"ansible"}}
    imported: dict[str, str] = {}
    for root in (distribution.source / "src", *(distribution.source / place for place in distribution.carried)):
        for path in root.rglob("*.py"):
            found = imports_of(path) - there.get(path.parent.name, set())
            imported |= dict.fromkeys(found, path.relative_to(ROOT).as_posix())
    strange = {name: path for name, path in imported.items() if name not in accepted | set(sys.stdlib_module_names)}
    assert strange == {}


# --- without extras --------------------------------------------------------------------------------------------------


def test_the_wheel_alone_runs_its_program_and_cannot_see_the_other(installed: Installed) -> None:
    done = installed.run(installed.program, "--version")
    assert (done.returncode, done.stdout.strip()[-5:]) == (0, "0.1.0"), done
    helped = installed.run(installed.program, "--help").stdout
    assert helped.lower().startswith(f"usage: {installed.distribution.program} "), helped
    refused = installed.run(installed.bin / "python", "-c", f"import {installed.distribution.other}")
    assert "ModuleNotFoundError" in refused.stderr


def test_every_module_can_be_imported_without_extras(installed: Installed) -> None:
    """But for the suites for authors of plugins, who have pytest, and what is of use with one extra alone."""
    package = installed.distribution.package
    done = installed.run(installed.bin / "python", "-c", IMPORT_ALL, package)
    assert done.returncode == 0, done.stderr
    missing: dict[str, str] = json.loads(done.stdout)
    testing = {name for name in missing if name.startswith(f"{package}.testing.")}
    assert {missing[name].partition(".")[0] for name in testing} <= {"pytest", "hypothesis"}
    others = {name: module for name, module in missing.items() if name not in testing}
    assert {module.partition(".")[0] for module in others.values()} <= MODULES_OF_EXTRAS, others


def test_the_core_answers_without_extras(core: Installed, tmp_path: Path) -> None:
    def said(*arguments: str) -> str:
        done = core.run(core.program, *arguments, at=tmp_path)
        assert done.returncode == 0, done
        return done.stdout

    said("workspace", "init", "shop")
    workspace = ("--workspace", str(tmp_path / "shop"))
    said("workspace", "validate", *workspace)
    for schema in ("infra", "workspace"):
        text = (ROOT / f"core/src/provisioning_core/schema/{schema}.schema.json").read_text()
        assert json.loads(said(schema, "schema")) == json.loads(text)
    listed = said("taskserv", "list", "-o", "name", *workspace).split()
    assert listed == sorted(path.parent.name for path in (CORE.source / "taskservs").glob("*/taskserv.yaml"))
    states = {item["name"]: item for item in json.loads(said("provider", "list", "-o", "json", *workspace))["items"]}
    assert states.keys() >= {"local", "aws", "hetzner", "upcloud"}
    assert [name for name, item in states.items() if "install" not in item] == ["local"]
    assert "provisioning-core[aws]" in states["aws"]["install"]


def test_the_two_wheels_bring_up_local_servers_without_extras(
    core: Installed, orchestrator: Installed, tmp_path: Path
) -> None:
    """Each in its own environment, and the operations those that the wheel carries."""
    port = free_port()
    names = {"PROVISIONING_URL": f"http://127.0.0.1:{port}", "PROVISIONING_DATA_DIR": str(tmp_path / "data")}
    names |= {"PROVISIONING_ORCHESTRATOR": str(orchestrator.program), "PROVISIONING_WORKSPACE": str(tmp_path / "shop")}

    def said(*arguments: str) -> str:
        done = core.run(core.program, *arguments, at=tmp_path, extra=names, timeout_s=180)
        assert done.returncode == 0, done
        return done.stdout

    said("workspace", "init", "shop")
    said("orchestrator", "start")
    try:
        said("infra", "create", "wuji", "--orchestrated", "--yes")
        assert sorted(said("server", "list", "-o", "name").split()) == ["db-1", "web-1", "web-2"]
        assert said("server", "ssh", "web-1", "--", "uname", "-n").strip() == "web-1"
        said("infra", "plan", "wuji", "--exit-code")  # 10 where anything is to be done
    finally:
        said("infra", "delete", "wuji", "--yes")
        said("orchestrator", "stop")
    assert said("server", "list", "-o", "name").split() == []


# --- with extras, and the tests that the sdist carries ---------------------------------------------------------------


def test_with_its_extras_every_provider_is_ready(core_with_extras: Installed, tmp_path: Path) -> None:
    core_with_extras.run(core_with_extras.program, "workspace", "init", "shop", at=tmp_path)
    done = core_with_extras.run(core_with_extras.program, "provider", "list", at=tmp_path / "shop")
    lines = done.stdout.splitlines()[1:]
    assert len(lines) >= 4 and [line for line in lines if not line.rstrip().endswith("ready")] == [], done


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=lambda distribution: distribution.name)
def test_the_sdist_alone_passes_its_own_tests(
    distribution: Distribution,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """From the unpacked sdist, against the installed wheel: where places count; all of them can be collected."""
    environment: Installed = request.getfixturevalue("core_with_extras" if distribution is CORE else "orchestrator")
    test = runner_of_tests(environment, tmp_path, tmp_path_factory)
    test("--collect-only", "-q", ".")
    test("-m", "not slow and not long and not nu", *WHERE_PLACES_COUNT[distribution.name])


def test_the_sdist_alone_passes_the_tests_of_clouds(
    core_with_extras: Installed, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With the SDKs that the extras bring."""
    runner_of_tests(core_with_extras, tmp_path, tmp_path_factory)("-m", "not slow and not long and not nu", *OF_CLOUDS)


# --- how -------------------------------------------------------------------------------------------------------------


def runner_of_tests(
    installed: Installed, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., None]:
    """`test(OPTION…, PLACE…)` runs tests of the unpacked sdist, and fails with what they say."""
    tests = unpack(installed.built, tmp_path) / "tests"
    for shared in ("contract", "docs", "examples"):  # data that the tests of both read, beside the distribution as here
        shutil.copytree(ROOT / shared, tmp_path / shared)
    tools = {"PYTHONPATH": str(link_tools(tmp_path_factory)), "PYTHONDONTWRITEBYTECODE": "1"}

    def test(*arguments: str) -> None:
        done = installed.run(
            installed.bin / "python",
            *("-m", "pytest", "-q", "-p", "no:cacheprovider", "--disable-warnings", "--import-mode=importlib"),
            "--rootdir",
            tests.parent,
            *arguments,
            at=tests,
            extra=tools,
            timeout_s=TESTS_S,
        )
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]

    return test


def unpack(built: Built, tmp_path: Path) -> Path:
    with tarfile.open(built.sdist) as sdist:
        sdist.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.glob(f"{built.distribution.package}-*")
    return unpacked


def pip_check(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> None:
    done = installed.run(*pip_command(tmp_path_factory), "--python", installed.bin / "python", "check")
    assert (done.returncode, done.stdout.strip()) == (0, "No broken requirements found."), done


def leading_word(requirement: str) -> str:
    """`boto3` of `boto3>=1.40`."""
    return "".join(letter if letter.isalnum() or letter in "-_." else " " for letter in requirement).split()[0]


def imports_of(path: Path) -> set[str]:
    """The first part of everything that it imports from elsewhere, at the top and within functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    return found
