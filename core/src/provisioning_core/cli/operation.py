"""`provisioning operation`: list, show, run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ..render.text import clean, clean_lines
from .call import CONFIRM, Manner, manner_options
from .inventory import complete_infra
from .lazy import ExamplesCommand, LazyGroup
from .libraries import layer_of, library_roots
from .session import Session, with_session

COMMANDS = {
    "list": ("operation:list_", "The operations that there are."),
    "show": ("operation:show", "One operation: its parameters, and what may be expected of it."),
    "run": ("operation:run", "Run an operation by its name, and print what it returned."),
}
HEAD = ("NAME", "LIBRARY", "REPEATABLE", "WHAT")
HEAD_WIDE = ("NAME", "LIBRARY", "REPEATABLE", "TIMEOUT", "PARAMETERS", "WHAT")
REPEATABLE = {True: "yes: finds before it creates", False: "no: nobody knows what it does when it runs twice"}
LIBRARY = click.option(
    "--library", multiple=True, metavar="DIR", help="Operations (the workspace's, the shipped ones)."
)


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    examples="""
        provisioning operation list
        provisioning operation show command/run
        provisioning operation run command/run --param argv='["uname", "-a"]'
    """,
)
def operation() -> None:
    """List and run operations: what workflows are made of, by name.

    An operation is a file in a library: command/run is command/run.py, command/run.nu or an executable command/run in
    the `library` of the workspace, or among those that are shipped.
    """


def complete_operation(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """For the shell."""
    from ..library import list_operations
    from ..settings import Settings

    try:
        names = list_operations(library_roots(Settings()))
    except Exception:
        return []  # completion must never print an error into somebody's command line
    return [name for name in names if name.startswith(incomplete)]


NAME = click.argument("name", metavar="OPERATION", shell_complete=complete_operation)


@click.command(
    "list",
    cls=ExamplesCommand,
    examples="""
        provisioning operation list
        provisioning operation list -o wide
        provisioning operation list --orchestrated -o name     # what the orchestrator has
    """,
)
@click.option("--orchestrated", is_flag=True, help="Those of the orchestrator, which may have other libraries.")
@LIBRARY
@with_session
def list_(session: Session, orchestrated: bool) -> None:
    """The operations of the workspace, and those that are shipped."""
    from ..describing import describe_all

    if orchestrated:
        items = session.orchestrator.operations()
    else:
        items = [_item(session, each) for each in describe_all(library_roots(session.settings))]
    head: tuple[str, ...] = HEAD_WIDE if session.wide else HEAD
    if orchestrated:
        head = tuple(title for title in head if title not in ("LIBRARY", "PARAMETERS"))

    def row(item: Mapping[str, Any]) -> tuple[str, ...]:
        timeout_s = item.get("timeout_s")
        cells = {
            "NAME": clean(str(item["name"])),
            "LIBRARY": clean(str(item.get("library") or "")),
            "REPEATABLE": "yes" if item.get("repeatable") else "no",
            "TIMEOUT": f"{timeout_s:g} s" if isinstance(timeout_s, int | float) else "",
            "PARAMETERS": clean(str(item.get("usage") or "")),
            "WHAT": clean(f"cannot be used: {item['problem']}" if item.get("problem") else str(item.get("help") or "")),
        }
        return tuple(cells[title] for title in head)

    session.print_list("OperationList", items, head, row, name_field="name", empty="no operations")


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning operation show command/run
        provisioning operation show hello/say -o json
    """,
)
@NAME
@LIBRARY
@with_session
def show(session: Session, name: str) -> None:
    """One operation: its parameters, and what may be expected of it."""
    from ..describing import describe

    found = describe(library_roots(session.settings), name)
    item = _item(session, found) | {"file": str(found.file), "retry": found.retry}
    item |= {"params_schema": found.params_schema, "text": found.text}
    if not session.for_people:
        session.print_document("Operation", item, "name")
        return
    facts = [
        ("operation", found.name),
        ("library", f"{item['library']}  {found.file}"),
        ("repeatable", REPEATABLE[found.repeatable]),
        ("timeout", f"{found.timeout_s:g} s"),
    ]
    facts += [("problem", found.problem)] if found.problem else []
    facts += [("usage", found.usage)] if found.usage else []
    for label, text in facts:
        session.print(f"{label:<10}  {clean(text)}")
    if found.params_schema and (found.params_schema.get("properties") or found.params_schema.get("required")):
        from .calling import in_yaml

        session.print("\nparameters, as a JSON Schema:\n" + in_yaml(found.params_schema))
    if found.text:
        session.print("\n" + clean_lines(found.text))


def _item(session: Session, found: Any) -> dict[str, Any]:
    item = {
        "name": found.name,
        "library": layer_of(session.settings, Path(found.library)),
        "repeatable": found.repeatable,
        "timeout_s": found.timeout_s,
        "usage": found.usage,
        "help": found.help,
    }
    return item | ({"problem": found.problem} if found.problem else {})


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning operation run command/run --param argv='["uname", "-a"]'
        provisioning operation run command/run --infra wuji --param server=db-1 --param script='df -h' --orchestrated
        provisioning operation run ansible/playbook --infra wuji --param-file site.yaml --orchestrated
        provisioning operation run opentofu/apply --param directory=cloud --param plan_only=true
        provisioning operation run hello/say --param token=secret://hello/token     # the reference, never the value
    """,
)
@NAME
@click.option("--infra", metavar="INFRA", shell_complete=complete_infra, help="Its parameter `infra`.")
@click.option("--param", multiple=True, metavar="NAME=VALUE", help="A parameter: JSON where it is JSON, else text.")
@click.option("--param-text", multiple=True, metavar="NAME=TEXT", help="The same, always text: for 1.10, true, null.")
@click.option(
    "--param-file", multiple=True, metavar="FILE", type=click.Path(allow_dash=True), help="YAML or JSON; - is stdin."
)
@CONFIRM
@manner_options
@with_session
def run(
    session: Session,
    name: str,
    infra: str | None,
    param: tuple[str, ...],
    param_text: tuple[str, ...],
    param_file: tuple[str, ...],
    **options: Any,
) -> None:
    """Run an operation by its name, and print what it returned.

    It is called as it is: nothing is planned, and only what is called delete or remove is asked about. --check prints
    the workflow that would be submitted; `provisioning workflow submit` takes it, with tasks of yours beside.
    """
    from .calling import Wish, call_operation

    call_operation(session, Wish(name, infra, param, param_text, param_file, Manner(**options)))
