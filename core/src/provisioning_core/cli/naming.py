"""Which workflow and which task a person means: by id, by a part of it, or `@last`."""

from __future__ import annotations

import click

from ..errors import NotFoundError, UsageError
from .session import Session, nearest


def find(session: Session, name: str) -> str:
    """The id that a person meant: an id, a beginning of one, or @last."""
    if name not in ("@last", "-"):
        return session.orchestrator.find_workflow(name)
    path = session.settings.last_workflow_file()
    try:
        id_ = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise NotFoundError(
            "there is no last workflow: none was started from here", code="no_last", hint="provisioning workflow list"
        ) from None
    return str(session.orchestrator.workflow(id_)["workflow_id"])


def remember_last(session: Session, id_: str) -> None:
    """For @last. That it cannot be written is no reason to fail: the workflow runs."""
    path = session.settings.last_workflow_file()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(id_ + "\n", "ascii")
    except OSError as error:
        session.note(f"@last is not remembered: {error}")


def find_task(session: Session, id_: str, name: str) -> str:
    """The task with that id, or the only one whose id ends so after a dot or a dash."""
    try:
        return str(session.orchestrator.task(id_, name)["id"])
    except NotFoundError:
        pass
    known = [str(item["id"]) for item in session.orchestrator.tasks(id_)]
    for matching in (
        [task for task in known if task.partition(".")[2] == name],
        [task for task in known if task.endswith((f".{name}", f"-{name}"))],
    ):
        if len(matching) == 1:
            return matching[0]
        if matching:
            raise UsageError(f"{name!r} may be {' or '.join(matching[:5])}", code="ambiguous_task")
    raise NotFoundError(
        f"no task {name!r} in {id_}",
        code="unknown_task",
        hint=nearest(name, known + [task.partition(".")[2] for task in known]) or f"provisioning workflow show {id_}",
    )


def complete_workflow(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """For the shell: the newest workflows that begin so."""
    from ..client import Orchestrator
    from ..settings import Settings

    try:
        known = [str(item["workflow_id"]) for item in Orchestrator(Settings()).workflows(limit=50)]
    except Exception:
        return []  # completion must never print an error into somebody's command line
    return [name for name in ["@last", *known] if name.startswith(incomplete)]
