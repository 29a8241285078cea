"""`provisioning provider`: which clouds there are, what they offer, and what is missing to use them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from ..render.text import clean
from .exits import FAILED, Exit
from .inventory import workspace_here
from .lazy import ExamplesCommand, LazyGroup
from .offering import complete_provider, item_of_provider, providers_here
from .session import Session, with_session

COMMANDS = {
    "list": ("provider:list_", "The providers that can be used here."),
    "login": ("login:login", "Keep a provider's credentials where operations find them."),
    "check": ("provider:check", "What is missing to use one: packages, credentials, an answer."),
    "zones": ("provider:zones", "Where it has machines."),
    "plans": ("provider:plans", "The sizes that it has, and what they cost."),
    "images": ("provider:images", "The systems that its servers can start with."),
    "double": ("double:double", "A cloud to practise on, on this machine."),
    "generate": ("provider:generate", "Begin a provider of your own, in any language."),
}


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    examples="""
        provisioning provider list
        provisioning provider check upcloud
        provisioning provider plans upcloud
        provisioning provider generate mycloud --language nu
    """,
)
def provider() -> None:
    """Look at the clouds that servers can come from, and try them."""


NAME = click.argument("name", required=False, metavar="[PROVIDER]", shell_complete=complete_provider)


@click.command(
    "list",
    cls=ExamplesCommand,
    examples="""
        provisioning provider list
        provisioning provider list -o wide       # what each can do
        provisioning provider list -o json
    """,
)
@with_session
def list_(session: Session) -> None:
    """The providers that can be used here, where each comes from, and what brings what is missing."""
    workspace = workspace_here(session)
    items = [item_of_provider(workspace, name) for name in providers_here(workspace)]

    def row(item: Mapping[str, Any]) -> tuple[str, ...]:
        state = item.get("error") or item.get("install") or "ready"
        can = (" ".join(item["kinds"]), " ".join(item["flags"])) if session.wide else ()
        return (("* " if item["default"] else "  ") + item["name"], item["from"], clean(state), *can)

    head = ("  NAME", "FROM", "STATE", *(("KINDS", "CAN") if session.wide else ()))
    session.print_list("ProviderList", items, head, row, name_field="name", empty="no providers")


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning provider check              # the workspace's own
        provisioning provider check upcloud
    """,
)
@NAME
@with_session
def check(session: Session, name: str | None) -> None:
    """What is missing to use a provider: packages, credentials, an answer of its API. Exit 1 where something is."""
    from dataclasses import asdict

    from ..findings import Finding, examine
    from ..render.text import as_called
    from .inventory import open_workspace

    workspace = open_workspace(session)
    found: list[Finding] = []
    if name is not None and name not in providers_here(workspace):
        workspace.load_provider(name)  # raises: a name that nothing has is bad usage, no provider that is not ready
    for finding in examine(workspace, name or workspace.provider):
        found.append(finding)
        if session.for_people:
            word, colour = ("ok", "good") if finding.ok else ("no", "bad") if finding.needed else ("--", "dim")
            mark = session.out.paint(word, colour)
            session.print(f"{mark}  {finding.name.ljust(14)}{clean(finding.message)}")
            if finding.fix and not finding.ok:
                session.print(f"    {' ' * 14}{clean(as_called(finding.fix))}")
    if not session.for_people:
        items = [asdict(finding) for finding in found]
        session.print_list("FindingList", items, (), lambda _: (), name_field="name", empty="")
    if not all(finding.ok for finding in found if finding.needed):
        raise Exit(FAILED)


@click.command(cls=ExamplesCommand, examples="provisioning provider zones upcloud")
@NAME
@with_session
def zones(session: Session, name: str | None) -> None:
    """Where a provider has machines (the workspace's own provider)."""
    from .offering import catalogue

    items = [{"name": zone} for zone in catalogue(session, name, "zones").zones()]
    session.print_list("ZoneList", items, ("ZONE",), lambda item: (item["name"],), name_field="name", empty="no zones")


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning provider plans upcloud
        provisioning provider plans upcloud --zone fi-hel1 -o json
    """,
)
@NAME
@click.option("--zone", metavar="ZONE", help="What can be had, and what it costs, there.")
@with_session
def plans(session: Session, name: str | None, zone: str | None) -> None:
    """The sizes of servers that a provider has (the workspace's own provider)."""
    from dataclasses import asdict

    from .offering import catalogue

    def row(item: Mapping[str, Any]) -> tuple[str, ...]:
        price = "" if item["price_hour"] is None else f"{item['price_hour']:.4f} {item['currency'] or ''}".rstrip()
        disk = "" if item["disk_gb"] is None else str(item["disk_gb"])
        return (item["name"], str(item["cpus"]), f"{item['memory_gb']:g}", disk, price)

    items = [asdict(plan) for plan in catalogue(session, name, "plans").plans(zone)]
    head = ("PLAN", "CPUS", "MEMORY GB", "DISK GB", "PER HOUR")
    session.print_list("PlanList", items, head, row, name_field="name", empty="no plans")


@click.command(cls=ExamplesCommand, examples="provisioning provider images upcloud")
@NAME
@with_session
def images(session: Session, name: str | None) -> None:
    """The systems that servers of a provider can start with (the workspace's own provider)."""
    from .offering import catalogue

    items = [{"name": image} for image in catalogue(session, name, "images").images()]
    head = ("IMAGE",)
    session.print_list("ImageList", items, head, lambda item: (item["name"],), name_field="name", empty="no images")


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning provider generate mycloud                      # Python
        provisioning provider generate mycloud --language nu
        provisioning provider generate mycloud --language executable
    """,
)
@click.argument("name", metavar="NAME")
@click.option(
    "--language",
    type=click.Choice(("python", "nu", "executable")),
    default="python",
    help="Run by Python, by Nushell, or by itself (python).",
)
@with_session
def generate(session: Session, name: str, language: Any) -> None:
    """A new provider in the workspace: a cloud of files that works at once, and its conformance test, to be edited."""
    from ..generating import generate_provider
    from .inventory import open_workspace

    workspace = open_workspace(session)
    file, test = generate_provider(workspace.path, name, language)
    shown = [str(path.relative_to(workspace.path)) for path in (file, test)]
    if not session.for_people:
        session.print_document("Provider", {"name": name, "file": shown[0], "test": shown[1]}, "name")
        return
    session.say(f"{shown[0]} keeps its resources in files. Edit what stands below `the cloud`; it works as it is.")
    session.next_commands(
        ("look", f"provisioning provider check {name}"),
        ("test", f"python -m pytest {shown[1]}"),
        ("use", f"`provider: {name}` in provisioning.yaml, or in an infrastructure's file"),
    )
