"""The providers of a workspace and of this environment, as `provisioning provider` shows them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from .session import Session

if TYPE_CHECKING:
    from ..capabilities import Catalogue, Flag
    from ..workspace import Workspace


def providers_here(workspace: Workspace | None) -> list[str]:
    """All names that mean a provider here, sorted."""
    from ..plugins import installed, own_executables

    names = set(installed())
    if workspace is not None:
        elsewhere = [name for name, setting in workspace.settings.items() if "executable" in setting]
        names |= {*own_executables(workspace.path), *elsewhere, workspace.provider}
    return sorted(names)


def item_of_provider(workspace: Workspace | None, name: str) -> dict[str, Any]:
    """As the machine-readable forms show it. error: why it cannot be used; install: what brings what is missing."""
    from ..capabilities import capabilities_of
    from ..errors import ProvisioningError
    from ..findings import origin
    from ..plugins import installed, missing_extra, provider_class

    item: dict[str, Any] = {"name": name, "default": workspace is not None and workspace.provider == name}
    item |= {"from": name, "kinds": [], "flags": []}
    try:
        item["from"] = origin(workspace, name)
        if (entry := installed().get(name)) and (extra := missing_extra(entry)):
            item["install"] = extra.pip
        can = capabilities_of(workspace.load_provider(name) if workspace else provider_class(name))
        item |= {"kinds": list(can.kinds), "flags": sorted(can.flags)}
    except ProvisioningError as error:
        item["error"] = error.message
    return item


def catalogue(session: Session, name: str | None, flag: Flag) -> Catalogue:
    """That provider, or the workspace's. Raises UsageError where it offers no such list."""
    from ..clouds import require
    from .inventory import open_workspace

    workspace = open_workspace(session)
    name = name or workspace.provider
    provider = workspace.load_provider(name)
    require(provider, name, flag, f"tell its {flag}")
    return cast("Catalogue", provider)


def complete_provider(_ctx: object, _param: object, incomplete: str) -> list[str]:
    """For the shell."""
    from ..settings import Settings
    from ..workspace import load_workspace

    try:
        names = providers_here(load_workspace(Path(Settings().workspace().value)))
    except Exception:
        return []  # completion must never print an error into somebody's command line
    return [name for name in names if name.startswith(incomplete)]
