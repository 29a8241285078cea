"""Tries a taskserv on a throw-away local server: install, install again, apply again, remove.

    1 installed and healthy   2 the same wish: nothing to do   3 all operations once more: nothing changes   4 removed

The parameters are the defaults and those of the folder's `test.yaml` (`params: {…}`); what secrets refer to is made up.
A trial that was killed leaves its server running: the next trial finds and removes it.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, cast
from uuid import uuid4

from .errors import ConflictError, ProviderError, UsageError
from .installing import Told, install_one, remove_one
from .provider import Resource, Wish
from .taskservs.folders import Taskserv, find_taskserv
from .taskservs.marker import remove_marker
from .taskservs.offers import look
from .taskservs.remote import connected
from .throwaway import throwaway
from .workspace import Workspace, load_workspace
from .yamlfile import read_yaml

PREFIX = "provisioning-trial-"
INFRA, SERVER = "trial", "trial-1"
Level = Literal["image", "namespace", "process"]
Tell = Callable[[str], None]


class TrialFailed(ConflictError):
    """`trial_failed`: it is not what a taskserv has to be."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="trial_failed")


@dataclass
class Bench:
    """A server for trials, and what can be done to it."""

    workspace: Workspace
    server: Resource
    tell: Tell

    def __post_init__(self) -> None:
        self._made_up: dict[str, str] = {}

    def given(self, name: str, params: Mapping[str, Any] = {}) -> dict[str, Any]:
        return {"infra": INFRA, "name": name, "taskserv": name, "server": SERVER, "params": dict(params)}

    def install(self, name: str, params: Mapping[str, Any] = {}) -> dict[str, Any]:
        return install_one(self.workspace, self.given(name, params), told=Told(self.tell, resolve=self.secret))

    def remove(self, name: str, params: Mapping[str, Any] = {}, *, purge: bool = False) -> dict[str, Any]:
        given = self.given(name, params) | {"purge": purge}
        return remove_one(self.workspace, given, told=Told(self.tell, resolve=self.secret))

    def secret(self, reference: str) -> str:
        """Made up, and the same again."""
        return self._made_up.setdefault(reference, secrets.token_urlsafe(18))

    def forget(self, name: str) -> None:
        """Take the mark away, so that everything is applied again."""

        async def forget() -> None:
            async with connected(self.server.attributes["ssh"]) as remote:
                seen = await look(remote, self.server.attributes)
                await remove_marker(remote, seen.directory, name)

        asyncio.run(forget())


def try_taskserv(
    workspace: Workspace, infra: str | None, name: str, *, level: Level | None, tell: Tell
) -> dict[str, Any]:
    """What the first install gave. Raises TrialFailed, and what installing raises.

    `unsupported_server`: this machine offers no server on which it could be.
    """
    taskserv = find_taskserv(workspace, infra, name)
    wanted = level or level_for(taskserv)
    others = [find_taskserv(workspace, infra, need) for need in _needs(workspace, infra, taskserv)]
    with bench(wanted, [taskserv, *others], tell) as made:
        for other in others:
            made.install(other.name, trial_params(other))
        return run_trial(made, taskserv)


def run_trial(made: Bench, taskserv: Taskserv) -> dict[str, Any]:
    """The four parts, on a bench that has what it needs."""
    name, params, tell = taskserv.name, trial_params(taskserv), made.tell
    first = made.install(name, params)
    _expect(first["outcome"] == "installed", f"the first install said {first['outcome']!r}, not 'installed'")
    tell(f"1 installed and healthy: version {first['version']}, {first['seconds']} s")
    again = made.install(name, params)
    _expect(again["outcome"] == "unchanged", f"the same wish again was {again['outcome']!r}, not 'unchanged'")
    tell(f"2 the same wish: nothing to do, {again['seconds']} s")
    made.forget(name)
    anew = made.install(name, params)
    _expect(not anew["operations"], f"applied once more, it changed again: {', '.join(anew['operations'])}")
    tell("3 all operations once more: nothing changed")
    removed = made.remove(name, params, purge=True)
    _expect(removed["removed"], "the removal found nothing")
    _expect(not made.remove(name, params)["removed"], "the second removal found it again")
    tell("4 removed")
    return first


def level_for(taskserv: Taskserv) -> Level:
    """The least level of the provider `local` that may offer what it supports."""
    return "image" if set(taskserv.manifest.supports) - {"root"} else "namespace"


def trial_params(taskserv: Taskserv) -> dict[str, Any]:
    """`params:` of the folder's test.yaml. Raises DefinitionErrors."""
    file = taskserv.folder / "test.yaml"
    if not file.is_file():
        return {}
    at = read_yaml(file, f"{taskserv.shown_as.rpartition('/')[0]}/test.yaml")
    fields = at.record(("params",)) or {}
    at.finish()
    return cast(dict[str, Any], fields["params"].plain() if "params" in fields else {})


@contextmanager
def bench(level: Level, taskservs: list[Taskserv], tell: Tell) -> Iterator[Bench]:
    """A workspace with one server, both gone afterwards. The taskservs are copied into it.

    Raises ConflictError (`unsupported_server`) where this machine cannot have a server of that level.
    """
    from .providers.local import LocalProvider

    with throwaway(PREFIX) as path:
        (path / "infra").mkdir()
        (path / "provisioning.yaml").write_text("name: trial\nprovider: local\n")
        for each in taskservs:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(each.folder, path / "taskservs" / each.name, ignore=ignored)
        workspace = load_workspace(path)
        key = workspace.key(INFRA, "server", SERVER)
        wish = Wish("server", key, str(uuid4()), INFRA, SERVER, {"plan": "1cpu-1gb"})
        try:
            server = LocalProvider(path, isolation=level).create(wish).resource
        except ProviderError as error:
            if error.code != "isolation_unavailable":
                raise
            raise ConflictError(
                f"this machine cannot have a server of level {level!r} to try it on: {error.message}",
                code="unsupported_server",
            ) from error
        tell(f"0 a throw-away server of level {level!r} is up")
        yield Bench(workspace, server, tell)


def _needs(workspace: Workspace, infra: str | None, taskserv: Taskserv) -> list[str]:
    """Names of all that must be there before, in that order. Raises UsageError for a circle."""
    order: list[str] = []
    path: list[str] = []

    def visit(name: str) -> None:
        if name in path:
            raise UsageError(f"taskservs need each other in a circle: {' → '.join([*path, name])}", code="circle")
        if name not in order:
            path.append(name)
            for need in find_taskserv(workspace, infra, name).manifest.needs:
                visit(need)
            path.pop()
            order.append(name)

    visit(taskserv.name)
    return order[:-1]


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise TrialFailed(otherwise)
