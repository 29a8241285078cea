"""Starts an operation, by the orchestrator or here and now, and stays until it has ended."""

from __future__ import annotations

import shlex
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConflictError, UnreachableError, UsageError
from ..render.documents import line
from ..render.text import as_called
from . import exits
from .call import Call, Manner
from .exits import Exit, Terminated
from .session import Session

if TYPE_CHECKING:
    from ..render.picture import Picture
    from ..workspace import Workspace


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
