"""`provisioning infra`: list, show, validate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import click

from ..errors import ProvisioningError
from ..render.text import as_called, plural
from . import exits
from .exits import Exit
from .inventory import complete_infra, open_workspace
from .lazy import ExamplesCommand, LazyGroup
from .session import Session, with_session

COMMANDS = {
    "list": ("infra:list_", "The infrastructures of the workspace."),
    "show": ("infra:show", "One infrastructure: its networks and servers."),
    "validate": ("infra:validate", "Check definitions; every problem with file, line and column."),
    "schema": ("config:schema", "The JSON Schema of a definition, for editors."),
}


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    examples="""
        provisioning infra list
        provisioning infra validate wuji
    """,
)
def infra() -> None:
    """Look at infrastructure definitions and check them."""


@click.command(
    "list",
    cls=ExamplesCommand,
    examples="""
        provisioning infra list
        provisioning infra list -o name
    """,
)
@with_session
def list_(session: Session) -> None:
    """The infrastructures of the workspace."""
    from ..infra import load_infra

    workspace = open_workspace(session)
    items = []
    for name in workspace.infra_names():
        item: dict[str, Any] = {"name": name, "file": str(workspace.infra_file(name))}
        try:
            found = load_infra(workspace, name)
        except ProvisioningError as error:
            item |= {"valid": False, "error": error.message}
        else:
            item |= {"valid": True, "servers": len(found.servers), "networks": len(found.networks)}
        items.append(item)

    def row(item: Mapping[str, Any]) -> tuple[str, ...]:
        state = "" if item["valid"] else f"not valid: {as_called('provisioning infra validate')} {item['name']}"
        counts = (str(item.get("servers", "")), str(item.get("networks", "")))
        return (item["name"], *counts, state, item["file"] if session.wide else "")

    head = ("NAME", "SERVERS", "NETWORKS", "PROBLEMS", "FILE")
    session.print_list(
        "InfraList", items, head, row, name_field="name", empty=f"no infrastructures in {workspace.path / 'infra'}"
    )


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning infra show wuji
        provisioning infra show wuji -o yaml
    """,
)
@click.argument("name", metavar="INFRA", shell_complete=complete_infra)
@with_session
def show(session: Session, name: str) -> None:
    """One infrastructure as it is defined, and which of its servers exist."""
    from ..infra import load_infra

    workspace = open_workspace(session)
    found = load_infra(workspace, name)
    existing = {resource.name: resource for resource in workspace.load_provider().list("server", infra=name)}
    servers = [
        {**asdict(server), "state": existing[server.name].state if server.name in existing else "absent"}
        for server in found.servers
    ]
    networks = [asdict(network) for network in found.networks]
    if not session.for_people:
        document = {"name": name, "networks": networks, "servers": servers}
        session.print_document("Infra", document, "name")
        return
    from ..render.table import table

    session.print(f"infra {name}   provider {workspace.provider}   {workspace.infra_file(name)}")
    if networks:
        rows = [(network["name"], network["cidr"]) for network in networks]
        session.print("\n" + table(("NETWORK", "CIDR"), rows, session.out))
    server_rows = [
        (each["name"], each["state"], each["plan"], each["network"] or "", each["zone"] or "", _labels(each["labels"]))
        for each in servers
    ]
    head = ("SERVER", "STATE", "PLAN", "NETWORK", "ZONE", "LABELS")
    session.print("\n" + table(head, server_rows, session.out))


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning infra validate              # all of the workspace
        provisioning infra validate wuji
    """,
)
@click.argument("names", metavar="[INFRA]...", nargs=-1, shell_complete=complete_infra)
@with_session
def validate(session: Session, names: tuple[str, ...]) -> None:
    """Check definitions: every problem at once, with file, line and column. Exit 2 where there is one."""
    from ..infra import load_infra

    workspace = open_workspace(session)
    bad = 0
    items: list[dict[str, Any]] = []
    for name in names or workspace.infra_names():
        try:
            found = load_infra(workspace, name)
        except ProvisioningError as error:
            if error.exit_code != exits.USAGE:
                raise
            bad += 1
            items.append({"name": name, "valid": False, "error": error.message, "problems": problems_of(error)})
            session.err.say(error.message)
            continue
        items.append({"name": name, "valid": True, "servers": len(found.servers), "networks": len(found.networks)})
        if session.for_people:
            counts = f"{plural(len(found.servers), 'server')}, {plural(len(found.networks), 'network')}"
            session.say(f"{session.err.paint(session.err.glyphs.good, 'good')} {name}: {counts}")
    if not session.for_people:
        session.print_list("InfraList", items, (), lambda _: (), name_field="name", empty="")
    if bad:
        raise Exit(exits.USAGE)


def problems_of(error: ProvisioningError) -> list[dict[str, Any]]:
    """Each as {file, line, column, field, message}; line and column are null where they are not known."""
    return [
        {**asdict(problem), "line": problem.line or None, "column": problem.column or None}
        for problem in getattr(error, "problems", ())
    ]


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in labels.items())
