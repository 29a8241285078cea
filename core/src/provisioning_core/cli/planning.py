"""`provisioning infra create|delete|plan|apply`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..errors import NotFoundError, UsageError
from . import exits
from .call import CONFIRM, Manner, manner_options
from .exits import Exit
from .inventory import complete_infra, open_workspace
from .lazy import ExamplesCommand
from .planned import print_plans
from .session import Session, with_session

INFRA = click.argument("infra", shell_complete=complete_infra)


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning infra create wuji --orchestrated
        provisioning infra create wuji --check                  # what would be done?
        provisioning infra create wuji --confirm=wuji           # also what replaces or deletes
    """,
)
@INFRA
@manner_options
@CONFIRM
@with_session
def create(session: Session, infra: str, **options: Any) -> None:
    """Bring up all of INFRA: networks, servers, clusters, taskservs, checks; change what is defined otherwise now.

    What would have to be replaced or deleted is left and named, unless its name is typed back or given by --confirm.
    """
    from .changing import Change, change

    change(session, Change("infra", "create", infra, (), Manner(**options)))


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning infra delete wuji --orchestrated
        provisioning infra delete wuji --confirm=wuji           # in a script
    """,
)
@INFRA
@manner_options
@CONFIRM
@with_session
def delete(session: Session, infra: str, **options: Any) -> None:
    """Delete all servers of INFRA at all providers, then its networks; also where its file is gone."""
    from .changing import Change, change

    change(session, Change("infra", "delete", infra, (), Manner(**options)))


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning infra plan wuji
        provisioning infra plan wuji --out wuji.plan && provisioning infra apply wuji.plan
        provisioning infra plan --exit-code                     # 10 where there are changes
    """,
)
@click.argument("infra", required=False, shell_complete=complete_infra)
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path), help="Keep the plan, to apply exactly that.")
@click.option("--exit-code", is_flag=True, help="Exit 10 where there is something to do.")
@with_session
def plan(session: Session, infra: str | None, out: Path | None, exit_code: bool) -> None:
    """What would be created, changed, replaced and deleted, per field, from what exists at the providers."""
    from ..clouds import Clouds
    from ..plan import plan_infra
    from ..plan.document import write_plan

    workspace = open_workspace(session)
    names = [infra] if infra is not None else workspace.infra_names()
    if not names:
        raise NotFoundError(f"{workspace.path / 'infra'} holds no infrastructure", code="no_infra")
    if out is not None and len(names) > 1:
        raise UsageError(f"--out keeps one plan; which infra? ({', '.join(names)})", code="bad_flags")
    clouds = Clouds(workspace)
    plans = [plan_infra(workspace, name, clouds=clouds) for name in names]
    print_plans(session, plans)
    if out is not None:
        write_plan(plans[0], out)
        session.next_commands(("apply", f"provisioning infra apply {out}"))
    if exit_code and not all(each.nothing_to_do for each in plans):
        raise Exit(exits.CHANGES)


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning infra plan wuji --out wuji.plan
        provisioning infra apply wuji.plan --orchestrated
        provisioning infra apply wuji.plan --confirm=wuji       # where it replaces or deletes
    """,
)
@click.argument("file", type=click.Path(path_type=Path))
@manner_options
@CONFIRM
@with_session
def apply(session: Session, file: Path, **options: Any) -> None:
    """Do exactly what the plan in FILE says; what the world has changed since is refused, and nothing else is done."""
    from ..plan.document import read_plan
    from .changing import Change, change

    change(session, Change("infra", "apply", read_plan(file).infra, (), Manner(**options), file))
