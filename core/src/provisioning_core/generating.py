"""A new provider in a workspace: a copy of the practice cloud, under its own name, and its conformance test."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from .errors import ConflictError, UsageError
from .names import PROVIDER
from .plugins import DIRECTORY, installed, own_executables
from .yamlfile import shown

Language = Literal["python", "nu", "executable"]
SUFFIXES: dict[Language, str] = {"python": ".py", "nu": ".nu", "executable": ""}
_PRACTICE = Path(__file__).parent / "providers" / "executable" / "practice"
_TEST = '''\
"""The conformance suite over the provider {name}. The top of provider_suite says what can be set here."""

from pathlib import Path

from provisioning_core.testing.provider_suite import ProviderSuite


class TestProvider(ProviderSuite):
    factory = f"executable:{{Path(__file__).parents[1] / '{file}'}}"
    server_spec = {{"plan": "1cpu-1gb"}}
    network_spec = {{"cidr": "10.0.0.0/24"}}
'''
_CONFTEST = """\
def pytest_configure(config):
    config.addinivalue_line("markers", "slow: starts and kills processes")
"""


def generate_provider(workspace: Path, name: str, language: Language) -> tuple[Path, Path]:
    """The provider's file and its test. Raises UsageError for what is no name, ConflictError where it is taken."""
    if not PROVIDER.fullmatch(name) or ":" in name:
        raise UsageError(
            f"{shown(name)} is no name for a provider",
            code="bad_name",
            hint="accepted: 1 to 63 of a-z, 0-9, _ and -, beginning with a letter",
        )
    taken = [str(file) for file in own_executables(workspace).get(name, [])]
    taken += [f"the installed plugin {installed()[name].value}"] if name in installed() else []
    if taken:
        raise ConflictError(f"there is a provider {name} already: {taken[0]}", code="provider_exists")
    suffix = SUFFIXES[language]
    file = workspace / DIRECTORY / f"{name}{suffix}"
    test = workspace / DIRECTORY / "tests" / f"test_{name.replace('-', '_')}.py"
    test.parent.mkdir(parents=True, exist_ok=True)
    # The provider comes last and at once: whoever is killed before may do it again.
    for path, text in ((test.with_name("conftest.py"), _CONFTEST), (test, _TEST.format(name=name, file=file.name))):
        if not path.exists():
            path.write_text(text, "utf-8")
    part = file.with_name(f".{file.name}.part")
    part.write_text(_text(name, language), "utf-8")
    part.chmod(0o644 if suffix else 0o755)
    part.replace(file)
    return file, test


def _text(name: str, language: Language) -> str:
    if language == "nu":
        text = (_PRACTICE / "practice.nu").read_text("utf-8")
        return text.replace("path join .practice-nu", f"path join .{name}")
    text = (_PRACTICE / "practice.py").read_text("utf-8").removeprefix("# mypy: ignore-errors\n")
    text = text.replace('/ ".practice"', f'/ ".{name}"')
    return f"#!/usr/bin/env python3\n{text}" if language == "executable" else text
