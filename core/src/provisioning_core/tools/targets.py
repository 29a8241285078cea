"""The servers that a tool is to work on, as they exist at their providers."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import NotFoundError
from ..infra import load_infra, several
from ..provider import Resource
from ..workspace import Workspace


def servers_of(workspace: Workspace, infra: str, names: Sequence[str] | None = None) -> list[Resource]:
    """Those servers of the infrastructure (None: all that are defined), in the order of its file.

    Raises NotFoundError for what is not defined, or does not exist.
    """
    wanted = load_infra(workspace, infra).select(names)
    there: dict[str, Resource] = {}
    for provider in dict.fromkeys(server.provider for server in wanted):
        there |= {found.key: found for found in workspace.load_provider(provider).list("server", infra=infra)}
    keys = {server.name: workspace.key(infra, "server", server.name) for server in wanted}
    missing = [name for name, key in keys.items() if key not in there]
    if missing:
        raise NotFoundError(
            f"of infrastructure {infra} there is no server {', '.join(missing[:10])}",
            code="unknown_server",
            hint=f"provisioning server create {infra} --orchestrated",
        )
    return [there[key] for key in keys.values()]


def server_named(workspace: Workspace, infra: str, name: str) -> Resource:
    """Raises as `servers_of`, and UsageError for the name of a group of several."""
    found = servers_of(workspace, infra, [name])
    if len(found) > 1:
        raise several(name, [each.name for each in found])
    return found[0]
