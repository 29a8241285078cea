"""`provisioning infra`: list, show, validate; what changes and compares is in `planning` and `drifting`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import click

from ..errors import ProvisioningError
from ..render.text import as_called, plural
from . import exits
from .exits import Exit
from .inventory import complete_infra, existing, open_workspace
from .lazy import ExamplesCommand, LazyGroup
from .session import Session, with_session

COMMANDS = {
    "create": ("planning:create", "Bring up all of an infrastructure."),
    "delete": ("planning:delete", "Delete all of it."),
    "plan": ("planning:plan", "What would be created, changed, replaced, deleted."),
    "apply": ("planning:apply", "Do exactly what a plan says."),
    "drift": ("drifting:drift", "What has been changed behind our back, and what heals it."),
    "graph": ("drifting:graph", "The tasks that a create would become."),
    "inventory": ("drifting:inventory", "What was made here, as remembered."),
    "list": ("infra:list_", "The infrastructures of the workspace."),
    "show": ("infra:show", "One infrastructure: its networks and servers."),
    "validate": ("infra:validate", "Check definitions; every problem with file, line and column."),
    "schema": ("config:schema", "The JSON Schema of a definition, for editors."),
}


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    examples="""
        provisioning infra plan wuji
        provisioning infra create wuji --orchestrated
        provisioning infra drift wuji
    """,
)
def infra() -> None:
    """Bring up whole infrastructures, see what has become of them, and check their definitions."""


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
    from ..clouds import Clouds
    from ..infra import load_infra
    from ..inventory import sealed

    workspace = open_workspace(session)
    found = load_infra(workspace, name)
    there = existing(Clouds(workspace), name, session=session)
    states = {each.resource.name: each.resource.state for each in there}
    servers = [{**sealed(asdict(server)), "state": states.get(server.name, "absent")} for server in found.servers]
    networks = [asdict(network) for network in found.networks]
    if not session.for_people:
        document = {"name": name, "networks": networks, "servers": servers}
        for part in ("taskservs", "checks", "clusters"):
            document[part] = [asdict(each) for each in getattr(found, part)]
        session.print_document("Infra", document, "name")
        return
    from ..render.table import table

    own = found.provider or workspace.provider
    mixed = any(provider != own for provider in found.providers())
    session.print(f"infra {name}   provider {own}   {workspace.infra_file(name)}")
    if networks:
        rows = [(each["name"], each["cidr"], each["provider"] if mixed else "") for each in networks]
        session.print("\n" + table(("NETWORK", "CIDR", "PROVIDER"), rows, session.out))
    server_rows = [
        (
            *(each["name"], each["state"], _size(each), each["network"] or "", each["zone"] or ""),
            *(each["provider"] if mixed else "", _labels(each["labels"])),
        )
        for each in servers
    ]
    head = ("SERVER", "STATE", "PLAN", "NETWORK", "ZONE", "PROVIDER", "LABELS")
    session.print("\n" + table(head, server_rows, session.out))
    clusters: list[tuple[str, ...]] = [
        (each.name, ",".join(each.roles), ",".join(each.servers)) for each in found.clusters
    ]
    services: list[tuple[str, ...]] = [
        (each.name, each.taskserv, cluster.name if cluster else "", ",".join(each.servers))
        for cluster, each in found.all_taskservs()
    ]
    for title, lines in (
        (("CLUSTER", "ROLES", "SERVERS"), clusters),
        (("TASKSERV", "FOLDER", "CLUSTER", "ON"), services),
    ):
        if lines:
            session.print("\n" + table(title, lines, session.out))


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
            found = load_infra(workspace, name, manifests=True)
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


def _size(server: Mapping[str, Any]) -> str:
    return server["plan"] or f"{server['cpus']} cpus, {server['memory_gb']} GiB"


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in labels.items())
