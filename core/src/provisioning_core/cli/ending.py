"""What is said when a workflow has ended: what went wrong and why, what was kept, what to type next."""

from __future__ import annotations

from ..errors import ProvisioningError
from ..render.picture import FAILED, UNKNOWN, Picture, TaskLine
from ..render.terminal import Terminal
from ..render.text import as_called, clean, clean_lines, fit, plural
from ..render.tree import Row, headline, tree
from .advice import advice
from .session import Session

LOG_LINES = 6
LOG_TAIL_BYTES = 64 * 1024
LOG_BYTES_MAX = 64 * 1024 * 1024
FAILURES_SHOWN = 3
NAMES_SHOWN = 10
ROWS = 24


def tell_end(
    session: Session, picture: Picture, *, again: str | None = None, anew: str | None = None, drawn: bool = False
) -> None:
    """The end in words, on standard error.

    again: the command that tries again, where there is one. anew: as for `advice`. drawn: the tasks are on the screen
    already.
    """
    if session.quiet:
        if picture.status == FAILED:
            _tell_failures(session, picture)
        return
    if session.err.live and session.progress in ("auto", "tty") and not drawn:
        _draw(session.err, picture)
    _tell_failures(session, picture)
    _tell_unknown(session, picture)
    if picture.status == "succeeded":
        return
    kept = _kept(picture)
    if kept:
        session.say(f"Kept: {', '.join(kept)}")
    commands = [] if drawn else [("show", f"provisioning workflow show {picture.workflow}")]
    if again is not None:
        advised = advice({line.code for line in picture.lines(FAILED)}, again, anew)
        session.say(advised.words)
        commands[:0] = advised.commands
    if commands:
        session.next_commands(*commands)


def _draw(terminal: Terminal, picture: Picture) -> None:
    now = picture.ended_at or 0.0
    columns = terminal.columns()
    if picture.status == "succeeded":
        rows = [headline(picture, columns=columns, now=now, glyphs=terminal.glyphs)]
    else:
        rows = tree(picture, columns=columns, rows=ROWS, now=now, glyphs=terminal.glyphs)
    for row in rows:
        terminal.say(painted(terminal, row))


def painted(terminal: Terminal, row: Row) -> str:
    return "".join(terminal.paint(text, style) for text, style in row.pieces)


def _tell_failures(session: Session, picture: Picture) -> None:
    failed = picture.lines(FAILED)
    for line in failed[:FAILURES_SHOWN]:
        _tell_failure(session, picture, line)
    if len(failed) > FAILURES_SHOWN:
        left = len(failed) - FAILURES_SHOWN
        command = as_called(f"provisioning workflow show {picture.workflow}")
        session.err.say(f"… and {plural(left, 'more failed task')}: {command}")


def _tell_failure(session: Session, picture: Picture, line: TaskLine) -> None:
    terminal = session.err
    attempts = f"   after {plural(line.attempt, 'attempt')}" if line.attempt > 1 else ""
    terminal.say()
    terminal.say(
        f"{terminal.paint('Failed:', 'bad')} {clean(line.label)}   {terminal.paint(line.code, 'dim')}{attempts}"
    )
    for text in clean_lines(line.message).splitlines():
        terminal.say(f"  {text}")
    tail, total = log_tail(session, picture.workflow, line.id, LOG_LINES)
    command = as_called(f"provisioning workflow logs {picture.workflow} {line.id}")
    if tail:
        title = f"log, last {len(tail)} of {plural(total, 'line')}"
        terminal.say(f"  {terminal.paint(title, 'dim')}   {command}")
        columns = terminal.columns() - 4 if terminal.tty else 10_000
        for text in tail:
            terminal.say("    " + fit(clean(text), columns, terminal.glyphs.ellipsis))
    if line.hint:
        terminal.say(f"  {terminal.paint('hint:', 'busy')} {clean(line.hint)}")


def _tell_unknown(session: Session, picture: Picture) -> None:
    """Tasks whose end nobody saw: each with the one command that decides."""
    ids = picture.unknown or [line.id for line in picture.lines(UNKNOWN)]
    for id_ in ids[:NAMES_SHOWN]:
        line = picture.tasks.get(id_)
        session.say(f"Unknown: {clean(line.label if line else id_)}: nobody saw its end; look, then say what is so:")
        session.say(as_called(f"  provisioning workflow resolve {picture.workflow} {id_} --as succeeded|failed|retry"))
    if len(ids) > NAMES_SHOWN:
        command = as_called(f"provisioning workflow show {picture.workflow}")
        session.say(f"… and {len(ids) - NAMES_SHOWN} more: {command}")


def _kept(picture: Picture) -> list[str]:
    """The resources that its tasks reported, by name."""
    names = [
        clean(f"{resource.get('kind', 'resource')} {resource.get('name') or resource.get('id')}")
        for resource in picture.resources.values()
    ]
    if len(names) > NAMES_SHOWN:
        return [*names[:NAMES_SHOWN], f"and {len(names) - NAMES_SHOWN} more"]
    return names


def log_tail(session: Session, workflow: str, task: str, count: int) -> tuple[list[str], int]:
    """The last lines of a task's log and how many it has; nothing where there is no log or nobody answers."""
    tail, lines, seen = b"", 0, 0
    try:
        with session.orchestrator.log(workflow, task) as answer:
            while seen < LOG_BYTES_MAX and (chunk := answer.read(64 * 1024)):
                seen += len(chunk)
                lines += chunk.count(b"\n")
                tail = (tail + chunk)[-LOG_TAIL_BYTES:]
    except (ProvisioningError, OSError):
        return [], 0
    texts = tail.decode("utf-8", "backslashreplace").splitlines()
    return texts[-count:], lines + (not tail.endswith(b"\n") and bool(tail))
