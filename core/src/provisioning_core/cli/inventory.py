"""The servers that exist, from the workspace's provider, and the one that a person meant by a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import NotFoundError, UsageError
from ..provider import Provider, Resource
from ..render.text import clean
from .session import Session, nearest

if TYPE_CHECKING:
    from ..workspace import Workspace

HEAD = ("NAME", "INFRA", "STATE", "ADDRESS", "ZONE", "PLAN")
HEAD_WIDE = (*HEAD, "ID", "SSH")


def open_workspace(session: Session) -> Workspace:
    from ..workspace import load_workspace

    return load_workspace(Path(session.settings.workspace().value))


def provider_of(workspace: Workspace) -> Provider:
    return workspace.load_provider()


def item_of(resource: Resource) -> dict[str, Any]:
    """A server as the machine-readable forms show it."""
    return {
        "name": resource.name,
        "infra": resource.infra,
        "state": resource.state,
        "id": resource.id,
        "key": resource.key,
        **{name: value for name, value in resource.attributes.items() if name not in ("name", "infra", "state", "id")},
    }


def row_of(item: Mapping[str, Any], *, wide: bool) -> tuple[str, ...]:
    plain = tuple(str(item.get(name) or "") for name in ("name", "infra", "state", "address", "zone", "plan"))
    if not wide:
        return plain
    ssh = item.get("ssh") or {}
    return (*plain, str(item.get("id") or ""), f"{ssh.get('user')}@{ssh.get('host')}:{ssh.get('port')}" if ssh else "")


def print_servers(
    session: Session, resources: Sequence[Resource], empty: str, about: Mapping[str, Any] | None = None
) -> None:
    """about: as in Session.print_list."""
    head = HEAD_WIDE if session.wide else HEAD
    items = [item_of(resource) for resource in resources]

    def row(item: Mapping[str, Any]) -> tuple[str, ...]:
        return row_of(item, wide=session.wide)

    session.print_list("ServerList", items, head, row, name_field="name", empty=empty, about=about)


def tell_limits(session: Session, servers: Sequence[Resource]) -> None:
    """Where this machine could not give the servers all that separates them: what they share, or cannot reach."""
    told: dict[str, list[str]] = {}
    for server in servers:
        shared, refusal = server.attributes.get("shared_with_host"), server.attributes.get("network_refusal")
        if shared:
            what = f"plain processes here, less isolated: they share {', '.join(map(str, shared))} with this machine"
            told.setdefault(what, []).append(server.name)
        if refusal:
            told.setdefault(f"no other server can be reached: {refusal}", []).append(server.name)
    for what, names in told.items():
        session.say(f"{session.err.paint('note:', 'warn')} {clean(', '.join(names))}: {clean(what)}")


def find_server(session: Session, name: str) -> Resource:
    """`web-1`, or `wuji/web-1` where several infrastructures have one. Raises NotFoundError, UsageError."""
    infra, slash, server = name.rpartition("/")
    workspace = open_workspace(session)
    known = provider_of(workspace).list("server")
    found = [resource for resource in known if resource.name == server and (not slash or resource.infra == infra)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(f"{resource.infra}/{resource.name}" for resource in found)
        raise UsageError(f"{name!r} is in several infrastructures: {names}", code="ambiguous_server")
    names_known = [resource.name for resource in known] + [f"{resource.infra}/{resource.name}" for resource in known]
    defined = _defined_in(workspace, infra, server)
    raise NotFoundError(
        f"no server {name!r} exists" + (f"; it is defined in {defined}, but not created" if defined else ""),
        code="unknown_server",
        hint=f"provisioning server create {defined} {server} --orchestrated"
        if defined
        else nearest(name, names_known) or "provisioning server list",
    )


def _defined_in(workspace: Workspace, infra: str, server: str) -> str | None:
    from ..errors import ProvisioningError
    from ..infra import load_infra

    for name in workspace.infra_names():
        if infra and name != infra:
            continue
        try:
            servers = load_infra(workspace, name).servers
        except ProvisioningError:
            continue  # a bad definition is not what was asked about
        if any(each.name == server for each in servers):
            return name
    return None


def complete_infra(_ctx: object, _param: object, incomplete: str) -> list[str]:
    """For the shell."""
    from ..settings import Settings
    from ..workspace import load_workspace

    try:
        names = load_workspace(Path(Settings().workspace().value)).infra_names()
    except Exception:
        return []  # completion must never print an error into somebody's command line
    return [name for name in names if name.startswith(incomplete)]


def complete_server(_ctx: object, _param: object, incomplete: str) -> list[str]:
    """For the shell."""
    from ..settings import Settings
    from ..workspace import load_workspace

    try:
        workspace = load_workspace(Path(Settings().workspace().value))
        resources = provider_of(workspace).list("server")
    except Exception:
        return []
    return [resource.name for resource in resources if resource.name.startswith(incomplete)]
