"""Starts an operation, by the orchestrator or here and now, and stays until it has ended."""

from __future__ import annotations

import shlex
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import ConflictError, UnreachableError, UsageError
from ..render.documents import line
from ..render.text import as_called
from . import exits
from .exits import Exit, Terminated
from .session import Session

if TYPE_CHECKING:
    from ..render.picture import Picture
    from ..workspace import Workspace

KEY_LENGTH_MAX = 255


@dataclass(frozen=True, slots=True)
class Manner:
    """How it is to be done. timeout: as typed."""

    orchestrated: bool
    check: bool
    exit_code: bool
    yes: bool
    wait: bool
    timeout: str | None
    idempotency_key: str | None
    confirm: str | None = None

    def timeout_s(self) -> float | None:
        """Raises UsageError for flags that do not go together, before anything is looked at."""
        if not self.orchestrated:
            for given, flag in (
                (not self.wait, "--no-wait"),
                (self.timeout is not None, "--timeout"),
                (self.idempotency_key is not None, "--idempotency-key"),
            ):
                if given:
                    raise UsageError(
                        f"{flag} needs --orchestrated: in direct mode this very process does the work", code="bad_flags"
                    )
        if self.exit_code and not self.check:
            raise UsageError("--exit-code goes with --check", code="bad_flags")
        key = self.idempotency_key
        if key is not None and not (0 < len(key) <= KEY_LENGTH_MAX and key.isascii() and key.isprintable()):
            raise UsageError(
                f"the idempotency key {key!r} is not accepted",
                code="bad_key",
                hint="1 to 255 printable ASCII characters",
            )
        if self.timeout is None:
            return None
        from ..render.times import parse_duration

        return parse_duration(self.timeout)


@dataclass(frozen=True, slots=True)
class Call:
    """One operation. again: what to type to do it again. anew: what makes the plan anew that it applies, if one.

    infra: None where an operation is called by its name without any. resource: "" where its name has one part.
    """

    resource: str
    action: str
    infra: str | None
    params: Mapping[str, Any]
    again: str
    anew: str | None = None

    @property
    def operation(self) -> str:
        return f"{self.resource}/{self.action}".lstrip("/")

    @property
    def given(self) -> dict[str, Any]:
        """All parameters."""
        return {**self.params, "infra": self.infra} if self.infra is not None else dict(self.params)

    @property
    def title(self) -> str:
        return " ".join(filter(None, (self.operation, self.infra)))


def manner_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that a Manner is made of, but for --confirm."""
    options = [
        click.option(
            "--orchestrated", is_flag=True, help="By the orchestrator: in parallel, retried, survives crashes."
        ),
        click.option("--check", "--dry-run", is_flag=True, help="Show what would be done, and do nothing."),
        click.option("--exit-code", is_flag=True, help="With --check: exit 10 where there is something to do."),
        click.option("--yes", "-y", is_flag=True, help="Do not ask."),
        click.option(
            "--wait/--no-wait", " /--detach", default=True, help="Stay until it has ended, or print the id and leave."
        ),
        click.option("--timeout", metavar="DURATION", help="Wait no longer (exit 124); the workflow goes on."),
        click.option("--idempotency-key", metavar="KEY", help="The same key again: the same workflow (random)."),
        click.option("--library", multiple=True, metavar="DIR", help="Operations of direct mode (the shipped ones)."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


CONFIRM = click.option("--confirm", metavar="INFRA", help="Instead of typing the name back: the infrastructure's name.")


def perform(session: Session, workspace: Workspace, call: Call, manner: Manner) -> str | None:
    """The workflow's id, None of direct mode, once all succeeded. Raises Exit otherwise, and after --no-wait."""
    timeout_s = manner.timeout_s()
    if not manner.orchestrated:
        from .directly import run_directly

        run_directly(session, call, Path(workspace.path))
        return None
    assert call.infra is not None
    infra = call.infra
    check_workspace(session)
    return submit_and_follow(
        session,
        lambda key: session.orchestrator.submit(call.resource, call.action, infra, call.params, key),
        manner,
        timeout_s,
        call.again,
        call.anew,
    ).workflow


