"""`provisioning cluster`: create, delete, list, show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from ..errors import ProvisioningError
from .call import CONFIRM, Manner, manner_options
from .inventory import complete_infra, existing, open_workspace
from .lazy import ExamplesCommand, LazyGroup
from .session import Session, with_session

COMMANDS = {
    "create": ("cluster:create", "Create a cluster: its servers, their taskservs, its checks."),
    "delete": ("cluster:delete", "Delete the servers of a cluster."),
    "list": ("cluster:list_", "The clusters that are defined."),
    "show": ("cluster:show", "One cluster: its roles, servers, taskservs and checks."),
}


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    examples="""
        provisioning cluster list
        provisioning cluster create wuji k8s --orchestrated
    """,
)
def cluster() -> None:
    """Create, delete and look at clusters: named groups of servers with roles and taskservs."""


def complete_cluster(ctx: click.Context, _param: object, incomplete: str) -> list[str]:
    """For the shell."""
    from pathlib import Path

    from ..infra import load_infra
    from ..settings import Settings
    from ..workspace import load_workspace

    try:
        workspace = load_workspace(Path(Settings().workspace().value))
        names = [each.name for each in load_infra(workspace, str(ctx.params["infra"])).clusters]
    except Exception:
        return []
    return [name for name in names if name.startswith(incomplete)]


INFRA = click.argument("infra", shell_complete=complete_infra)
CLUSTER = click.argument("name", metavar="CLUSTER", shell_complete=complete_cluster)


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning cluster create wuji k8s --orchestrated
        provisioning cluster create wuji k8s --check
    """,
)
@INFRA
@CLUSTER
@manner_options
@with_session
def create(session: Session, infra: str, name: str, **options: Any) -> None:
    """Create the servers of a cluster and their networks, install its taskservs, and wait for its checks."""
    from .changing import Change, change

    change(session, Change("cluster", "create", infra, (name,), Manner(**options)))


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning cluster delete wuji k8s --orchestrated
        provisioning cluster delete wuji k8s --confirm=wuji
    """,
)
@INFRA
@CLUSTER
@manner_options
@CONFIRM
@with_session
def delete(session: Session, infra: str, name: str, **options: Any) -> None:
    """Delete the servers of a cluster, with all that is on them. Networks are left to the infrastructure."""
    from .changing import Change, change

    change(session, Change("cluster", "delete", infra, (name,), Manner(**options)))


@click.command(
    "list",
    cls=ExamplesCommand,
    examples="""
        provisioning cluster list
        provisioning cluster list wuji -o json
    """,
)
@click.argument("infra", required=False, shell_complete=complete_infra)
@with_session
def list_(session: Session, infra: str | None) -> None:
    """The clusters that are defined, of one infrastructure or of all."""
    from ..infra import load_infra

    workspace = open_workspace(session)
    items: list[dict[str, Any]] = []
    for name in [infra] if infra is not None else workspace.infra_names():
        try:
            found = load_infra(workspace, name)
        except ProvisioningError as error:
            if infra is not None:
                raise
            session.say(f"{session.err.paint('warning:', 'warn')} {name}: {error.message.splitlines()[0]}")
            continue
        for each in found.clusters:
            counts = {"servers": len(each.servers), "taskservs": len(each.taskservs), "checks": len(each.checks)}
            items.append({"name": each.name, "infra": name, "roles": list(each.roles), **counts})

    def row(item: Mapping[str, Any]) -> tuple[str, ...]:
        counts = (str(item["servers"]), str(item["taskservs"]), str(item["checks"]))
        return (item["name"], item["infra"], ",".join(item["roles"]), *counts)

    head = ("NAME", "INFRA", "ROLES", "SERVERS", "TASKSERVS", "CHECKS")
    session.print_list("ClusterList", items, head, row, name_field="name", empty="no clusters")


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning cluster show wuji k8s
        provisioning cluster show wuji k8s -o yaml
    """,
)
@INFRA
@CLUSTER
@with_session
def show(session: Session, infra: str, name: str) -> None:
    """One cluster as it is defined, and which of its servers exist."""
    from dataclasses import asdict

    from ..clouds import Clouds
    from ..infra import load_infra
    from ..render.table import table

    workspace = open_workspace(session)
    found = load_infra(workspace, infra).cluster(name)
    states = {each.resource.name: each.resource.state for each in existing(Clouds(workspace), infra, session=session)}
    roles = [
        {"role": role, "server": server, "state": states.get(server, "absent")}
        for role, servers in found.roles.items()
        for server in servers
    ]
    if not session.for_people:
        session.print_document("Cluster", {"infra": infra, **asdict(found), "servers": roles}, "name")
        return
    session.print(f"cluster {name}   infra {infra}")
    rows = [(each["role"], each["server"], each["state"]) for each in roles]
    session.print("\n" + table(("ROLE", "SERVER", "STATE"), rows, session.out))
    if found.taskservs:
        services = [(each.name, each.taskserv, each.version or "", ",".join(each.servers)) for each in found.taskservs]
        session.print("\n" + table(("TASKSERV", "FOLDER", "VERSION", "SERVERS"), services, session.out))
    if found.checks:
        checks = [(each.name, ",".join(each.sources) or "itself", ",".join(each.targets)) for each in found.checks]
        session.print("\n" + table(("CHECK", "FROM", "OF"), checks, session.out))
