"""`provisioning server`: create, delete, list, show, ssh; the rest is in `power`, `sizing` and `adopting`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from ..render.text import clean
from .call import CONFIRM, Manner, manner_options
from .choosing import complete_server
from .inventory import complete_infra
from .lazy import ExamplesCommand, LazyGroup
from .session import Session, with_session

COMMANDS = {
    "create": ("server:create", "Create the servers of an infrastructure."),
    "delete": ("server:delete", "Delete them."),
    "list": ("server:list_", "The servers that exist."),
    "show": ("server:show", "One server."),
    "ssh": ("server:ssh", "Enter a server, or run a command on it."),
    "start": ("power:start", "Start a server that is stopped."),
    "stop": ("power:stop", "Stop a server; it is kept."),
    "reboot": ("power:reboot", "Reboot a server."),
    "resize": ("sizing:resize", "Give a server the plan that its definition says."),
    "price": ("sizing:price", "What the servers of an infrastructure cost."),
    "import": ("adopting:import_", "Make a server that exists at a provider ours."),
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


INFRA = click.argument("infra", shell_complete=complete_infra)
SERVERS = click.argument("servers", metavar="[SERVER]...", nargs=-1, shell_complete=complete_server)


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning server create wuji --orchestrated          # all of them, in parallel
        provisioning server create wuji web-1 web-2 --orchestrated
        provisioning server create wuji web --orchestrated      # a count's name: web-1, web-2 …
        provisioning server create wuji --check                 # what would be done?
        provisioning server create wuji                         # here and now, without the orchestrator
        id=$(provisioning server create wuji --orchestrated --no-wait)
    """,
)
@INFRA
@SERVERS
@manner_options
@with_session
def create(session: Session, infra: str, servers: tuple[str, ...], **options: Any) -> None:
    """Create the servers of INFRA, or only those named, and the networks that they need.

    What exists and is defined otherwise now is changed where that needs no replacement.
    """
    from .changing import Change, change

    change(session, Change("server", "create", infra, servers, Manner(**options)))


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
@manner_options
@CONFIRM
@with_session
def delete(session: Session, infra: str, servers: tuple[str, ...], **options: Any) -> None:
    """Delete the servers of INFRA, or only those named, and the networks that nothing uses then."""
    from .changing import Change, change

    change(session, Change("server", "delete", infra, servers, Manner(**options)))


@click.command(
    "list",
    cls=ExamplesCommand,
    examples="""
        provisioning server list
        provisioning server list wuji -o wide
        provisioning server list wuji web     # only web-1, web-2 …
        provisioning server list wuji -o json
    """,
)
@click.argument("infra", required=False, shell_complete=complete_infra)
@SERVERS
@with_session
def list_(session: Session, infra: str | None, servers: tuple[str, ...]) -> None:
    """The servers that exist, of one infrastructure, or of all."""
    from ..clouds import Clouds
    from ..plan import chosen_servers
    from .inventory import existing, open_workspace, print_servers

    workspace = open_workspace(session)
    clouds = Clouds(workspace)
    found = existing(clouds, infra, session=session)
    if infra is not None and not found:
        workspace.infra_file(infra)  # a name that nobody defined is a mistake, not an empty list
    if infra is not None and servers:
        names = chosen_servers(clouds, infra, servers, found)
        found = [each for each in found if each.resource.name in names]
    print_servers(session, workspace, found, f"no servers in {infra}" if infra else "no servers")


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
    from .choosing import find_server
    from .inventory import item_of, open_workspace

    item = item_of(find_server(session, name), open_workspace(session))
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
    from .choosing import find_server
    from .connecting import connect

    connect(find_server(session, name).resource, command)
