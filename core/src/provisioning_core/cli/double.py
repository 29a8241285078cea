"""`provisioning provider double`: a cloud to practise on, on this machine, in the foreground until Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from ..errors import UsageError
from ..extras import install_line
from ..plugins import installed, missing_extra
from ..render.text import as_called
from ..yamlfile import shown, suggestion
from .exits import Terminated
from .lazy import ExamplesCommand
from .session import Session, with_session


@dataclass(frozen=True, slots=True)
class Offer:
    """double: `module:class` below the package. environ: credentials that it takes; any others do as well.

    goes_on: what it made is there again when it is started again.
    """

    double: str
    environ: Mapping[str, str]
    settings: Mapping[str, Any]
    goes_on: bool = True


PRACTICE = "for-practice-only"
OFFERS = {
    "upcloud": Offer("doubles.upcloud:UpCloudDouble", {"UPCLOUD_TOKEN": PRACTICE}, {}),
    "hetzner": Offer("doubles.hetzner:HetznerDouble", {"HCLOUD_TOKEN": PRACTICE}, {"wait_for_ssh": False}),
    "aws": Offer(
        "doubles.aws:AwsDouble",
        {"AWS_ACCESS_KEY_ID": "practice", "AWS_SECRET_ACCESS_KEY": PRACTICE},
        {"wait_for_ssh": False},
        goes_on=False,
    ),
}


@click.command(
    "double",
    cls=ExamplesCommand,
    examples="""
        provisioning provider double upcloud                              # servers on paper
        provisioning provider double upcloud --backed local               # servers that one can log in to
        provisioning provider double upcloud --fault lost=0.1 --fault error=0.05 --fault lag_s=2
        provisioning provider double upcloud --port 8081 --state ./cloud --backed local --keep
    """,
)
@click.argument("name", type=click.Choice(sorted(OFFERS)), metavar="PROVIDER")
@click.option("--port", type=click.IntRange(0, 65_535), default=0, metavar="PORT", help="Of 127.0.0.1; 0: a free one.")
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep what it made there, and go on from it (else forgotten).",
)
@click.option(
    "--backed",
    type=click.Choice(["none", "local"]),
    default="none",
    help="What is behind its servers: nothing, or local machines.",
)
@click.option("--keep", is_flag=True, help="Leave local machines running at the end; needs --state.")
@click.option(
    "--fault", "given", multiple=True, metavar="NAME=VALUE", help="What goes wrong, like lost=0.1; repeatable."
)
@click.option(
    "--faults",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The same, as JSON.",
)
@with_session
def double(
    session: Session,
    name: str,
    port: int,
    state: Path | None,
    backed: str,
    keep: bool,
    given: tuple[str, ...],
    file: Path | None,
) -> None:
    """Start a double of a cloud: its API, on this machine, with a ledger of all it makes and faults on request.

    Ctrl-C ends it. Local machines behind its servers are removed then, unless --keep; with --state what it has made is
    there again at the next start (of aws only the ledger: what it made is in memory).
    """
    from ..doubles.faults import Faults
    from ..throwaway import sweep, throwaway

    if keep and not OFFERS[name].goes_on:
        raise UsageError(
            f"--keep leaves machines that nobody would find again: the double of {name} forgets their servers",
            hint="leave --keep out; the doubles of hetzner and upcloud go on",
        )
    if keep and state is None:
        raise UsageError("--keep leaves machines that nobody would find again", hint="say --state DIR too")
    faults = Faults.read(file) if file else Faults()
    faults.change(dict(map(_fault, given)))
    where = (f"provisioning-double-{name}-", "machines")
    if state is not None:
        sweep(*where)  # what a killed one left, whether or not this one needs such a directory
    with nullcontext(state) if state else throwaway(*where) as directory:
        running = _make(name, directory, port=port, backed=backed, faults=faults)
        running.start()
        try:
            _tell(session, name, running.url, state, backed)
            threading.Event().wait()
        except (KeyboardInterrupt, Terminated):
            pass
        finally:
            # A second Ctrl-C must not leave half of the machines behind.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            running.close(remove_machines=not keep)
    left = "its servers' machines go on running" if keep and backed == "local" else "nothing runs any more"
    session.note(f"{name}: ended; {left}" + (f"; what it made is kept in {state}" if state else ""))


def _make(name: str, directory: Path, **given: Any) -> Any:
    """Raises UsageError where its port is taken, ConflictError where another one uses the directory."""
    module, _, attribute = OFFERS[name].double.partition(":")
    try:
        return getattr(import_module(f"provisioning_core.{module}"), attribute)(directory, **given)
    except ModuleNotFoundError as error:  # as late as in the call: what is large is imported where it is needed
        raise UsageError(
            f"the double of {name} needs a package that is not installed: {error.name}",
            code="not_installed",
            hint=install_line("doubles"),
        ) from error
    except OSError as error:
        raise UsageError(f"cannot start the double of {name}: {error}", code="cannot_start") from error


def _tell(session: Session, name: str, url: str, state: Path | None, backed: str) -> None:
    """What to type to use it. The settings go to standard output, so that they can be piped into a file."""
    offer = OFFERS[name]
    settings = {"url": url} | (dict(offer.settings) if backed == "none" else {}) | {"poll_s": 0.2}
    if not session.for_people:
        document = {"name": name, "url": url, "settings": settings, "environment": dict(offer.environ)}
        session.print_document("ProviderDouble", document, "url")
        return
    written = ", ".join(
        f"{key}: {str(value).lower() if isinstance(value, bool) else value}" for key, value in settings.items()
    )
    session.say(f"A double of {name} answers at {url} until Ctrl-C. In provisioning.yaml of a workspace:\n")
    session.print(f"provider: {name}\nproviders:\n  {name}: {{{written}}}")
    session.say("\nThen, in another terminal (any credentials do, these are none of yours):\n")
    for variable, value in offer.environ.items():
        session.say(f"  export {variable}={value}")
    session.say(as_called("  provisioning server create INFRA"))
    if extra := missing_extra(installed()[name]):
        session.say(f"\nFirst, for the provider ({', '.join(extra.missing)} is not installed):\n\n  {extra.pip}")
    root = url.removesuffix("/v1")
    session.say(f"\nWhat it made: curl {root}/_double/ledger")
    session.say(f"What goes wrong: curl -X PATCH {root}/_double/faults -d '{{\"lost\": 0.1}}'")
    session.note(f"Servers: {'local machines' if backed == 'local' else 'on paper'}. Kept in: {state or 'nothing'}.")


def _fault(text: str) -> tuple[str, Any]:
    """`lost=0.1`. Raises UsageError."""
    from ..doubles.faults import settable

    name, equals, value = text.partition("=")
    if name not in settable():
        raise UsageError(
            f"--fault {shown(text)}: there is no fault {shown(name)}.{suggestion(name, settable())}".removesuffix("."),
            code="bad_faults",
            hint=f"known: {', '.join(settable())}",
        )
    try:
        return name, int(value) if value.isdecimal() else float(value)
    except ValueError:
        sign = "a number" if equals else "NAME=VALUE"
        raise UsageError(f"--fault {shown(text)}: {sign} is expected", code="bad_faults") from None
