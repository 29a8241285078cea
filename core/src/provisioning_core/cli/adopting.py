"""`provisioning server import`: a server that was made without us becomes ours, as its definition names it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from ..errors import ConflictError, UsageError
from ..render.text import clean, clean_lines
from . import exits
from .call import Call, Manner, manner_options
from .exits import Exit
from .inventory import open_workspace, print_servers
from .lazy import ExamplesCommand
from .performing import confirmed, perform, refused
from .session import Session, with_session

if TYPE_CHECKING:
    from ..clouds import Clouds
    from ..infra import Infra, Server
    from ..provider import Provider, Resource


@click.command(
    "import",
    cls=ExamplesCommand,
    examples="""
        provisioning server import wuji/web-1 --id 00c78863-1b2a --provider upcloud
        provisioning server import wuji/web-1 --id 00c78863-1b2a --write      # the definition, too
        provisioning server import wuji/web-1 --id 00c78863-1b2a --check      # what would be adopted?
        provisioning server import wuji/web-1 --id 00c78863-1b2a --check -o yaml    # the lines to add
    """,
)
@click.argument("name", metavar="INFRA/SERVER")
@click.option("--id", "id_", required=True, metavar="ID", help="The provider's id of the server that exists.")
@click.option("--provider", metavar="PROVIDER", help="Where it is (the provider that the definition says).")
@click.option("--write", is_flag=True, help="Add it to the definition where it is not defined.")
@manner_options
@with_session
def import_(session: Session, name: str, id_: str, provider: str | None, write: bool, **options: Any) -> None:
    """Make a server that exists at a provider ours: it gets our labels, and the name that INFRA defines.

    Nothing of the server is changed by it; how it is otherwise than its definition is shown, and left to the next plan.
    Where it is not defined the lines that mean it are shown; they are written first (--write), and adopted then: what
    is ours and not defined would be deleted by a confirmed create.
    """
    from ..alteration import adoptable
    from ..clouds import Clouds
    from ..infra import load_infra
    from ..infra.writing import item_of, write_server

    manner = Manner(**options)
    manner.timeout_s()
    infra, slash, server_name = name.partition("/")
    if not slash:
        raise UsageError(f"{name!r} does not say of which infrastructure", code="bad_name", hint=f"INFRA/{name}")
    workspace = open_workspace(session)
    definition = load_infra(workspace, infra)
    clouds = Clouds(workspace)
    found = clouds.find("server", infra, server_name)
    server = next((each for each in definition.servers if each.name == server_name), None)
    if found is not None and found.resource.id == id_ and server is not None:
        session.say(f"Nothing to do: server {server_name} is {id_} already.")
        print_servers(session, workspace, [found], "")
        return
    if found is not None and found.resource.id != id_:
        raise ConflictError(f"server {server_name} exists already: {found.resource.id}", code="adopted_elsewhere")
    where = _provider(definition, server, provider)
    there = found.resource if found is not None else adoptable(workspace, "server", where, id_)
    _show(session, there, f"{infra}/{server_name}")
    item = {} if server is not None else item_of(server_name, where, there.attributes, definition)
    if server is not None:
        _tell_differences(session, clouds.load(where), server, there)
    if manner.check:
        _print_lines(session, infra, item)
        raise Exit(exits.CHANGES if manner.exit_code else exits.SUCCEEDED)
    if server is None:
        _permit(session, infra, name, item, manner, write=write)
        write_server(workspace, infra, item)
        session.say(f"Added to infra/{infra}.yaml.")
        server = load_infra(workspace, infra).server(server_name)
    elif session.can_ask() and not manner.yes and not confirmed(session, "Adopt? [y/N]"):
        raise refused(session)
    _adopt(session, clouds, infra, server, id_, manner)


def _adopt(session: Session, clouds: Clouds, infra: str, server: Server, id_: str, manner: Manner) -> None:
    from ..plan.tasks import provider_param

    workspace = clouds.workspace
    params = {"name": server.name, "id": id_, "spec": server.spec(), "labels": server.labels}
    params |= provider_param(server.provider, workspace.provider)
    again = f"provisioning server import {infra}/{server.name} --id {id_}"
    perform(session, workspace, Call("servers", "adopt", infra, params, again), manner)
    adopted = clouds.find("server", infra, server.name)
    print_servers(session, workspace, [adopted] if adopted else [], "")


def _provider(infra: Infra, server: Server | None, named: str | None) -> str:
    """Where it is. Raises UsageError where the definition says another one."""
    if server is None:
        return named or infra.provider
    if named not in (None, server.provider):
        raise UsageError(
            f"infra/{infra.name}.yaml says that server {server.name} is at {server.provider}, not at {named}",
            code="other_provider",
            hint=f"give the server `provider: {named}` there first",
        )
    return server.provider


def _tell_differences(session: Session, loaded: Provider, server: Server, there: Resource) -> None:
    from ..plan import differences, wish_in_terms
    from ..plan.words import field_words

    fields = differences(loaded, wish_in_terms(loaded, "server", server.spec(), server.labels), there, None)
    for field in fields:
        session.say(f"  {session.err.paint('~', 'busy')} {clean(field_words(field))}")
    if fields:
        session.say("  It is left as it is; `provisioning infra plan` will show that as changes.")


def _print_lines(session: Session, infra: str, item: Mapping[str, Any]) -> None:
    """What the definition would have to say, on standard output: in a form for machines the item itself."""
    from ..infra.writing import lines_of

    if not item:
        return
    if session.form in ("json", "jsonl"):
        session.print_document("ServerDefinition", {"infra": infra, "server": dict(item)}, "infra")
    elif session.form == "name":
        session.print(str(item["name"]))
    else:
        session.say(f"It is not defined; below `servers:` in infra/{infra}.yaml this means it:")
        session.print(clean_lines(lines_of(item)).rstrip("\n"))


def _permit(session: Session, infra: str, name: str, item: Mapping[str, Any], manner: Manner, *, write: bool) -> None:
    """Return where the definition may be written. Raises UsageError that says what to do, Exit."""
    from ..infra.writing import lines_of

    asks = session.can_ask() and not manner.yes
    if asks or write:
        session.say(f"It is not defined; this is added to the servers of infra/{infra}.yaml:")
        session.say(clean_lines(lines_of(item)).rstrip("\n"))
        if asks and not confirmed(session, "Write this into the definition, and adopt? [y/N]"):
            raise refused(session)
        return
    _print_lines(session, infra, item)
    raise UsageError(
        f"server {name.partition('/')[2]} is not defined in infra/{infra}.yaml; nothing was adopted",
        code="not_defined",
        hint="write these lines there, then the same again; or the same with --write",
    )


def _show(session: Session, there: Resource, name: str) -> None:
    from ..plan.words import value_words

    session.say(f"Server {clean(there.id)} ({clean(there.name) or 'without a name'}, {there.state}) becomes {name}.")
    for field, value in (there.attributes.get("spec") or {}).items():
        if value not in (None, [], {}) and field != "user_data":
            session.say(f"  {field}: {clean(value_words(value))}")
