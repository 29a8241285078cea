"""A workspace: a directory with a `provisioning.yaml`, its infrastructures in `infra/<name>.yaml` or `.k`.

# provisioning.yaml
name: wuji-example       what people call it
id: wuji-example         optional, default: the name. Begins every key: it must not change while resources live
provider: local          an installed provider plugin, or `package.module:Class` for one of your own
providers:               optional: settings of providers; no credentials, URLs of this machine only
  upcloud: {url: http://127.0.0.1:8081}
settings:                optional: how things look here: output, progress, color
  output: wide

Its own operations are in library/, its own providers in providers/.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import NotFoundError, UsageError
from .names import LABEL, LABEL_WORDS
from .plugins import load_provider
from .provider import Kind, Provider, Resource
from .secrets.named import revealed
from .secrets.reference import is_reference, reference_fault
from .settings import Settings
from .yamlfile import Cursor, read_yaml, shown, suggestion

WORKSPACE_FILE = "provisioning.yaml"
SUFFIXES = (".yaml", ".k")

_LOOPBACK = re.compile(r"(https?://)?(127(\.[0-9]{1,3}){3}|localhost|\[::1\])(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?", re.I)
_ADDRESSES = frozenset({"url", "uri", "endpoint", "host", "hostname", "address", "server", "proxy", "api"})
_CREDENTIALS = frozenset({"token", "password", "passwd", "secret", "secrets", "credential", "credentials"})
_KEYS = frozenset({"api_key", "access_key", "access_key_id", "private_key"})


@dataclass(frozen=True, slots=True)
class Workspace:
    """settings: of providers, by name; what its file says wins over what the user's says."""

    path: Path
    id: str
    name: str
    provider: str
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def key(self, infra: str, kind: Kind, name: str) -> str:
        """Which thing: the label by which a provider finds it again."""
        return f"{self.id}/{infra}/{kind}/{name}"

    def library(self) -> Path | None:
        """The directory of its own operations, where it has one."""
        directory = self.path / "library"
        return directory if directory.is_dir() else None

    def owns(self, resource: Resource) -> bool:
        """Whether its key is one of this workspace's."""
        return resource.key.startswith(f"{self.id}/")

    def infra_names(self) -> list[str]:
        """The infrastructures that have a file, whether it is good or not, sorted."""
        files = [file for suffix in SUFFIXES for file in (self.path / "infra").glob(f"*{suffix}")]
        return sorted({file.stem for file in files if LABEL.fullmatch(file.stem)})

    def infra_file(self, name: str) -> Path:
        """Raises UsageError for what is no name or has two files, NotFoundError where there is no such file."""
        if not LABEL.fullmatch(name):
            raise UsageError(
                f"{shown(name)} is not the name of an infrastructure",
                code="bad_name",
                hint=f"accepted: {LABEL_WORDS}",
            )
        files = [file for suffix in SUFFIXES if (file := self.path / "infra" / f"{name}{suffix}").is_file()]
        if len(files) > 1:
            raise UsageError(
                f"infrastructure {name} is defined twice: {' and '.join(f'infra/{file.name}' for file in files)}",
                code="ambiguous_infra",
                hint="remove or rename one of the two",
            )
        if not files:
            names = self.infra_names()
            known = f"there are: {', '.join(names)}" if names else f"{self.path / 'infra'} holds none yet"
            guess = suggestion(name, names)
            raise NotFoundError(
                f"no infrastructure {shown(name)} in workspace {self.name}",
                code="unknown_infra",
                hint=f"{known}.{guess}" if guess else known,
            )
        return files[0]

    def load_provider(self, name: str | None = None) -> Provider:
        """That one, or the workspace's own, with the settings that `providers:` of its file has for it.

        `secret://` references in them become values here, and nowhere else. Raises SecretUnavailable.
        """
        name = name or self.provider
        if ":" in name and name not in (self.provider, *self.settings):
            raise UsageError(
                f"the provider {shown(name)} is not named by {WORKSPACE_FILE}; only that file may name a class",
                code="unknown_provider",
            )
        return load_provider(name, self.path, revealed(self.settings.get(name, {})))


def load_workspace(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Workspace:
    """The workspace in that directory; without one, the one that the settings name (`settings.py` says which).

    Raises NotFoundError where there is none, DefinitionErrors where its file is not good.
    """
    settings = Settings({}, environ)
    directory = path or Path(settings.workspace().value)
    said = _read(directory)
    own: dict[str, dict[str, Any]] = {name: value or {} for name, value in said.get("providers", {}).items()}
    users = {name: value for name, value in settings.providers().items() if ":" not in name or name in own}
    merged = {name: users.get(name, {}) | own.get(name, {}) for name in (*own, *users)}
    return Workspace(directory.resolve(), said.get("id", said["name"]), said["name"], said["provider"], merged)


def own_settings(directory: Path) -> dict[str, dict[str, Any]]:
    """Of providers, as the workspace's file alone gives them. Raises as `load_workspace`."""
    return {name: value or {} for name, value in _read(directory).get("providers", {}).items()}


def is_credential(name: str) -> bool:
    """A setting of that name holds what nobody else may see."""
    return bool(set(name.lower().split("_")) & _CREDENTIALS) or name.lower() in _KEYS


def _read(directory: Path) -> dict[str, Any]:
    """What the file says, checked, without what is null."""
    file = directory / WORKSPACE_FILE
    try:
        at = read_yaml(file, WORKSPACE_FILE)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(
            f"{directory} is not a workspace: it has no {WORKSPACE_FILE}",
            code="no_workspace",
            hint="go to a workspace, or name one with --workspace or PROVISIONING_WORKSPACE; a new one: "
            "provisioning workspace init DIR",
        ) from None
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {shown(str(file))}: {error}", code="bad_workspace") from error
    _check(at)
    return {name: value for name, value in at.plain().items() if value is not None}


def _check(at: Cursor) -> None:
    """Raises DefinitionErrors."""
    from .schema import Checker, load_schema

    Checker(load_schema("workspace")).check(at)
    for name, _, section in at.entries() or [] if at.kind() == "a mapping" else ():
        if name != "providers" or section.kind() != "a mapping":
            continue
        for _, _, provider in section.entries() or []:
            for each, below in _texts(provider, "") if provider.kind() == "a mapping" else ():
                _check_setting(each, below)
    at.finish()


def _texts(at: Cursor, name: str) -> Iterator[tuple[str, Cursor]]:
    """All text in it, each with the name of the field that it stands in."""
    if at.kind() == "a mapping":
        for below_name, _, below in at.entries() or []:
            yield from _texts(below, below_name)
    elif at.kind() == "a list":
        for below in at.items():
            yield from _texts(below, name)
    elif isinstance(at.value(), str):
        yield name, at


def _check_setting(name: str, at: Cursor) -> None:
    """A workspace is often somebody else's clone: it must neither send a user's token elsewhere, nor carry one."""
    value = str(at.value())
    if is_reference(value):
        if fault := reference_fault(value):
            at.fail(fault)
        return
    if is_credential(name):
        at.fail("a credential does not belong into a workspace (its value is not shown); accepted: `secret://name`, "
                "the environment, or `provisioning provider login`")  # fmt: skip
    elif ("://" in value or set(name.lower().split("_")) & _ADDRESSES) and not _LOOPBACK.fullmatch(value):
        at.fail(f"{shown(value)} is not an address of this machine, and a workspace must not send anybody's token "
                "elsewhere; accepted: one like http://127.0.0.1:8081; any other in your own config.toml "
                "(`provisioning config path`), below [providers.<name>]")  # fmt: skip
