"""`provisioning infra drift|graph|inventory`: what was made, what has become of it, what would be done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from ..errors import UsageError
from ..render.text import as_called, clean, plural
from ..settings import OUTPUTS
from . import exits
from .exits import Exit
from .inventory import complete_infra, open_workspace
from .lazy import ExamplesCommand
from .session import Session, with_session

if TYPE_CHECKING:
    from ..clouds import Clouds
    from ..plan.drift import Drift
    from ..render.terminal import Terminal

FORMS = ("text", "dot", "mermaid")
_FORM = "provisioning.graph.form"
_STYLES = {
    "gone": "bad",
    "unlabelled": "bad",
    "changed": "warn",
    "stopped": "warn",
    "unfinished": "warn",
    "broken": "bad",
    "unmanaged": "busy",
    "unrecorded": "dim",
}


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning infra drift wuji
        provisioning infra drift wuji --deep                    # also what is installed on the servers
        provisioning infra drift --exit-code                    # of all; 10 where there is any
    """,
)
@click.argument("infra", required=False, shell_complete=complete_infra)
@click.option("--deep", is_flag=True, help="Ask the servers too, by SSH, for what is installed and its health.")
@click.option("--exit-code", is_flag=True, help="Exit 10 where there is drift.")
@with_session
def drift(session: Session, infra: str | None, deep: bool, exit_code: bool) -> None:
    """What is otherwise than it was left: gone, changed, stopped, or there without being known; and what heals it."""
    from ..clouds import Clouds
    from ..plan.drift import find_drift

    workspace = open_workspace(session)
    clouds = Clouds(workspace)
    names = [infra] if infra is not None else sorted({*workspace.infra_names(), *clouds.inventory.infras()})
    found = [(name, each) for name in names for each in find_drift(clouds, name)]
    if deep:
        known = {each.key for _, each in found}
        below = [(name, each) for name in names for each in _installed(session, clouds, name)]
        found += [(name, each) for name, each in below if each.key not in known]
    items = [{"infra": name, **asdict(each)} for name, each in found]
    if session.form == "name":  # one that has drifted in two ways has one name all the same
        session.print("\n".join(dict.fromkeys(each.name for _, each in found)))
    elif not session.for_people:
        session.print_list("DriftList", items, (), lambda _: (), name_field="name", empty="")
    else:
        for name in names:
            lines = [line for which, each in found if which == name for line in _drift_lines(session.out, each)]
            if len(names) > 1 and lines:
                session.print(session.out.paint(f"infra {name}", "strong"))
            session.print("\n".join(lines))
        told = (
            f"{plural(len(found), 'difference')} in {', '.join(names)}" if found else f"no drift in {', '.join(names)}"
        )
        session.say(f"{told}.")
        heals = list(dict.fromkeys(each.heals for _, each in found if each.heals))
        if heals:
            session.next_commands(*(("heal", each) for each in heals))
    if exit_code and found:
        raise Exit(exits.CHANGES)


def _installed(session: Session, clouds: Clouds, infra: str) -> list[Drift]:
    from ..plan.installed import find_installed_drift

    if infra not in clouds.workspace.infra_names():
        return []
    found = find_installed_drift(clouds, infra)
    for text in found.unasked:
        session.say(f"{session.err.paint('note:', 'warn')} {clean(text)}")
    return found.drifts


def _drift_lines(terminal: Terminal, drift: Drift) -> list[str]:
    from ..plan.words import value_words

    fields = ", ".join(f"{each.path}: {value_words(each.before)} -> {value_words(each.after)}" for each in drift.fields)
    words = {
        "gone": "deleted behind our back",
        "unlabelled": f"is there as {drift.id}, without our labels",
        "changed": fields,
        "stopped": "is there and does not run",
        "unfinished": "is there, and was never seen to be ready",
        "broken": "in error at the provider: made again, if it does not come back by itself or in its console",
        "unmanaged": "has our labels, and is not defined",
        "unrecorded": "is there, and not in the inventory",
    }
    sort = terminal.paint(drift.sort.ljust(10), _STYLES[drift.sort])
    return [f"{sort}  {drift.kind} {clean(drift.name)}  {clean(words[drift.sort])}"]


