"""Which servers a person means: `web-1`, `wuji/web-1`, or `web` for all of a group that a definition counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import NotFoundError, ProvisioningError, UsageError
from .inventory import existing, open_workspace
from .session import Session, nearest

if TYPE_CHECKING:
    from ..clouds import Found
    from ..infra import Infra
    from ..workspace import Workspace


def find_server(session: Session, name: str) -> Found:
    """The one of that name. Raises NotFoundError; UsageError where several have it, or it is that of a group."""
    from ..infra import several

    found = find_servers(session, name)
    if len(found) > 1:
        raise several(name, [each.resource.name for each in found])
    return found[0]


def find_servers(session: Session, name: str) -> list[Found]:
    """At least one. Of a group those that exist; the others are told. Raises NotFoundError, UsageError."""
    from ..clouds import Clouds

    infra, slash, own = name.rpartition("/")
    workspace = open_workspace(session)
    known = existing(Clouds(workspace), session=session)
    found = [each for each in known if each.resource.name == own and (not slash or each.resource.infra == infra)]
    if len(found) == 1:
        return found
    if found:
        raise _ambiguous(name, [f"{each.resource.infra}/{own}" for each in found])
    definitions = list(_definitions(workspace, infra))
    groups = [(each, each.groups()[own]) for each in definitions if own in each.groups()]
    if len(groups) > 1:
        raise _ambiguous(name, [f"{each.name}/{own}" for each, _ in groups])
    if groups:
        definition, members = groups[0]
        found = [each for each in known if each.resource.infra == definition.name and each.resource.name in members]
        there = {each.resource.name for each in found}
        if found and (absent := [each for each in members if each not in there]):
            session.say(f"{session.err.paint('note:', 'warn')} not created: {', '.join(absent)}")
        if found:
            return found
    raise _not_there(name, own, known, definitions)


def _not_there(name: str, own: str, known: Sequence[Found], definitions: Sequence[Infra]) -> NotFoundError:
    resources = [each.resource for each in known]
    names = [one.name for one in resources] + [f"{one.infra}/{one.name}" for one in resources]
    for each in definitions:
        if own in each.groups() or any(server.name == own for server in each.servers):
            return NotFoundError(
                f"no server {name!r} exists; it is defined in {each.name}, but not created",
                code="unknown_server",
                hint=f"provisioning server create {each.name} {own} --orchestrated",
            )
        names += each.groups()
    hint = nearest(name, names) or "provisioning server list"
    return NotFoundError(f"no server {name!r} exists", code="unknown_server", hint=hint)


def _ambiguous(name: str, names: Sequence[str]) -> UsageError:
    return UsageError(f"{name!r} is in several infrastructures: {', '.join(names)}", code="ambiguous_server")


def _definitions(workspace: Workspace, infra: str) -> Iterator[Infra]:
    """Of that infrastructure, or of all."""
    from ..infra import load_infra

    for name in workspace.infra_names():
        if infra and name != infra:
            continue
        try:
            yield load_infra(workspace, name)
        except ProvisioningError:
            continue  # a bad definition is not what was asked about


def complete_taskserv(ctx: click.Context, _param: object, incomplete: str) -> list[str]:
    """For the shell: the names that INFRA declares, where the command line has one; else those of all folders."""
    from ..infra import load_infra
    from ..settings import Settings
    from ..taskservs import all_taskservs
    from ..workspace import load_workspace

    infra = ctx.params.get("infra")
    try:
        workspace = load_workspace(Path(Settings().workspace().value))
        if infra and ctx.command.name in ("create", "delete"):
            names = [each.name for _, each in load_infra(workspace, str(infra)).all_taskservs()]
        else:
            names = [each.name for each in all_taskservs(workspace, infra)]
    except Exception:
        return []  # completion must never print an error into somebody's command line
    return [name for name in names if name.startswith(incomplete)]


def complete_server(_ctx: object, _param: object, incomplete: str) -> list[str]:
    """For the shell: servers that exist, and names of groups."""
    from ..settings import Settings
    from ..workspace import load_workspace

    try:
        workspace = load_workspace(Path(Settings().workspace().value))
        from ..clouds import Clouds

        names = [each.resource.name for each in existing(Clouds(workspace))]
        names += [group for each in _definitions(workspace, "") for group in each.groups()]
    except Exception:
        return []  # completion must never print an error into somebody's command line
    return [name for name in names if name.startswith(incomplete)]
