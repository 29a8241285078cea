"""`provisioning workflow`: submit, list, show, watch, logs, cancel, resolve."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from ..errors import UnreachableError, UsageError
from ..render.text import as_called, clean, clean_lines
from .exits import Exit
from .lazy import ExamplesCommand, LazyGroup
from .naming import complete_workflow, find, find_task
from .session import Session, with_session

if TYPE_CHECKING:
    from ..render.picture import Picture

LIST_LIMIT = 20
TASKS_SHOWN = 200
CHILDREN_SHOWN = 20
LOG_CHUNK_BYTES = 64 * 1024
STATUSES = ("queued", "running", "succeeded", "failed", "cancelled")

COMMANDS = {
    "submit": ("submitting:submit", "Submit a workflow of one's own, from a file."),
    "list": ("workflow:list_", "The workflows, newest first."),
    "show": ("workflow:show", "One workflow: its tasks, and why it failed."),
    "watch": ("workflow:watch", "Stay with a workflow until it ends."),
    "logs": ("workflow:logs", "What the tasks of a workflow printed."),
    "cancel": ("workflow:cancel", "End a workflow; what it made is kept."),
    "resolve": ("workflow:resolve", "Say how a task ended whose end nobody saw."),
}


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    examples="""
        provisioning workflow list
        provisioning workflow submit site.yaml --infra wuji
        provisioning workflow watch @last
        provisioning workflow logs wf_01kb server-web-1
    """,
)
def workflow() -> None:
    """Submit, list, watch, cancel and resolve workflows.

    ID is a workflow's id, any beginning of it that only one workflow has, or @last: the last one started from here.
    """


ID = click.argument("workflow_id", metavar="ID", shell_complete=complete_workflow)


@click.command(
    "list",
    cls=ExamplesCommand,
    examples="""
        provisioning workflow list
        provisioning workflow list --status failed -o json
        provisioning workflow list --parent @last         # what its tasks submitted
    """,
)
@click.option("--status", type=click.Choice(STATUSES), help="Only these.")
@click.option("--parent", metavar="ID", help="Only those that tasks of this workflow submitted.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=LIST_LIMIT, show_default=True, help="At most so many."
)
@with_session
def list_(session: Session, status: str | None, parent: str | None, limit: int) -> None:
    """The workflows, newest first."""
    under = find(session, parent) if parent else None
    items = list(session.orchestrator.workflows(status=status, limit=limit, parent=under))
    head = ("ID", "NAME", "STATUS", "TASKS", "CREATED", "TOOK")

    def row(item: Mapping[str, Any]) -> tuple[str, ...]:
        from ..render.times import ago, between

        return (
            str(item["workflow_id"]),
            str(item.get("name") or ""),
            str(item.get("status") or ""),
            _progress(item),
            str(item.get("created_at") or "") if session.wide else ago(item.get("created_at")),
            between(item.get("started_at"), item.get("ended_at")),
        )

    session.print_list("WorkflowList", items, head, row, name_field="workflow_id", empty="no workflows")


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning workflow show @last
        provisioning workflow show wf_01kb --events
        provisioning workflow show wf_01kb -o json
    """,
)
@ID
@click.option("--events", is_flag=True, help="The history instead: every event.")
@with_session
def show(session: Session, workflow_id: str, events: bool) -> None:
    """One workflow: its tasks, and why it failed."""
    id_ = find(session, workflow_id)
    if events:
        _show_events(session, id_)
    elif session.for_people:
        _show_to_people(session, id_)
    elif session.form == "name":
        session.print(id_)
    else:
        document = session.orchestrator.workflow(id_)
        counts = document.pop("tasks", {})
        tasks = list(session.orchestrator.tasks(id_))
        session.print_document("Workflow", {**document, "counts": counts, "tasks": tasks}, "workflow_id")


