"""`provisioning server import`: a server that was made without us becomes ours, as its definition names it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..errors import NotFoundError, UsageError
from ..render.text import clean
from . import exits
from .exits import Exit
from .inventory import open_workspace, print_servers
from .lazy import ExamplesCommand
from .performing import Call, Manner, confirmed, manner_options, perform, refused
from .session import Session, with_session

if TYPE_CHECKING:
    from ..infra import Infra, Server
    from ..provider import Resource


@click.command(
    "import",
    cls=ExamplesCommand,
    examples="""
        provisioning server import wuji/web-1 --id 00c78863-1b2a --provider upcloud
        provisioning server import wuji/web-1 --id 00c78863-1b2a --check      # what would be adopted?
    """,
)
@click.argument("name", metavar="INFRA/SERVER")
@click.option("--id", "id_", required=True, metavar="ID", help="The provider's id of the server that exists.")
@click.option("--provider", metavar="PROVIDER", help="Where it is (the provider that the definition says).")
@manner_options
@with_session
def import_(session: Session, name: str, id_: str, provider: str | None, **options: Any) -> None:
    """Make a server that exists at a provider ours: it gets our labels, and the name that INFRA defines.

    Nothing of the server is changed by it; how it is otherwise than its definition is shown, and left to the next plan.
    """
    from ..alteration import adoptable
    from ..clouds import Clouds
    from ..infra import load_infra
    from ..plan import differences, wish_in_terms
    from ..plan.tasks import provider_param
    from ..plan.words import field_words

    manner = Manner(**options)
    manner.timeout_s()
    infra, slash, server_name = name.partition("/")
    if not slash:
        raise UsageError(f"{name!r} does not say of which infrastructure", code="bad_name", hint=f"INFRA/{name}")
    workspace = open_workspace(session)
    definition = load_infra(workspace, infra)
    clouds = Clouds(workspace)
    found = clouds.find("server", infra, server_name)
    if found is not None and found.resource.id == id_:
        session.say(f"Nothing to do: server {server_name} is {id_} already.")
        print_servers(session, workspace, [found], "")
        return
    server = _defined(definition, server_name, id_)
    where = provider or server.provider
    if where != server.provider:
        raise UsageError(
            f"infra/{infra}.yaml says that server {server_name} is at {server.provider}, not at {where}",
            code="other_provider",
            hint=f"give the server `provider: {where}` there first",
        )
    if found is not None:
        raise UsageError(f"server {server_name} exists already: {found.resource.id}", code="adopted_elsewhere")
    there = adoptable(workspace, "server", where, id_)
    loaded = clouds.load(where)
    fields = differences(loaded, wish_in_terms(loaded, "server", server.spec(), server.labels), there, None)
    _show(session, there, f"{infra}/{server_name}")
    for field in fields:
        session.say(f"  {session.err.paint('~', 'busy')} {clean(field_words(field))}")
    if fields:
        session.say("  It is left as it is; `provisioning infra plan` will show that as changes.")
    if manner.check:
        raise Exit(exits.CHANGES if manner.exit_code else exits.SUCCEEDED)
    if session.can_ask() and not manner.yes and not confirmed(session, "Adopt? [y/N]"):
        raise refused(session)
    params = {"name": server_name, "id": id_, "spec": server.spec(), "labels": server.labels}
    params |= provider_param(where, workspace.provider)
    again = f"provisioning server import {name} --id {id_}"
    perform(session, workspace, Call("servers", "adopt", infra, params, again), manner)
    adopted = clouds.find("server", infra, server_name)
    print_servers(session, workspace, [adopted] if adopted else [], "")


def _defined(infra: Infra, name: str, id: str) -> Server:
    """Raises UsageError that says what to write into the definition first."""
    try:
        return infra.server(name)
    except NotFoundError as error:
        raise UsageError(
            f"server {name} is not defined in infra/{infra.name}.yaml, and the definition is the truth",
            code="not_defined",
            hint=f"add `- {{name: {name}, plan: …}}` to its servers, then the same again",
        ) from error


def _show(session: Session, there: Resource, name: str) -> None:
    session.say(f"Server {clean(there.id)} ({clean(there.name) or 'without a name'}, {there.state}) becomes {name}.")
    for field, value in (there.attributes.get("spec") or {}).items():
        if value not in (None, [], {}) and field != "user_data":
            session.say(f"  {field}: {clean(str(value))}")
