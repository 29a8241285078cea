"""`provisioning server`: create, delete, list, show, ssh."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from ..render.text import clean
from .inventory import complete_infra, complete_server
from .lazy import ExamplesCommand, LazyGroup
from .session import Session, with_session

COMMANDS = {
    "create": ("server:create", "Create the servers of an infrastructure."),
    "delete": ("server:delete", "Delete them."),
    "list": ("server:list_", "The servers that exist."),
    "show": ("server:show", "One server."),
    "ssh": ("server:ssh", "Enter a server, or run a command on it."),
}


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    examples="""
        provisioning server create wuji --orchestrated
        provisioning server list wuji
        provisioning server ssh web-1 -- uptime
    """,
)
def server() -> None:
    """Create, delete, list and enter servers."""


def _change_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What creating and deleting have in common."""
    options = [
        click.option(
            "--orchestrated", is_flag=True, help="By the orchestrator: in parallel, retried, survives crashes."
        ),
        click.option("--check", "--dry-run", is_flag=True, help="Show what would be done, and do nothing."),
        click.option("--exit-code", is_flag=True, help="With --check: exit 10 where there is something to do."),
        click.option("--yes", "-y", is_flag=True, help="Do not ask."),
        click.option(
            "--wait/--no-wait", " /--detach", default=True, help="Stay until it has ended, or print the id and leave."
        ),
        click.option("--timeout", metavar="DURATION", help="Wait no longer (exit 124); the workflow goes on."),
        click.option("--idempotency-key", metavar="KEY", help="The same key again: the same workflow (random)."),
        click.option("--library", multiple=True, metavar="DIR", help="Operations of direct mode (the shipped ones)."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


INFRA = click.argument("infra", shell_complete=complete_infra)
SERVERS = click.argument("servers", metavar="[SERVER]...", nargs=-1, shell_complete=complete_server)


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning server create wuji --orchestrated          # all of them, in parallel
        provisioning server create wuji web-1 web-2 --orchestrated
        provisioning server create wuji --check                 # what would be done?
        provisioning server create wuji                         # here and now, without the orchestrator
        id=$(provisioning server create wuji --orchestrated --no-wait)
    """,
)
@INFRA
@SERVERS
@_change_options
@with_session
def create(session: Session, infra: str, servers: tuple[str, ...], **options: Any) -> None:
    """Create the servers of INFRA, or only those named, and the networks that they need. What exists is left alone."""
    from .changing import Change, change

    change(session, Change("create", infra, servers, **options))


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning server delete wuji --orchestrated
        provisioning server delete wuji web-2 --orchestrated --yes
        provisioning server delete wuji --confirm=wuji          # in a script
    """,
)
@INFRA
@SERVERS
@_change_options
@click.option("--confirm", metavar="INFRA", help="Instead of typing the name back: the infrastructure's name.")
@with_session
def delete(session: Session, infra: str, servers: tuple[str, ...], **options: Any) -> None:
    """Delete the servers of INFRA, or only those named, and the networks that nothing uses then."""
    from .changing import Change, change

    change(session, Change("delete", infra, servers, **options))


@click.command(
    "list",
    cls=ExamplesCommand,
    examples="""
        provisioning server list
        provisioning server list wuji -o wide
        provisioning server list wuji -o json
    """,
)
@click.argument("infra", required=False, shell_complete=complete_infra)
@with_session
def list_(session: Session, infra: str | None) -> None:
    """The servers that exist, of one infrastructure or of all."""
    from .inventory import open_workspace, print_servers, provider_of

    workspace = open_workspace(session)
    servers = provider_of(workspace).list("server", infra=infra)
    if infra is not None and not servers:
        workspace.infra_file(infra)  # a name that nobody defined is a mistake, not an empty list
    print_servers(session, servers, f"no servers in {infra}" if infra else "no servers")


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning server show web-1
        provisioning server show wuji/web-1 -o json
    """,
)
@click.argument("name", metavar="[INFRA/]SERVER", shell_complete=complete_server)
@with_session
def show(session: Session, name: str) -> None:
    """One server: everything that the provider says of it."""
    from .inventory import find_server, item_of

    item = item_of(find_server(session, name))
    if not session.for_people:
        session.print_document("Server", item, "name")
        return
    size = max(len(field) for field in item)
    for field, value in item.items():
        if value not in (None, [], {}):
            session.print(clean(f"{field.ljust(size)}  {_words(value)}"))


def _words(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={part}" for name, part in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning server ssh web-1
        provisioning server ssh wuji/web-1 -- hostname
        provisioning server ssh web-1 -- 'cd /etc && ls | head'    # one word: a line of shell
    """,
)
@click.argument("name", metavar="[INFRA/]SERVER", shell_complete=complete_server)
@click.argument("command", metavar="[-- COMMAND...]", nargs=-1, type=click.UNPROCESSED)
@with_session
def ssh(session: Session, name: str, command: tuple[str, ...]) -> None:
    """Enter a server, or run a command on it; ends as the command ends."""
    from .connecting import connect
    from .inventory import find_server

    connect(find_server(session, name), command)
