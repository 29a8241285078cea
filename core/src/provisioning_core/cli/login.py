"""`provisioning provider login`: keep a provider's credentials where its operations find them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import click

from ..errors import UsageError
from ..secrets.credentials import CredentialField
from ..secrets.stores import BACKENDS, credential_stores
from .inventory import workspace_here
from .lazy import ExamplesCommand
from .offering import complete_provider
from .session import Session, with_session

if TYPE_CHECKING:
    from ..workspace import Workspace

LINE_BYTES_MAX = 64 * 1024


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning provider login upcloud                       # asks
        echo "token=$TOKEN" | provisioning provider login upcloud # FIELD=VALUE lines
        provisioning provider login hetzner --backend keyring
    """,
)
@click.argument("name", metavar="PROVIDER", shell_complete=complete_provider)
@click.option("--backend", type=click.Choice(BACKENDS), default="file", show_default=True, help="Where they are kept.")
@with_session
def login(session: Session, name: str, backend: str) -> None:
    """Keep the credentials of a provider. They come by standard input or are asked for, never as arguments."""
    fields, needed = declared(name, workspace_here(session))
    values = _asked(session, fields) if session.can_ask() else _read(name, fields)
    if needed and not any(all(values.get(each) for each in names) for names in needed):
        wanted = " or ".join(" and ".join(names) for names in needed)
        raise UsageError(f"the provider {name} needs {wanted}", code="bad_credentials")
    store = next(each for each in credential_stores(os.environ) if each.name == backend)
    for field in fields:
        value = values.get(field.name)
        if value:
            store.set(name, field.name, value)
        else:
            store.delete(name, field.name)  # One login replaces another as a whole.
    session.say(f"{session.err.paint(session.err.glyphs.good, 'good')} credentials of {name} are in {store.place}")
    set_too = sorted({each for field in fields for each in field.variables if os.environ.get(each)})
    if set_too:
        session.say(f"  the environment comes before them, and has {', '.join(set_too)}")


def declared(
    name: str, workspace: Workspace | None = None
) -> tuple[Sequence[CredentialField], Sequence[Sequence[str]]]:
    """The fields of a provider, and which sets of them make a login.

    They are FIELDS and NEEDED of the module `credentials` beside the provider's class, or `credential_fields` and
    `credentials_needed` of the class. An executable of the workspace's own says them when it is asked for a list
    without any; all of them are needed. Raises UsageError, and ProviderError where it does not answer.
    """
    from ..plugins import executable, provider_class

    if workspace is not None and executable(name, workspace.path, workspace.settings.get(name, {})) is not None:
        return _of_executable(name, workspace)
    made_by = provider_class(name, workspace.path if workspace else None)
    fields: Any = getattr(made_by, "credential_fields", None)
    needed: Any = getattr(made_by, "credentials_needed", ())
    module = None
    if fields is None:
        package = made_by.__module__.rpartition(".")[0] or made_by.__module__
        beside = f"{package}.credentials"
        module = import_module(beside) if find_spec(beside) is not None else None
        fields, needed = getattr(module, "FIELDS", None), getattr(module, "NEEDED", ())
    if not fields:
        raise _no_login(name, getattr(module, "HINT", None))  # Of one whose own tools keep them, as those of AWS do.
    return fields, needed


def _of_executable(name: str, workspace: Workspace) -> tuple[Sequence[CredentialField], Sequence[Sequence[str]]]:
    from ..providers.executable import ExecutableProvider

    provider: Any = workspace.load_provider(name)
    assert isinstance(provider, ExecutableProvider)
    fields = provider.credential_fields()
    if not fields:
        raise _no_login(name, None)
    return fields, [[field.name for field in fields]]


def _no_login(name: str, elsewhere: str | None) -> UsageError:
    needs = "keeps its credentials elsewhere" if elsewhere else "needs no credentials"
    return UsageError(f"the provider {name} {needs}", code="no_login", hint=elsewhere)


def _asked(session: Session, fields: Sequence[CredentialField]) -> dict[str, str]:
    """Empty answers leave a field out."""
    answers = {}
    for field in fields:
        if field.help:
            session.note(f"  {field.name}: {field.help}")
        answers[field.name] = click.prompt(
            field.name, hide_input=field.secret, default="", show_default=False, err=True
        )
    return answers


def _read(name: str, fields: Sequence[CredentialField]) -> dict[str, str]:
    known = [field.name for field in fields]
    values: dict[str, str] = {}
    for number, line in enumerate(sys.stdin.read(LINE_BYTES_MAX).splitlines(), 1):
        field, equals, value = line.partition("=")
        if not line.strip():
            continue
        if not equals or field.strip() not in known:
            raise UsageError(
                f"line {number} of standard input is not FIELD=VALUE with a field of {name} (it is not shown)",
                code="bad_credentials",
                hint=f"fields: {', '.join(known)}",
            )
        values[field.strip()] = value
    return values
