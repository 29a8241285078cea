"""Whether a workspace is good as a whole: its file, infrastructures, own taskservs and operations, its providers."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .clouds import Clouds
from .errors import ProvisioningError, UsageError
from .infra import Infra, load_infra
from .library import NAME, SUFFIXES, find_operation, library_root, list_operations
from .plan.acceptable import check_acceptable
from .schema import Checker, load_schema
from .taskservs import all_taskservs
from .workspace import WORKSPACE_FILE, Workspace, load_workspace
from .yamlfile import BYTES_MAX, DefinitionErrors, Problem, computed


@dataclass(frozen=True, slots=True)
class Inspection:
    """workspace: None where its file is not good. infras, operations: how many were looked at, good or not."""

    workspace: Workspace | None
    infras: int
    operations: int
    problems: tuple[Problem, ...]


def inspect_workspace(path: Path) -> Inspection:
    """Everything that is wrong. Providers are loaded, but nothing is asked of a cloud. Raises NotFoundError."""
    try:
        workspace = load_workspace(path)
    except DefinitionErrors as error:
        return Inspection(None, 0, 0, error.problems)
    problems: list[Problem] = []
    named = {workspace.provider: WORKSPACE_FILE}
    names = workspace.infra_names()
    for name in names:
        infra = _infra(workspace, name, problems)
        problems += _refused(workspace, infra) if infra else ()
        for provider in infra.providers() if infra else ():
            named.setdefault(provider, f"infra/{workspace.infra_file(name).name}")
    for provider, file in named.items():
        try:
            workspace.load_provider(provider)
        except ProvisioningError as error:
            hint = f" ({error.hint})" if error.hint else ""
            problems.append(Problem(file, 0, 0, "provider", error.message + hint))
    problems += (each for each in _manifests(workspace, names) if each not in problems)
    library = workspace.library()
    operations = list_operations([library]) if library else []
    problems += library_problems(library) if library else []
    return Inspection(workspace, len(names), len(operations), tuple(problems))


def _infra(workspace: Workspace, name: str, problems: list[Problem]) -> Infra | None:
    try:
        return load_infra(workspace, name, manifests=True)
    except DefinitionErrors as error:
        problems += error.problems
    except ProvisioningError as error:
        problems.append(Problem(f"infra/{name}", 0, 0, "", error.message))
    return None


def _manifests(workspace: Workspace, infras: list[str]) -> list[Problem]:
    """Of all taskservs that are the workspace's own, declared or not, those that an infrastructure hides too."""
    problems: list[Problem] = []
    for name in [None, *infras]:
        for each in all_taskservs(workspace, name):
            if each.layer == ("infra" if name else "workspace"):
                try:
                    _ = each.manifest, each.digest
                except DefinitionErrors as error:
                    problems += error.problems
                except ProvisioningError as error:
                    problems.append(Problem(each.shown_as, 0, 0, "", error.message))
    return problems


def _refused(workspace: Workspace, infra: Infra) -> tuple[Problem, ...]:
    """What its providers say that their clouds would not take of it."""
    try:
        check_acceptable(Clouds(workspace), infra, infra.networks, infra.servers)
    except DefinitionErrors as error:
        return error.problems
    except ProvisioningError:
        pass  # a provider that cannot be loaded is a problem of its own
    return ()


def library_problems(library: Path) -> Iterator[Problem]:
    """Operations that are there twice, sidecars that are not good or stand beside nothing."""
    shipped = set(list_operations([library_root()]))
    for name in list_operations([library]):
        try:
            find_operation([library], name)
        except UsageError as error:
            if error.code == "ambiguous_operation":
                yield Problem(f"library/{name}", 0, 0, "", error.message)
    for path in sorted(library.rglob("*.toml")):
        relative = path.relative_to(library)
        name = relative.with_suffix("").as_posix()
        if not NAME.fullmatch(name):
            continue
        yield from _sidecar(path, f"library/{relative}")
        if not any((library / f"{name}{suffix}").is_file() for suffix in SUFFIXES):
            hint = "; that of a shipped operation cannot be changed from here" if name in shipped else ""
            yield Problem(f"library/{relative}", 0, 0, "", f"there is no operation {name!r} beside it{hint}")


def _sidecar(path: Path, shown_as: str) -> tuple[Problem, ...]:
    try:
        with path.open("rb") as file:
            text = file.read(BYTES_MAX).decode("utf-8")
        at = computed(tomllib.loads(text), shown_as)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        line, column = (int(place[1]), int(place[2])) if place else (0, 0)
        return (Problem(shown_as, line, column, "", f"not TOML: {error}"),)
    except (OSError, ValueError) as error:
        return (Problem(shown_as, 0, 0, "", f"cannot be read: {error}"),)
    Checker(load_schema("sidecar")).check(at)
    return tuple(at.problems)
