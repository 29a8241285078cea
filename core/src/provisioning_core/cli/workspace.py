"""`provisioning workspace`: init, list, switch, info, validate, schema."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import ConflictError
from ..render.text import plural
from . import exits
from .exits import Exit
from .inventory import open_workspace
from .lazy import ExamplesCommand, LazyGroup
from .session import Session, with_session

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from ..workspaces.registry import Registry

COMMANDS = {
    "init": ("workspace:init", "Make a new workspace."),
    "list": ("workspace:list_", "The registered workspaces, and which one is active."),
    "switch": ("workspace:switch", "Make a workspace the active one."),
    "info": ("workspace:info", "The workspace that is used here, and why."),
    "validate": ("workspace:validate", "Check all of it: every problem with file, line and column."),
    "schema": ("workspace:schema", "The JSON Schema of provisioning.yaml, for editors."),
}


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    examples="""
        provisioning workspace init wuji
        provisioning workspace list
        provisioning workspace switch wuji
    """,
)
def workspace() -> None:
    """Make, find and check workspaces: directories of definitions, settings and own operations."""


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning workspace init wuji
        provisioning workspace init ./here --template empty --name mine --provider upcloud
    """,
)
@click.argument("directory", metavar="DIR")
@click.option("--template", default="wuji-like", show_default=True, help="What is in it: wuji-like, or empty.")
@click.option("--name", help="What people call it (default: the directory's name).")
@click.option("--provider", default="local", show_default=True, help="Where its servers are made.")
@click.option("--activate", is_flag=True, help="Make it the active one, even where another one is.")
@with_session
def init(session: Session, directory: str, template: str, name: str | None, provider: str, activate: bool) -> None:
    """Make a new workspace in DIR. Nothing that is there is overwritten."""
    from ..workspaces.founding import found_workspace

    path = Path(os.path.normpath(Path(directory).absolute()))
    registry = _registry(session)
    own = name or path.name
    taken = next((each for each in registry.read().entries if each.name == own and each.path != path.resolve()), None)
    if taken is not None and (taken.path / "provisioning.yaml").is_file():
        raise ConflictError(
            f"the name {own!r} is taken by the workspace {taken.path}", code="name_taken", hint="say --name"
        )
    made = found_workspace(path, template, name=name, provider=provider)
    registry.register(made, path.resolve(), activate=activate or registry.active() is None)
    active = registry.active()
    if not session.for_people:
        document = {"name": made, "path": str(path), "active": active is not None and active.name == made}
        session.print_document("Workspace", document, "name")
        return
    glyph = session.err.paint(session.err.glyphs.good, "good")
    session.say(f"{glyph} workspace {made}   {path}")
    go = [] if path == Path.cwd() else [("go there", f"cd {directory}")]
    session.next_commands(*go, ("check", "provisioning workspace validate"))


@click.command(
    "list",
    cls=ExamplesCommand,
    examples="""
        provisioning workspace list
        provisioning workspace list -o name
    """,
)
@with_session
def list_(session: Session) -> None:
    """The registered workspaces. The active one is used where there is none upwards from here."""
    content = _registry(session).read()
    items = [
        {
            "name": entry.name,
            "active": entry.name == content.active,
            "exists": (entry.path / "provisioning.yaml").is_file(),
            "path": str(entry.path),
        }
        for entry in content.entries
    ]

    def row(item: Mapping[str, Any]) -> tuple[str, ...]:
        return item["name"], "active" if item["active"] else "", "" if item["exists"] else "gone", item["path"]

    head = ("NAME", "ACTIVE", "STATE", "PATH")
    empty = "no workspaces are registered: provisioning workspace init DIR"
    session.print_list("WorkspaceList", items, head, row, name_field="name", empty=empty)


