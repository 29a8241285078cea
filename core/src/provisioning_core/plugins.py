"""Where providers come from: an installed plugin, or a class or an executable of the workspace's own."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from .errors import UsageError
from .provider import Provider
from .yamlfile import suggestion

GROUP = "provisioning.providers"


def load_provider(name: str, workspace: Path, settings: Mapping[str, Any] = {}) -> Provider:
    """The provider of that name, from the entry points `provisioning.providers`, made for this workspace.

    `package.module:Class` names one of your own that is not installed as a plugin; only a workspace's file may say so.
    settings: the workspace's, of this provider. Raises UsageError.
    """
    provider: Provider = provider_class(name)(workspace, settings)
    return provider


def provider_class(name: str) -> Any:
    """What makes it: `(workspace, settings) -> Provider`. Raises UsageError."""
    if ":" in name:
        try:
            return EntryPoint(name, name, GROUP).load()
        except (ImportError, AttributeError) as error:
            raise UsageError(f"cannot load the provider {name!r}: {error}", code="unknown_provider") from error
    found = installed()
    if name not in found:
        known = sorted(found)
        raise UsageError(
            f"no provider named {name!r}.{suggestion(name, known)}".removesuffix("."),
            code="unknown_provider",
            hint=f"installed: {', '.join(known)}",
        )
    return found[name].load()


def installed() -> dict[str, EntryPoint]:
    """The plugins of this environment, by name; nothing is imported."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}
