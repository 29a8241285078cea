"""`provisioning config`: show, path; and the schema of a definition."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from ..errors import ProvisioningError
from ..settings import NAMES, Settings
from .lazy import ExamplesCommand, LazyGroup
from .session import Session, with_session

COMMANDS = {
    "show": ("config:show", "Every setting, and with --origin where it comes from."),
    "path": ("config:path", "Which files settings are read from."),
}
PROGRAMS = {"PROVISIONING_ORCHESTRATOR": "orchestrator", "PROVISIONING_PROGRAM": "program"}
HIDDEN = "(not shown)"


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    examples="""
        provisioning config show --origin
        provisioning config path
    """,
)
def config() -> None:
    """Settings: flags win over the environment, over the workspace, over the user's file, over what is built in."""


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning config show
        provisioning config show --origin
        provisioning config show -o json
    """,
)
@click.option("--origin", is_flag=True, help="Where each value comes from, too.")
@click.option("--data-dir", metavar="DIR", help="As for `orchestrator start`.")
@click.option("--token-file", metavar="FILE", help="As for other programs: where the token is.")
@click.option("--library", multiple=True, metavar="DIR", help="As for `orchestrator start`.")
@with_session
def show(session: Session, origin: bool) -> None:
    """Every setting and its value: what the same flags, environment and directory would mean to any other command."""
    items = list(_items(session.settings))

    def row(item: Mapping[str, Any]) -> tuple[str, ...]:
        return (item["name"], str(item["value"]), *([item["origin"]] if origin or session.wide else []))

    head = ("SETTING", "VALUE", *(["ORIGIN"] if origin or session.wide else []))
    session.print_list("SettingList", items, head, row, name_field="name", empty="")


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning config path
        $EDITOR "$(provisioning config path -o name)"
    """,
)
@with_session
def path(session: Session) -> None:
    """The user's settings file; and the other files that settings come from, whether they are there or not."""
    settings = session.settings
    files = {"user": settings.config_file(), "workspaces": settings.registry_file()}
    files["workspace"] = Path(settings.workspace().value) / "provisioning.yaml"
    items = [{"name": name, "path": str(file), "exists": file.is_file()} for name, file in files.items()]
    if session.form == "name":
        session.print(str(files["user"]))
        return

    def row(item: Mapping[str, Any]) -> tuple[str, ...]:
        return item["name"], item["path"], "" if item["exists"] else "not there"

    session.print_list("FileList", items, ("FILE", "PATH", "STATE"), row, name_field="name", empty="")


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning infra schema > infra.schema.json
    """,
)
@with_session
def schema(session: Session) -> None:
    """The JSON Schema (draft 2020-12) of infra/<name>.yaml. How editors use it: docs/definitions.md."""
    from ..schema import schema_text

    session.print(schema_text("infra").rstrip("\n"))


def _items(settings: Settings) -> Iterator[dict[str, Any]]:
    for name in NAMES:
        setting = settings.by_name(name)
        if setting is None:
            value, origin = _libraries(settings), "default"
        else:
            value, origin = setting
        yield {"name": name, "value": value, "origin": origin}
    for variable, name in PROGRAMS.items():
        found = settings.environment(variable)
        default = {"orchestrator": "provisioning-orchestrator", "program": "provisioning"}[name]
        yield {"name": name, "value": found or default, "origin": variable if found else "default"}
    yield from _of_workspace(settings)


def _libraries(settings: Settings) -> str:
    from .libraries import library_roots

    return os.pathsep.join(map(str, library_roots(settings)))


def _of_workspace(settings: Settings) -> Iterator[dict[str, Any]]:
    from ..workspace import is_credential, load_workspace, own_settings

    directory = Path(settings.workspace().value)
    try:
        found = load_workspace(directory)
    except ProvisioningError:
        return  # which the commands that need one say
    file = str(directory / "provisioning.yaml")
    yield {"name": "provider", "value": found.provider, "origin": file}
    own = own_settings(directory)
    for provider, values in found.settings.items():
        for name, value in values.items():
            origin = file if name in own.get(provider, {}) else str(settings.config_file())
            shown = HIDDEN if is_credential(name) and origin != file else value
            yield {"name": f"providers.{provider}.{name}", "value": shown, "origin": origin}