def submit_and_follow(
    session: Session,
    send: Callable[[str], str],
    manner: Manner,
    timeout_s: float | None,
    again: str,
    anew: str | None = None,
) -> Picture:
    """The workflow once all succeeded. send: gets the idempotency key, gives the id. Raises Exit as `perform`."""
    from .ending import tell_end
    from .following import exit_code, follow
    from .naming import remember_last
    from .workflow import print_summary

    id_ = _submit(session, send, manner, again)
    remember_last(session, id_)
    if not manner.wait:
        _print_id(session, id_)
        raise Exit(exits.SUCCEEDED)
    session.note(f"workflow {id_}")
    picture = follow(session, id_, timeout_s=timeout_s)
    tell_end(session, picture, again=again, anew=anew)
    if picture.status != "succeeded":
        print_summary(session, picture)
        raise Exit(exit_code(picture))
    return picture


def check_confirmed(session: Session, manner: Manner, infra: str, taking: str | None, command: str) -> None:
    """taking: what would take something that exists, in words; None: nothing. command: what was typed.

    Raises UsageError for a --confirm of another infrastructure, and where nobody has confirmed and nobody can be asked.
    """
    if manner.confirm is not None and manner.confirm != infra:
        raise UsageError(f"--confirm={manner.confirm} does not name {infra}; nothing was done", code="unconfirmed")
    if taking and not (manner.yes or manner.confirm or manner.check or session.can_ask()):
        raise UsageError(
            f"{taking} has to be confirmed, and there is no terminal to ask on",
            code="unconfirmed",
            hint=f"{command} --yes   (or --confirm={infra})",
        )


def confirmed(session: Session, question: str, infra: str | None = None) -> bool:
    """What a person on the terminal says. infra: the name has to be typed back; None: y or n. Raises Exit on Ctrl-C."""
    answer = answered(session, question)
    return answer == infra if infra is not None else answer.lower() in ("y", "yes")


def answered(session: Session, question: str) -> str:
    """What a person on the terminal types. Raises Exit on Ctrl-C."""
    from .asking import ask

    try:
        return ask(session, question)
    except KeyboardInterrupt:
        session.err.say("\nNothing was done.")
        raise Exit(exits.INTERRUPTED) from None


def refused(session: Session) -> Exit:
    session.err.say("Nothing was done.")
    return Exit(exits.FAILED)


def check_workspace(session: Session) -> None:
    """Refuse where the daemon of this machine works for another workspace: it would make the servers there."""
    from .port import option_of

    pid = int(session.orchestrator.health()["pid"])
    theirs, ours = option_of(pid, "--workspace"), Path(session.settings.workspace().value).resolve()
    if theirs is not None and Path(theirs).is_dir() and Path(theirs).resolve() != ours:
        raise ConflictError(
            f"the orchestrator at {session.settings.url().value} works for the workspace {theirs}, not for {ours}",
            code="other_workspace",
            hint=f"--workspace {theirs}, or a second one: provisioning orchestrator start --port 9190 --data-dir DIR",
        )


def _submit(session: Session, send: Callable[[str], str], manner: Manner, again: str) -> str:
    key = manner.idempotency_key or str(uuid.uuid4())
    try:
        return send(key)
    except (KeyboardInterrupt, Terminated) as error:
        session.err.say("Interrupted before the orchestrator had answered: it may have taken the workflow or not.")
        _tell_again(session, again, key)
        raise Exit(exits.INTERRUPTED if isinstance(error, KeyboardInterrupt) else exits.TERMINATED) from None
    except UnreachableError as error:
        if error.unsure:
            session.err.say("The answer is lost: it may have taken the workflow or not.")
            _tell_again(session, again, key)
        raise


def _tell_again(session: Session, again: str, key: str) -> None:
    session.err.say(f"The same wish again, never twice:  {as_called(again)} --idempotency-key {shlex.quote(key)}")


def _print_id(session: Session, id_: str) -> None:
    if session.for_people or session.form == "name":
        session.print(id_)
    elif session.form == "jsonl":
        from ..render.documents import VERSION_LINE

        session.print(line(VERSION_LINE))
        session.print(line({"type": "submitted", "workflow_id": id_}))
    else:
        session.print_document("Workflow", {"workflow_id": id_}, "workflow_id")
    session.next_commands(
        ("watch", f"provisioning workflow watch {id_}"),
        ("show", f"provisioning workflow show {id_}"),
        ("cancel", f"provisioning workflow cancel {id_}"),
    )