def complete_workspace(_ctx: object, _param: object, incomplete: str) -> list[CompletionItem]:
    """For the shell: the registered ones, then directories."""
    from click.shell_completion import CompletionItem

    from ..settings import Settings
    from ..workspaces.registry import Registry

    try:
        names = [each.name for each in Registry(Settings().registry_file()).read().entries]
    except Exception:
        names = []  # completion must never print an error into somebody's command line
    found = [CompletionItem(name) for name in names if name.startswith(incomplete)]
    return found or [CompletionItem(incomplete, type="dir")]


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning workspace switch wuji
        provisioning workspace switch ./examples/wuji      # registers it, too
    """,
)
@click.argument("name", metavar="NAME|DIR", shell_complete=complete_workspace)
@with_session
def switch(session: Session, name: str) -> None:
    """Make a workspace the active one: a registered NAME, or a DIR, which is registered then."""
    from ..workspace import load_workspace

    registry = _registry(session)
    entry = next((each for each in registry.read().entries if each.name == name), None)
    directory = Path(name)
    if entry is not None:
        load_workspace(entry.path)  # what cannot be used does not become the active one
        registry.switch(name)
        path = entry.path
    elif (directory / "provisioning.yaml").is_file() or os.sep in name or name in (".", ".."):
        loaded = load_workspace(directory.absolute())
        registry.register(loaded.name, loaded.path, activate=True)
        name, path = loaded.name, loaded.path
    else:
        path = registry.switch(name).path
    if not session.for_people:
        session.print_document("Workspace", {"name": name, "path": str(path), "active": True}, "name")
        return
    session.say(f"{session.err.paint(session.err.glyphs.good, 'good')} active: {name}   {path}")
    used = session.settings.workspace()
    if Path(used.value).resolve() != path:
        session.note(f"here another one is used: {used.value} ({used.origin})")


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning workspace info
        provisioning workspace info -o yaml
    """,
)
@with_session
def info(session: Session) -> None:
    """The workspace that is used here, why this one, and what is in it."""
    from ..library import list_operations

    found = open_workspace(session)
    library = found.library()
    origin = session.settings.workspace().origin
    document = {
        "name": found.name,
        "id": found.id,
        "path": str(found.path),
        "origin": origin,
        "provider": found.provider,
        "infras": found.infra_names(),
        "operations": list_operations([library]) if library else [],
        "providers": sorted(found.settings),
    }
    if not session.for_people:
        session.print_document("Workspace", document, "name")
        return
    for word, value in document.items():
        text = ", ".join(value) or "none" if isinstance(value, list) else value
        session.print(f"{word:<12}{text}")


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning workspace validate
        provisioning workspace validate -o json
    """,
)
@with_session
def validate(session: Session) -> None:
    """Check its file, all infrastructures, its own operations. Exit 2 where something is wrong."""
    from ..inspection import inspect_workspace

    path = Path(session.settings.workspace().value)
    done = inspect_workspace(path)
    problems = [
        {**asdict(problem), "line": problem.line or None, "column": problem.column or None} for problem in done.problems
    ]
    if not session.for_people:
        document = {"path": str(path), "valid": not problems, "infras": done.infras, "operations": done.operations}
        session.print_document("WorkspaceValidation", {**document, "problems": problems}, "path")
    else:
        for problem in done.problems:
            session.err.say(str(problem))
        if not problems:
            counts = f"{plural(done.infras, 'infra')}, {plural(done.operations, 'operation')} of its own"
            name = done.workspace.name if done.workspace else path
            session.say(f"{session.err.paint(session.err.glyphs.good, 'good')} {name}: {counts}")
    if problems:
        raise Exit(exits.USAGE)


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning workspace schema > workspace.schema.json
    """,
)
@with_session
def schema(session: Session) -> None:
    """The JSON Schema (draft 2020-12) of provisioning.yaml. How editors use it: docs/definitions.md."""
    from ..schema import schema_text

    session.print(schema_text("workspace").rstrip("\n"))


def _registry(session: Session) -> Registry:
    from ..workspaces.registry import Registry

    return Registry(session.settings.registry_file())
