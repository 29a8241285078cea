"""`provisioning server start|stop|reboot`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..render.text import clean
from . import exits
from .exits import Exit
from .inventory import complete_server, find_server, open_workspace, print_servers
from .lazy import ExamplesCommand
from .performing import Call, Manner, confirmed, manner_options, perform, refused
from .session import Session, with_session

if TYPE_CHECKING:
    from ..clouds import Found
    from ..workspace import Workspace

NAME = click.argument("name", metavar="[INFRA/]SERVER", shell_complete=complete_server)
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
    """Start a server that is stopped; one that runs is left alone."""
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
    """Stop a server; its disks are kept, and most providers go on charging for them."""
    _power(session, name, "stop", Manner(**options))


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning server reboot web-1
    """,
)
@NAME
@manner_options
@with_session
def reboot(session: Session, name: str, **options: Any) -> None:
    """Reboot a server."""
    _power(session, name, "reboot", Manner(**options))


def _power(session: Session, name: str, action: str, manner: Manner) -> None:
    from ..clouds import Clouds, require
    from ..plan.tasks import provider_param

    manner.timeout_s()
    found = find_server(session, name)
    workspace, server = open_workspace(session), found.resource
    require(Clouds(workspace).load(found.provider), found.provider, "power", f"{action} servers")
    to_do = action == "reboot" or server.state != AFTER[action]
    if manner.check:
        what = f"to be {AFTER[action]}" if to_do else f"{server.state} already"
        session.print(f"~ server {clean(server.name)}  {server.state}: {what}" if to_do else "")
        session.say("1 to change." if to_do else f"Nothing to do: server {server.name} is {what}.")
        raise Exit(exits.CHANGES if manner.exit_code and to_do else exits.SUCCEEDED)
    if not to_do and manner.wait:
        session.say(f"Nothing to do: server {server.name} is {server.state} already.")
        _print(session, workspace, found)
        return
    asks = action != "start" and session.can_ask() and not manner.yes
    if asks and not confirmed(session, f"{action.capitalize()} {clean(server.infra)}/{clean(server.name)}? [y/N]"):
        raise refused(session)
    params = {"name": server.name, "action": action} | provider_param(found.provider, workspace.provider)
    again = f"provisioning server {action} {server.infra}/{server.name}"
    call = Call("servers", "power", server.infra, params, again + (" --orchestrated" if manner.orchestrated else ""))
    perform(session, workspace, call, manner)
    _print(session, workspace, find_server(session, f"{server.infra}/{server.name}"))


def _print(session: Session, workspace: Workspace, found: Found) -> None:
    print_servers(session, workspace, [found], "")