def _show_events(session: Session, id_: str) -> None:
    from ..render.lines import plain_line
    from ..render.picture import Picture

    records = session.orchestrator.events(id_)
    if not session.for_people:
        from ..render.documents import collection, render

        session.print(render(collection("EventList", records), session.form, "type"))
        return
    picture = Picture(id_, name=str(session.orchestrator.workflow(id_).get("name") or ""))
    for record in records:
        given = record.get("data")
        data: dict[str, Any] = given if isinstance(given, dict) else {}
        picture.apply(str(record.get("type")), record.get("task"), data, record.get("at"))
        line = plain_line(picture, str(record.get("type")), record.get("task"), data, record.get("at"))
        if line is not None:
            session.print(line)


def _show_to_people(session: Session, id_: str) -> None:
    from ..render.table import table
    from .ending import tell_end
    from .snapshot import snapshot, task_row

    picture, row, tasks = snapshot(session, id_, TASKS_SHOWN)
    children = list(session.orchestrator.workflows(parent=id_, limit=CHILDREN_SHOWN))
    for line in [
        *_about(row),
        *(f"child     {one['workflow_id']}  {one['status']}  {one['name']}" for one in children),
    ]:
        session.print(clean(line))
    session.out.say()
    head = ("TASK", "STATUS", "ATTEMPTS", "TOOK", "WHAT")
    session.print(table(head, [task_row(task, picture) for task in tasks], session.out))
    if len(tasks) >= TASKS_SHOWN:
        session.note(f"the first {TASKS_SHOWN}; all of them: {as_called(f'provisioning workflow show {id_} -o json')}")
    if (picture.ended and picture.status != "succeeded") or picture.unknown:
        tell_end(session, picture, drawn=True)


def _about(row: Mapping[str, Any]) -> list[str]:
    from ..render.times import between

    took = between(row.get("started_at"), row.get("ended_at"))
    counts = row.get("tasks") or {}
    lines = [
        f"workflow  {row['workflow_id']}",
        f"name      {row.get('name') or ''}",
        f"status    {row.get('status')}" + (f"  ({took})" if took else ""),
        f"created   {row.get('created_at')}",
        "tasks     " + ", ".join(f"{count} {status}" for status, count in counts.items() if count),
    ]
    if parent := row.get("parent"):
        lines.append(f"parent    {parent['workflow_id']} task {parent['task']}")
    if row.get("quarantined"):
        lines.append(f"set aside {row['quarantined']}")
    return lines


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning workflow watch @last
        provisioning workflow watch wf_01kb --timeout 10m
        provisioning workflow watch wf_01kb -o jsonl
    """,
)
@ID
@click.option("--timeout", metavar="DURATION", help="Stop watching after this long (exit 124).")
@with_session
def watch(session: Session, workflow_id: str, timeout: str | None) -> None:
    """Stay with a workflow until it ends; exit as it ended. Ctrl-C detaches: the workflow goes on."""
    from .ending import tell_end
    from .following import exit_code, follow

    timeout_s = _seconds(timeout)
    picture = follow(session, find(session, workflow_id), timeout_s=timeout_s)
    tell_end(session, picture)
    print_summary(session, picture)
    raise Exit(exit_code(picture))


def print_summary(session: Session, picture: Picture) -> None:
    """The ended workflow as the result, for machine-readable forms."""
    if session.for_people:
        return
    id_ = picture.workflow
    try:
        document = session.orchestrator.workflow(id_)
    except UnreachableError:
        # The daemon went away after it had told the end: what it told is enough to say how it ended.
        document = {"workflow_id": id_, "name": picture.name, "status": picture.status}
    if session.form == "jsonl":
        from ..render.documents import line

        session.print(line({"type": "summary", **document}))
    else:
        session.print_document("Workflow", document, "workflow_id")


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning workflow logs @last                       # of every task, one after the other
        provisioning workflow logs wf_01kb server-web-1
        provisioning workflow logs wf_01kb server-web-1 -f     # as it grows
        provisioning workflow logs wf_01kb server-web-1 --attempt 1
    """,
)
@ID
@click.argument("task", required=False)
@click.option("--attempt", type=click.IntRange(1), help="Which attempt (default: the last).")
@click.option("-f", "--follow", is_flag=True, help="Go on as the log grows.")
@click.option("--raw", is_flag=True, help="Do not take control characters out on a terminal.")
@with_session
def logs(session: Session, workflow_id: str, task: str | None, attempt: int | None, follow: bool, raw: bool) -> None:
    """What the tasks of a workflow printed. TASK is a task's id or its end (web-1 for 1.server-web-1)."""
    id_ = find(session, workflow_id)
    if task is not None:
        _print_log(session, id_, find_task(session, id_, task), attempt, follow=follow, raw=raw)
        return
    tasks = [item for item in session.orchestrator.tasks(id_) if item.get("attempts")]
    if (follow or attempt) and len(tasks) != 1:
        names = ", ".join(str(item["id"]) for item in tasks[:10])
        raise UsageError("which task?", code="task_missing", hint=f"provisioning workflow logs {id_} TASK; {names}")
    for i, item in enumerate(tasks):
        if len(tasks) > 1:
            session.print(("\n" if i else "") + f"==> {clean(str(item['id']))} <==")
        _print_log(session, id_, str(item["id"]), attempt, follow=follow, raw=raw)


