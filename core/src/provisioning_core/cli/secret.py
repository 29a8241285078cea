"""`provisioning secret`: set, list, get, delete. Values come by standard input or a prompt, never as an argument."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from ..errors import NotFoundError, UsageError
from ..secrets.reference import NAME, NAME_WORDS
from ..secrets.secret import BYTES_MAX, checked
from ..secrets.stores import BACKENDS, SECRETS, Store, secret_stores
from . import exits
from .lazy import ExamplesCommand, LazyGroup
from .session import Session, with_session

COMMANDS = {
    "set": ("secret:set_", "Keep a value under a name."),
    "list": ("secret:list_", "The names, and where each is kept; no values."),
    "get": ("secret:get", "Print a value."),
    "delete": ("secret:delete", "Forget a value."),
}
NAMES_BYTES_MAX = 1 << 20


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    examples="""
        provisioning secret set db-password            # asks for it
        openssl rand -hex 24 | provisioning secret set db-password
        provisioning secret list
    """,
)
def secret() -> None:
    """Keep secrets. Definitions and parameters hold secret://NAME; the value is handed to the task alone."""


BACKEND = click.option("--backend", type=click.Choice(BACKENDS), help="Where it is kept (default: file, 0600).")
YES = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


@click.command(
    "set",
    cls=ExamplesCommand,
    examples="""
        provisioning secret set db-password
        provisioning secret set team/token --backend keyring < token.txt
    """,
)
@click.argument("name")
@BACKEND
@with_session
def set_(session: Session, name: str, backend: str | None) -> None:
    """Keep a value under a name: from standard input (a newline at its end is not part of it), or asked for."""
    _check_name(name)
    store = _store(backend or "file")
    value = checked(_value(session, name), f"the value of {name}")
    other = next((each for each in _having(name) if each.name != store.name), None)
    store.set(SECRETS, name, value)
    session.say(f"{session.err.paint(session.err.glyphs.good, 'good')} secret://{name} is in {store.place}")
    if other is not None:
        first = next(each for each in secret_stores(_environ()) if each.name in (other.name, store.name))
        session.say(f"  it is in {other.place} too; the one in {first.place} counts")


@click.command(
    "list",
    cls=ExamplesCommand,
    examples="""
        provisioning secret list
        provisioning secret list -o json
    """,
)
@with_session
def list_(session: Session) -> None:
    """The names, and where each is kept. Of a name in two places the first counts."""
    items: dict[str, dict[str, Any]] = {}
    for store in secret_stores(_environ()):
        for name in store.names(SECRETS):
            item = items.setdefault(name, {"name": name, "reference": f"secret://{name}", "backends": []})
            item["backends"].append(store.name)

    def row(item: Mapping[str, Any]) -> tuple[str, ...]:
        return (item["name"], ", ".join(item["backends"]))

    session.print_list(
        "SecretList",
        sorted(items.values(), key=lambda item: str(item["name"])),
        ("NAME", "BACKEND"),
        row,
        name_field="name",
        empty="no secrets; make one: provisioning secret set NAME",
    )


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning secret get db-password --yes | xclip
    """,
)
@click.argument("name")
@YES
@with_session
def get(session: Session, name: str, yes: bool) -> None:
    """Print a value to standard output, and nothing else there."""
    from ..secrets.named import named_secret

    value = named_secret(name, _environ()).reveal()
    _confirm(session, yes, f"Show the value of {name} here? [y/N]", f"provisioning secret get {name} --yes")
    sys.stdout.write(value + ("\n" if session.out.tty else ""))


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning secret delete db-password
        provisioning secret delete db-password --backend keyring --yes
    """,
)
@click.argument("name")
@BACKEND
@YES
@with_session
def delete(session: Session, name: str, backend: str | None, yes: bool) -> None:
    """Forget a value, in every place that has it, or in the one that is named."""
    stores = [store for store in _having(name) if backend in (None, store.name)]
    if not stores:
        raise NotFoundError(f"there is no secret {name!r}", code="unknown_secret", hint="provisioning secret list")
    places = " and ".join(store.place for store in stores)
    _confirm(session, yes, f"Forget {name} in {places}? [y/N]", f"provisioning secret delete {name} --yes")
    for store in stores:
        store.delete(SECRETS, name)
    session.say(f"secret://{name} is forgotten")


def run_resolve() -> int:
    """`provisioning secret resolve`: what contract/task.json calls a resolver."""
    from ..secrets.named import resolve_all

    try:
        names: Any = json.loads(sys.stdin.buffer.read(NAMES_BYTES_MAX))
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("no array of texts")
    except ValueError as error:
        print(f"error: standard input is not a JSON array of names: {error}", file=sys.stderr)
        return exits.USAGE
    answer = json.dumps(resolve_all(names, _environ()))
    sys.stdout.write(answer + "\n")
    sys.stdout.flush()
    return exits.SUCCEEDED


def _value(session: Session, name: str) -> str:
    if session.can_ask():
        value: str = click.prompt(f"Value of {name}", hide_input=True, confirmation_prompt=True, err=True)
        return value
    raw = sys.stdin.buffer.read(BYTES_MAX + 3)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"the value of {name} is not text in UTF-8", code="bad_secret") from None
    return text[:-2] if text.endswith("\r\n") else text.removesuffix("\n")


def _confirm(session: Session, yes: bool, question: str, command: str) -> None:
    """Raises UsageError where nobody can be asked, Abort where the answer is no."""
    if yes:
        return
    if not session.can_ask():
        raise UsageError("this asks before it goes on, and nobody can be asked here", code="needs_yes", hint=command)
    from .asking import ask

    if ask(session, question).lower() not in ("y", "yes"):
        raise click.Abort


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name[:200]!r} cannot be the name of a secret", code="bad_name", hint=f"accepted: {NAME_WORDS}"
        )


def _store(backend: str) -> Store:
    return next(store for store in secret_stores(_environ()) if store.name == backend)


def _having(name: str) -> Sequence[Store]:
    return [store for store in secret_stores(_environ()) if store.get(SECRETS, name) is not None]


def _environ() -> Mapping[str, str]:
    import os

    return os.environ
