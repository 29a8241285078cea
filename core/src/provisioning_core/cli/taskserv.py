"""`provisioning taskserv`: create, delete, list, show, check-updates, generate, test."""

from __future__ import annotations

from typing import Any

import click

from .call import CONFIRM, Manner, manner_options
from .choosing import complete_server, complete_taskserv
from .inventory import complete_infra
from .lazy import ExamplesCommand, LazyGroup
from .session import Session, with_session

COMMANDS = {
    "create": ("taskserv:create", "Install the taskservs of an infrastructure on its servers."),
    "delete": ("taskserv:delete", "Remove them from its servers."),
    "list": ("taskserv:list_", "The taskservs that there are; of an infrastructure: how they stand."),
    "show": ("taskserv:show", "One taskserv: its parameters, and what it needs."),
    "check-updates": ("taskserv:check_updates", "What could be installed in a newer version."),
    "generate": ("taskserv:generate", "Make a new taskserv in this workspace."),
    "test": ("taskserv:test", "Try a taskserv on a throw-away local server."),
}
PURGE = click.option("--purge", is_flag=True, help="Their data goes too, for good.")
INFRA = click.argument("infra", shell_complete=complete_infra)
NAMES = click.argument("names", metavar="[TASKSERV]...", nargs=-1, shell_complete=complete_taskserv)
SERVERS = click.option(
    "--server",
    "servers",
    multiple=True,
    metavar="SERVER",
    shell_complete=complete_server,
    help="Only on this server, or those of a group (repeatable).",
)


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    examples="""
        provisioning taskserv list
        provisioning taskserv create wuji --orchestrated
        provisioning taskserv generate greeter
        provisioning taskserv test greeter
    """,
)
def taskserv() -> None:
    """Install services on servers, look after them, and make new ones."""


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning taskserv create wuji --orchestrated        # all of them, in the order of their needs
        provisioning taskserv create wuji web --server web-1    # one, on one server
        provisioning taskserv create wuji --check               # what would be done?
    """,
)
@INFRA
@NAMES
@SERVERS
@manner_options
@with_session
def create(session: Session, infra: str, names: tuple[str, ...], servers: tuple[str, ...], **options: Any) -> None:
    """Install the taskservs that INFRA declares, or only those named. What is there as it should be is left alone."""
    from .servicing import Service, service

    service(session, Service("create", infra, names, servers, Manner(**options)))


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning taskserv delete wuji web --orchestrated
        provisioning taskserv delete wuji db --purge --confirm=wuji    # with its data
    """,
)
@INFRA
@NAMES
@SERVERS
@PURGE
@manner_options
@CONFIRM
@with_session
def delete(
    session: Session, infra: str, names: tuple[str, ...], servers: tuple[str, ...], purge: bool, **options: Any
) -> None:
    """Remove the taskservs of INFRA from its servers, or only those named. Their data stays, unless --purge."""
    from .servicing import Service, service

    service(session, Service("delete", infra, names, servers, Manner(**options), purge))


@click.command(
    "list",
    cls=ExamplesCommand,
    examples="""
        provisioning taskserv list             # what can be declared, and which layer it comes from
        provisioning taskserv list wuji        # how those that wuji declares stand
    """,
)
@click.argument("infra", required=False, shell_complete=complete_infra)
@with_session
def list_(session: Session, infra: str | None) -> None:
    """The taskservs that there are. With INFRA: those that it declares, as its servers say it."""
    from .servicing import list_available, list_standing

    if infra is None:
        list_available(session)
    else:
        list_standing(session, infra)


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning taskserv show nginx
        provisioning taskserv show nginx --infra wuji    # an infrastructure's own comes first
    """,
)
@click.argument("name", metavar="TASKSERV", shell_complete=complete_taskserv)
@click.option(
    "--infra", metavar="INFRA", shell_complete=complete_infra, help="Look in this infrastructure's own taskservs first."
)
@with_session
def show(session: Session, name: str, infra: str | None) -> None:
    """One taskserv: its parameters, what it needs, and where it lies."""
    from .servicing import show_taskserv

    show_taskserv(session, name, infra)


@click.command(
    "check-updates",
    cls=ExamplesCommand,
    examples="""
        provisioning taskserv check-updates wuji
        provisioning taskserv check-updates wuji -o json
    """,
)
@INFRA
@with_session
def check_updates(session: Session, infra: str) -> None:
    """What is installed, what is wished, and what the package sources of each server offer."""
    from .servicing import list_standing

    list_standing(session, infra, updates=True)


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning taskserv generate greeter
        provisioning taskserv generate greeter --kind script
        provisioning taskserv test greeter
    """,
)
@click.argument("name", metavar="TASKSERV")
@click.option(
    "--kind", type=click.Choice(["pyinfra", "script", "nu"]), default="pyinfra", help="What it is written in."
)
@click.option("--infra", metavar="INFRA", shell_complete=complete_infra, help="For this infrastructure alone.")
@with_session
def generate(session: Session, name: str, kind: Any, infra: str | None) -> None:
    """Make the folder of a new taskserv, which passes its test as it is."""
    from ..taskservs import find_taskserv
    from ..taskservs.generating import generate as make
    from .inventory import open_workspace

    workspace = open_workspace(session)
    folder = make(workspace, name, kind, infra)
    session.print(str(folder))
    if hidden := find_taskserv(workspace, infra, name).hidden:
        session.say(f"{session.err.paint('note:', 'warn')} it takes the place of the {' and the '.join(hidden)} {name}")
    of = f" --infra {infra}" if infra else ""
    session.next_commands(("test", f"provisioning taskserv test {name}{of}"))


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning taskserv test greeter
        provisioning taskserv test nginx --level image
    """,
)
@click.argument("name", metavar="TASKSERV", shell_complete=complete_taskserv)
@click.option(
    "--infra", metavar="INFRA", shell_complete=complete_infra, help="Look in this infrastructure's own taskservs first."
)
@click.option(
    "--level", type=click.Choice(["image", "namespace", "process"]), help="Of the server (what it supports decides)."
)
@with_session
def test(session: Session, name: str, infra: str | None, level: Any) -> None:
    """Install it on a throw-away local server, install it again, apply it once more, remove it."""
    from ..trial import try_taskserv
    from .inventory import open_workspace

    workspace = open_workspace(session)
    if infra is not None:
        workspace.infra_file(infra)
    done = try_taskserv(workspace, infra, name, level=level, tell=session.say)
    if not session.for_people:
        session.print_document("Trial", done, "name")
    else:
        session.print(f"{name} passed: version {done['version']}, {done['changed']} changes in {done['seconds']} s")
