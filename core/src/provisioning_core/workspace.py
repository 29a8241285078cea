"""A workspace: a directory with a `provisioning.yaml`, its infrastructures in `infra/<name>.yaml`.

# provisioning.yaml
name: wuji-example       what people call it
    id: wuji-example         optional, default: the name. Begins every key: it must not change while resources live
provider: local          an installed provider plugin, or `package.module:Class` for one of your own
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import NotFoundError, UsageError
from .names import LABEL, LABEL_WORDS, PROVIDER
from .plugins import load_provider
from .provider import Kind, Provider
from .yamlfile import read_yaml, shown, suggestion

WORKSPACE_FILE = "provisioning.yaml"
PARENTS_MAX = 64


@dataclass(frozen=True, slots=True)
class Workspace:
    path: Path
    id: str
    name: str
    provider: str
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def key(self, infra: str, kind: Kind, name: str) -> str:
        """Which thing: the label by which a provider finds it again."""
        return f"{self.id}/{infra}/{kind}/{name}"

    def infra_names(self) -> list[str]:
        """The infrastructures that have a file, whether it is good or not, sorted."""
        return sorted(file.stem for file in (self.path / "infra").glob("*.yaml") if LABEL.fullmatch(file.stem))

    def infra_file(self, name: str) -> Path:
        """Raises UsageError for what is no name, NotFoundError where there is no such file."""
        if not LABEL.fullmatch(name):
            raise UsageError(
                f"{shown(name)} is not the name of an infrastructure",
                code="bad_name",
                hint=f"accepted: {LABEL_WORDS}",
            )
        file = self.path / "infra" / f"{name}.yaml"
        if not file.is_file():
            names = self.infra_names()
            known = f"there are: {', '.join(names)}." if names else f"{self.path / 'infra'} holds none yet."
            raise NotFoundError(
                f"no infrastructure {shown(name)} in workspace {self.name}",
                code="unknown_infra",
                hint=known + suggestion(name, names),
            )
        return file

    def load_provider(self, name: str | None = None) -> Provider:
        """That one, or the workspace's own, with the settings that `providers:` of its file has for it."""
        name = name or self.provider
        if ":" in name and name not in (self.provider, *self.settings):
            raise UsageError(
                f"the provider {shown(name)} is not named by {WORKSPACE_FILE}; only that file may name a class",
                code="unknown_provider",
            )
        return load_provider(name, self.path, self.settings.get(name, {}))


def load_workspace(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Workspace:
    """The workspace in that directory; without one, PROVISIONING_WORKSPACE's, else the nearest upwards from here.

    Raises NotFoundError where there is none, DefinitionErrors where its file is not good.
    """
    directory = path or _named(environ) or _nearest(Path.cwd())
    file = directory / WORKSPACE_FILE
    try:
        at = read_yaml(file, WORKSPACE_FILE)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(
            f"{directory} is not a workspace: it has no {WORKSPACE_FILE}",
            code="no_workspace",
            hint="go to a workspace, or name one with --workspace or PROVISIONING_WORKSPACE",
        ) from None
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {shown(str(file))}: {error}", code="bad_workspace") from error
    fields = at.record(("name", "id", "provider"), required=("name", "provider")) or {}
    name = fields["name"].text(LABEL, LABEL_WORDS) if "name" in fields else None
    id = fields["id"].text(LABEL, LABEL_WORDS) if "id" in fields else name
    provider = None
    if "provider" in fields:
        provider = fields["provider"].text(PROVIDER, "an installed provider's name, or `module:Class`")
    at.finish()
    assert name is not None and id is not None and provider is not None
    return Workspace(directory.resolve(), id, name, provider)


def _named(environ: Mapping[str, str]) -> Path | None:
    named = environ.get("PROVISIONING_WORKSPACE")
    return Path(named) if named else None


def _nearest(start: Path) -> Path:
    for directory in (start, *list(start.parents)[:PARENTS_MAX]):
        if (directory / WORKSPACE_FILE).is_file():
            return directory
    return start