def _take_form(ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """The forms of a graph are not those of a list: kept aside, so that the common option stays what it is."""
    if value in FORMS:
        ctx.meta[_FORM] = value
        return None
    return value


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning infra graph wuji
        provisioning infra graph wuji -o dot | dot -Tsvg > wuji.svg
        provisioning infra graph wuji -o mermaid
    """,
)
@click.argument("infra", shell_complete=complete_infra)
@with_session
@click.pass_context
def graph(ctx: click.Context, session: Session, infra: str) -> None:
    """The tasks that `infra create` would become, and which wait for which. No provider is asked."""
    from ..infra import load_infra
    from ..plan.graph import FORMS as writers
    from ..plan.graph import as_items, graph_of

    workspace = open_workspace(session)
    nodes = graph_of(workspace, load_infra(workspace, infra))
    form = ctx.meta.get(_FORM)
    if form is None and not session.for_people:
        session.print_list(
            "Graph", as_items(nodes), (), lambda _: (), name_field="id", empty="", about={"infra": infra}
        )
        return
    session.print(writers[form or "text"](infra, nodes))


for _param in graph.params:
    if _param.name == "output":
        _param.type = click.Choice([*OUTPUTS, *FORMS])
        _param.callback = _take_form


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning infra inventory
        provisioning infra inventory wuji -o wide
        provisioning infra inventory rebuild wuji               # ask the providers again
    """,
)
@click.argument("words", metavar="[rebuild] [INFRA]", nargs=-1, shell_complete=complete_infra)
@with_session
def inventory(session: Session, words: tuple[str, ...]) -> None:
    """What was made here, as remembered; `rebuild` makes it say what the providers show by our labels."""
    rebuild = words[:1] == ("rebuild",)
    rest = words[1:] if rebuild else words
    if len(rest) > 1:
        raise UsageError(f"one infrastructure is expected, got {' '.join(rest)!r}", code="bad_usage")
    infra = rest[0] if rest else None
    if rebuild:
        _rebuild(session, infra)
    from ..inventory import Inventory

    workspace = open_workspace(session)
    entries = Inventory(workspace).all(infra)
    items = [asdict(entry) for entry in entries]

    def row(item: Mapping[str, Any]) -> tuple[str, ...]:
        plain = (item["name"], item["kind"], item["infra"], item["provider"], item["id"], item["updated_at"])
        return (*plain, item["workflow_id"], item["operation"], item["intent"]) if session.wide else plain

    narrow = ("NAME", "KIND", "INFRA", "PROVIDER", "ID", "UPDATED")
    head = (*narrow, "WORKFLOW", "OPERATION", "INTENT") if session.wide else narrow
    session.print_list("InventoryList", items, head, row, name_field="key", empty="the inventory is empty")


def _rebuild(session: Session, infra: str | None) -> None:
    """Every provider that could have made something is asked: those that are set up, too."""
    from ..clouds import Clouds
    from ..plan.drift import KINDS

    workspace = open_workspace(session)
    clouds = Clouds(workspace)
    names = dict.fromkeys((workspace.provider, *clouds.names(infra)))
    found = [
        (name, resource)
        for name in names
        for kind in KINDS
        for resource in clouds.load(name).list(kind, infra=infra)
        if resource.key.startswith(f"{workspace.id}/")
    ]
    added, forgotten = clouds.inventory.rebuild(found, infra)
    for sign, style, keys in (("+", "good", added), ("-", "bad", forgotten)):
        for key in keys:
            session.say(f"{session.err.paint(sign, style)} {clean(key)}")
    told = f"{len(added)} added, {len(forgotten)} forgotten, {plural(len(found), 'resource')} at {', '.join(names)}."
    session.say(as_called(told))
