"""The servers that exist, at all providers of the workspace, and how they are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import NotFoundError, ProvisioningError
from ..provider import Resource
from ..render.text import clean
from .session import Session

if TYPE_CHECKING:
    from ..clouds import Clouds, Found
    from ..workspace import Workspace

HEAD = ("NAME", "INFRA", "STATE", "ADDRESS", "ZONE", "PLAN", "PROVIDER")
HEAD_WIDE = (*HEAD, "ID", "SSH")


def open_workspace(session: Session) -> Workspace:
    from ..workspace import load_workspace

    return load_workspace(Path(session.settings.workspace().value))


def workspace_here(session: Session) -> Workspace | None:
    """None outside of every workspace, where none is named: for what is there everywhere. Raises as load_workspace."""
    try:
        return open_workspace(session)
    except NotFoundError as error:
        named = session.settings.workspace().origin.startswith(("--", "PROVISIONING_"))
        if error.code == "no_workspace" and not named:
            return None
        raise


def existing(clouds: Clouds, infra: str | None = None, *, session: Session | None = None) -> list[Found]:
    """The servers that exist, at all providers, in the order of their keys.

    session: where there is one, a provider that does not answer is told there, and the others are listed all the same;
    unless none of them answers. Raises what the providers raise.
    """
    if session is None:
        return clouds.list("server", infra)
    failed: list[ProvisioningError] = []

    def note(name: str, error: ProvisioningError) -> None:
        failed.append(error)
        session.say(f"{session.err.paint('warning:', 'warn')} provider {clean(name)}: {clean(error.message)}")

    names = clouds.names(infra)
    if len(names) == 1:
        return clouds.list("server", infra)
    found = clouds.list("server", infra, on_error=note)
    if len(failed) == len(names):
        raise failed[0]
    return found


def item_of(found: Found, workspace: Workspace) -> dict[str, Any]:
    """A server as the machine-readable forms show it; `provider` where it is not the workspace's own."""
    from ..inventory import sealed

    resource = found.resource
    attributes = sealed(resource.attributes)
    return {
        "name": resource.name,
        "infra": resource.infra,
        "state": resource.state,
        "id": resource.id,
        "key": resource.key,
        **({"provider": found.provider} if found.provider != workspace.provider else {}),
        **{name: value for name, value in attributes.items() if name not in ("name", "infra", "state", "id")},
    }


def row_of(item: Mapping[str, Any], *, wide: bool) -> tuple[str, ...]:
    names = ("name", "infra", "state", "address", "zone", "plan", "provider")
    plain = tuple(str(item.get(name) or "") for name in names)
    if not wide:
        return plain
    ssh = item.get("ssh") or {}
    return (*plain, str(item.get("id") or ""), f"{ssh.get('user')}@{ssh.get('host')}:{ssh.get('port')}" if ssh else "")


def print_servers(
    session: Session, workspace: Workspace, servers: Sequence[Found], empty: str, about: Mapping[str, Any] | None = None
) -> None:
    """about: as in Session.print_list."""
    head = HEAD_WIDE if session.wide else HEAD
    items = [item_of(each, workspace) for each in servers]

    def row(item: Mapping[str, Any]) -> tuple[str, ...]:
        return row_of(item, wide=session.wide)

    session.print_list("ServerList", items, head, row, name_field="name", empty=empty, about=about)


def tell_limits(session: Session, servers: Sequence[Resource]) -> None:
    """Where this machine could not give the servers all that separates them: what they share, or cannot reach."""
    told: dict[str, list[str]] = {}
    for server in servers:
        shared, refusal = server.attributes.get("shared_with_host"), server.attributes.get("network_refusal")
        if shared:
            separated = server.attributes.get("isolation") in ("namespace", "image", "vm")
            plain = "" if separated else "plain processes here, less isolated: "
            what = f"{plain}they share {', '.join(map(str, shared))} with this machine"
            told.setdefault(what, []).append(server.name)
        if refusal:
            told.setdefault(f"no other server can be reached: {refusal}", []).append(server.name)
    for what, names in told.items():
        session.say(f"{session.err.paint('note:', 'warn')} {clean(', '.join(names))}: {clean(what)}")


def complete_infra(_ctx: object, _param: object, incomplete: str) -> list[str]:
    """For the shell."""
    from ..settings import Settings
    from ..workspace import load_workspace

    try:
        names = load_workspace(Path(Settings().workspace().value)).infra_names()
    except Exception:
        return []  # completion must never print an error into somebody's command line
    return [name for name in names if name.startswith(incomplete)]
