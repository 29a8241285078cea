"""Where providers come from: an installed plugin, an executable of the workspace's own, or a class that its file names.

    entry points    group `provisioning.providers` of any installed distribution
    <workspace>/providers/NAME.py, NAME.nu, NAME     executables: contract/provider.json
    `executable` in the settings of that provider    an executable that lies elsewhere
    package.module:Class                             of your own, not installed as a plugin

Two of one name are an error: nobody should have to guess which cloud a word means.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution, entry_points
from pathlib import Path
from typing import Any

from .errors import UsageError
from .extras import install_line
from .library import SUFFIXES, executable_in
from .names import PROVIDER
from .provider import Provider
from .yamlfile import shown, suggestion

GROUP = "provisioning.providers"
DIRECTORY = "providers"
_OTHER_PREFIXES = ("HCLOUD_", "PROVISIONING_LOCAL_")
"""By which the variables of a provider go that do not begin with its name."""


@dataclass(frozen=True, slots=True)
class Extra:
    """What an installed plugin needs that is not there. pip: what brings it."""

    name: str
    missing: tuple[str, ...]
    pip: str


def load_provider(name: str, workspace: Path, settings: Mapping[str, Any] = {}) -> Provider:
    """The provider of that name, made for this workspace; nothing is run, no cloud is called, no SDK is imported.

    `package.module:Class` is only for a workspace's own file to say. settings: the workspace's, of this provider.
    Raises UsageError (`unknown_provider`, `ambiguous_provider`).
    """
    file = None if ":" in name else executable(name, workspace, settings)
    if file is None:
        provider: Provider = provider_class(name, workspace)(workspace, settings)
        return provider
    from .providers.executable import ExecutableProvider

    return ExecutableProvider(name, file, workspace, settings)


def provider_class(name: str, workspace: Path | None = None) -> Any:
    """What makes it: `(workspace, settings) -> Provider`. Raises UsageError.

    workspace: its executables are among what was perhaps meant.
    """
    if ":" in name:
        return _loaded(EntryPoint(name, name, GROUP))
    found = installed()
    if name not in found:
        own = sorted(own_executables(workspace)) if workspace else []
        known = sorted([*found, *own])
        raise UsageError(
            f"no provider named {shown(name)}.{suggestion(name, known)}".removesuffix("."),
            code="unknown_provider",
            hint=f"installed: {', '.join(sorted(found))}" + (f"; in {DIRECTORY}/: {', '.join(own)}" if own else ""),
        )
    return _loaded(found[name])


def executable(name: str, workspace: Path, settings: Mapping[str, Any] = {}) -> Path | None:
    """The file of that provider, where it is an executable. Raises UsageError where the name means two things."""
    elsewhere = settings.get("executable")
    if elsewhere is not None and (not isinstance(elsewhere, str) or not (workspace / elsewhere).is_file()):
        raise UsageError(
            f"provider {name}: `executable` in its settings is {shown(elsewhere)}, which is no file",
            code="unknown_provider",
            hint="a path, relative to the workspace or absolute",
        )
    files = [workspace / elsewhere] if elsewhere else own_executables(workspace).get(name, [])
    found = [str(file) for file in files]
    if found and name in installed():
        found.append(f"the installed plugin {installed()[name].value}")
    if len(found) > 1:
        raise UsageError(
            f"the provider {shown(name)} is there twice: {' and '.join(found)}",
            code="ambiguous_provider",
            hint="rename or remove one of the two",
        )
    return files[0] if files else None


def own_executables(workspace: Path) -> dict[str, list[Path]]:
    """The files in <workspace>/providers that are providers, by name; two of one name are an error later on."""
    directory = workspace / DIRECTORY
    found: dict[str, list[Path]] = {}
    try:
        files = sorted(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    for file in files:
        suffix = file.suffix if file.suffix in SUFFIXES else ""
        name = file.name.removesuffix(suffix) if suffix else file.name
        if PROVIDER.fullmatch(name) and executable_in(directory, name, suffix) is not None:
            found.setdefault(name, []).append(file)
    return found


def installed() -> dict[str, EntryPoint]:
    """The plugins of this environment, by name; nothing is imported."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def passed_variables(environ: Mapping[str, str] = os.environ) -> list[str]:
    """The variables that providers look at: those that begin with the name of an installed one (UPCLOUD_, AWS_).

    Operations get them as they are set: who puts a token into the environment has it in the environment.
    """
    prefixes = tuple(f"{name.upper().replace('-', '_')}_" for name in installed()) + _OTHER_PREFIXES
    return sorted(name for name in environ if name.startswith(prefixes))


def missing_extra(entry: EntryPoint) -> Extra | None:
    """The extra of the plugin's distribution that has the plugin's name, where not all of it is installed."""
    if entry.dist is None:
        return None
    missing = []
    for requirement in entry.dist.requires or ():
        package, _, marker = requirement.partition(";")
        if re.search(rf"""extra\s*==\s*["']{re.escape(entry.name)}["']""", marker):
            named = re.match(r"[A-Za-z0-9._-]+", package.strip())
            if named and not _is_there(named[0]):
                missing.append(named[0])
    return Extra(entry.name, tuple(missing), install_line(entry.name, entry.dist.name)) if missing else None


def _is_there(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def _loaded(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        extra = missing_extra(entry)
        raise UsageError(
            f"cannot load the provider {entry.name!r}: {error}",
            code="unknown_provider",
            hint=extra.pip if extra else None,
        ) from error
