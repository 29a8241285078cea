"""The wish to have a taskserv on a server, as the params of taskservs/install-one and remove-one say it, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import UsageError, stale_plan
from ..params import Check, check_params, infra_name, matching, server_name
from ..secrets.redaction import Redactor
from ..secrets.reference import name_of
from ..workspace import Workspace
from ..yamlfile import shown
from .folders import Taskserv, find_taskserv
from .manifest import VERSION, VERSION_WORDS

KIND = "taskserv"


@dataclass(frozen=True)
class Wish:
    """name: unique in the infra; taskserv: which folder. params: as given, complete with the manifest's defaults."""

    key: str
    infra: str
    name: str
    server: str
    taskserv: Taskserv
    version: str
    params: Mapping[str, Any]

    @property
    def title(self) -> str:
        return f"{self.name} on {self.server}"


def read_wish(workspace: Workspace, given: Mapping[str, Any], *, key: str | None, strict: bool = True) -> Wish:
    """strict: the params must be good ones; for a removal what is given has to do.

    Raises UsageError (`bad_params` with all faults, `bad_key`), NotFoundError, DefinitionErrors, ConflictError
    (`plan_stale`: a plan was made of other files than those of the folder now).
    """
    required = {"infra": infra_name, "name": server_name, "taskserv": server_name, "server": server_name}
    optional: dict[str, Check] = {"version": matching(VERSION, VERSION_WORDS), "params": _mapping, "purge": _flag}
    optional |= {"expect": _expectation}
    check_params(given, required, optional)
    infra, name, server = given["infra"], given["name"], given["server"]
    own = key_of(workspace, infra, name, server)
    if key is not None and key != own:
        raise UsageError(
            f"the task's key is {shown(key)}, but this taskserv's is {own!r}",
            code="bad_key",
            hint="leave the key out, or submit to the orchestrator of this workspace",
        )
    taskserv = find_taskserv(workspace, infra, given["taskserv"])
    _check_folder(given.get("expect"), taskserv.signature, taskserv.shown_as, f"taskserv {name} on {server}")
    manifest, params = taskserv.manifest, given.get("params") or {}
    if strict and (faults := manifest.faults(params, given.get("version"))):
        raise UsageError(
            f"taskserv {name} on {server}: {'; '.join(map(str, faults[:20]))}",
            code="bad_params",
            hint=f"provisioning taskserv show {taskserv.name}",
        )
    return Wish(
        own, infra, name, server, taskserv, given.get("version") or manifest.version, manifest.completed(params)
    )


def key_of(workspace: Workspace, infra: str, name: str, server: str) -> str:
    return f"{workspace.id}/{infra}/{KIND}/{name}.{server}"


@dataclass
class Reveal:
    """Gives what a reference means, and remembers it, to take it out of all that is said afterwards."""

    resolve: Callable[[str], str]

    def __post_init__(self) -> None:
        self._seen: dict[str, str] = {}

    def __call__(self, reference: str) -> str:
        value = self.resolve(reference)
        self._seen[name_of(reference)] = value
        return value

    def hidden(self, text: str) -> str:
        """The text without what was revealed."""
        return Redactor(self._seen).text(text) if self._seen else text


def _check_folder(expect: Mapping[str, Any] | None, signature: str, shown_as: str, what: str) -> None:
    """shown_as: a file that tells which folder. Raises ConflictError (`plan_stale`)."""
    if expect is not None and expect.get("folder") != signature:
        raise stale_plan(what, f"its files, those beside {shown_as}, are not those of the plan any more")


def _mapping(value: Any) -> str | None:
    return None if isinstance(value, dict) else f"an object is expected, got {shown(value)}"


def _expectation(value: Any) -> str | None:
    """A check of the param `expect`, which plan/precondition.py describes."""
    good = isinstance(value, dict) and all(isinstance(value.get(name), str) for name in ("plan", "folder"))
    return None if good else f"an object with the ids of the plan and of the folder is expected, got {shown(value)}"


def _flag(value: Any) -> str | None:
    return None if isinstance(value, bool) else f"true or false is expected, got {shown(value)}"
