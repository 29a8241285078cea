"""`provisioning server start|stop|reboot`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ..errors import ConflictError
from ..render.text import clean
from . import exits
from .call import Call, Manner, manner_options
from .choosing import complete_server, find_servers
from .exits import Exit
from .inventory import existing, open_workspace, print_servers
from .lazy import ExamplesCommand
from .performing import confirmed, perform, refused
from .session import Session, with_session

if TYPE_CHECKING:
    from ..clouds import Found
    from ..workspace import Workspace

NAME = click.argument("name", metavar="[INFRA/]SERVER|GROUP", shell_complete=complete_server)
AFTER = {"start": "started", "stop": "stopped", "reboot": "rebooted"}


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning server start web-1
        provisioning server start wuji/web-1 --orchestrated
    """,
)
@NAME
@manner_options
@with_session
def start(session: Session, name: str, **options: Any) -> None:
    """Start a server that is stopped, or all of a group; what runs is left alone."""
    _power(session, name, "start", Manner(**options))


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning server stop web-1
        provisioning server stop wuji/web-1 --yes --orchestrated
    """,
)
@NAME
@manner_options
@with_session
def stop(session: Session, name: str, **options: Any) -> None:
    """Stop a server, or all of a group; its disks are kept, and most providers go on charging for them."""
    _power(session, name, "stop", Manner(**options))


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning server reboot web-1
        provisioning server reboot web --yes             # web-1, web-2 …
    """,
)
@NAME
@manner_options
@with_session
def reboot(session: Session, name: str, **options: Any) -> None:
    """Reboot a server, or all of a group at once."""
    _power(session, name, "reboot", Manner(**options))


def _power(session: Session, name: str, action: str, manner: Manner) -> None:
    from ..clouds import Clouds, require

    manner.timeout_s()
    found = find_servers(session, name)
    workspace, infra = open_workspace(session), found[0].resource.infra
    clouds = Clouds(workspace)
    for each in found:
        require(clouds.load(each.provider), each.provider, "power", f"{action} servers")
    _check_mendable(found, infra)
    to_do = [each for each in found if action == "reboot" or each.resource.state != AFTER[action]]
    if manner.check:
        _print_check(session, found, to_do, action)
        raise Exit(exits.CHANGES if manner.exit_code and to_do else exits.SUCCEEDED)
    if not to_do and manner.wait:
        _say_nothing_to_do(session, found)
        print_servers(session, workspace, found, "")
        return
    subject = ", ".join(f"{infra}/{each.resource.name}" for each in to_do)
    asks = action != "start" and session.can_ask() and not manner.yes
    if asks and not confirmed(session, f"{action.capitalize()} {clean(subject)}? [y/N]"):
        raise refused(session)
    perform(session, workspace, _call(workspace, infra, to_do or found, action, manner), manner)
    names = {each.resource.key for each in found}
    after = [each for each in existing(clouds, infra, session=session) if each.resource.key in names]
    print_servers(session, workspace, after, "")


def _check_mendable(found: Sequence[Found], infra: str) -> None:
    """Raises ConflictError for those in error: nobody can start or stop them."""
    broken = ", ".join(each.resource.name for each in found if each.resource.state == "error")
    if broken:
        raise ConflictError(
            f"in error at the provider: {broken}",
            code="broken",
            hint=f"it may come back by itself, or in the provider's console; else, made again:"
            f" provisioning infra create {infra} --confirm={infra}",
        )


def _call(workspace: Workspace, infra: str, servers: Sequence[Found], action: str, manner: Manner) -> Call:
    from ..plan.tasks import provider_param

    names = [each.resource.name for each in servers]
    params: dict[str, Any] = {"servers": names, "action": action}
    if len(servers) == 1:
        params = {"name": names[0], "action": action} | provider_param(servers[0].provider, workspace.provider)
    again = "; ".join(f"provisioning server {action} {infra}/{name}" for name in names)
    return Call("servers", "power", infra, params, again + (" --orchestrated" if manner.orchestrated else ""))


def _print_check(session: Session, found: Sequence[Found], to_do: Sequence[Found], action: str) -> None:
    for each in to_do:
        session.print(f"~ server {clean(each.resource.name)}  {each.resource.state}: to be {AFTER[action]}")
    if to_do:
        session.say(f"{len(to_do)} to change.")
    else:
        _say_nothing_to_do(session, found)


def _say_nothing_to_do(session: Session, found: Sequence[Found]) -> None:
    names = ", ".join(clean(each.resource.name) for each in found)
    are = f"server {names} is" if len(found) == 1 else f"{names} are"
    session.say(f"Nothing to do: {are} {found[0].resource.state} already.")