def _print_log(session: Session, id_: str, task: str, attempt: int | None, *, follow: bool, raw: bool) -> None:

    sys.stdout.flush()
    out = sys.stdout.buffer
    chunks = session.orchestrator.log_chunks(id_, task, attempt=attempt, follow=follow)
    if session.out.tty and not raw:
        # Whole lines only: a sequence that is cut in two would not be known for what it is.
        for text in _lines(chunks):
            out.write(clean_lines(text.decode("utf-8", "backslashreplace")).encode())
            out.flush()
        return
    for chunk in chunks:
        out.write(chunk)
        out.flush()


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        whole, newline, rest = (rest + chunk).rpartition(b"\n")
        if newline:
            yield whole + newline
        elif len(rest) > LOG_CHUNK_BYTES:
            yield rest
            rest = b""
    if rest:
        yield rest + b"\n"


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning workflow cancel @last
        provisioning workflow cancel wf_01kb --no-wait
    """,
)
@ID
@click.option("--wait/--no-wait", default=True, help="Stay until it has ended.")
@click.option("--timeout", metavar="DURATION", help="Wait no longer than this (exit 124).")
@with_session
def cancel(session: Session, workflow_id: str, wait: bool, timeout: str | None) -> None:
    """End a workflow: running tasks are told to end, the rest never starts, what was made is kept."""
    from .ending import tell_end
    from .following import follow

    timeout_s = _seconds(timeout)
    id_ = find(session, workflow_id)
    session.orchestrator.cancel(id_)
    if not wait:
        session.say(f"{id_} is told to end")
        return
    picture = follow(session, id_, timeout_s=timeout_s)
    tell_end(session, picture)
    print_summary(session, picture)
    if picture.status != "cancelled":
        session.say(f"{id_} had {picture.status} already")


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning workflow resolve wf_01kb 1.server-web-1 --as succeeded    # I looked: it is there
        provisioning workflow resolve wf_01kb 1.server-web-1 --as retry        # run it again
    """,
)
@ID
@click.argument("task")
@click.option("--as", "as_", type=click.Choice(["succeeded", "failed", "retry"]), required=True, help="How it ended.")
@with_session
def resolve(session: Session, workflow_id: str, task: str, as_: str) -> None:
    """Say how a task ended whose end nobody saw (status `unknown`)."""
    id_ = find(session, workflow_id)
    name = find_task(session, id_, task)
    session.orchestrator.resolve(id_, name, as_)
    session.say(f"{name} is {'tried again' if as_ == 'retry' else as_}")


def _progress(item: Mapping[str, Any]) -> str:
    counts = item.get("tasks")
    if not isinstance(counts, dict):
        return ""
    ended = sum(count for status, count in counts.items() if status in ("succeeded", "failed", "cancelled", "skipped"))
    return f"{ended}/{sum(counts.values())}"


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    from ..render.times import parse_duration

    return parse_duration(text)
