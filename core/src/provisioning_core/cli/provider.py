"""`provisioning provider`: which clouds there are, what they offer, and what is missing to use them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from .lazy import ExamplesCommand, LazyGroup
from .session import Session, with_session

COMMANDS = {
    "list": ("provider:list_", "The providers that can be used here."),
}


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    examples="""
        provisioning provider list
    """,
)
def provider() -> None:
    """Look at the clouds that servers can come from, and try them."""


@click.command(
    "list",
    cls=ExamplesCommand,
    examples="""
        provisioning provider list
        provisioning provider list -o json
    """,
)
@with_session
def list_(session: Session) -> None:
    """The providers that can be used here, and where each comes from."""
    from ..plugins import installed

    items = [{"name": name, "from": entry.value} for name, entry in sorted(installed().items())]

    def row(item: Mapping[str, Any]) -> tuple[str, ...]:
        return (item["name"], item["from"])

    session.print_list("ProviderList", items, ("NAME", "FROM"), row, name_field="name", empty="no providers")
