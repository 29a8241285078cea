"""`provisioning orchestrator`: start, stop, status, logs."""

from __future__ import annotations

import click

from .lazy import ExamplesCommand, LazyGroup
from .session import Session, with_session

COMMANDS = {
    "start": ("daemon:start", "Start the orchestrator in the background."),
    "stop": ("daemon:stop", "Stop it; running tasks live on."),
    "status": ("daemon:status", "Is it there, where, and what does it do?"),
    "logs": ("daemon:logs", "What the orchestrator itself says."),
}


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    examples="""
        provisioning orchestrator start
        provisioning orchestrator status
        provisioning orchestrator stop
    """,
)
def orchestrator() -> None:
    """Start, stop and look at the orchestrator: the daemon that runs workflows."""


DATA_DIR = click.option("--data-dir", metavar="DIR", help="Where it keeps its state (PROVISIONING_DATA_DIR).")


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning orchestrator start
        provisioning orchestrator start --port 9190       # where 9090 is taken
        provisioning orchestrator start --nu-library      # the operations in Nushell
        provisioning orchestrator start --library ./operations --library /usr/share/operations
    """,
)
@click.option("--port", type=click.IntRange(1, 65535), help="Where it listens, on loopback (default: the URL's port).")
@DATA_DIR
@click.option("--library", multiple=True, metavar="DIR", help="Operations (default: the shipped ones); repeatable.")
@click.option("--nu-library", is_flag=True, help="The shipped operations in Nushell.")
@click.option("--slots", type=click.IntRange(1), help="How many tasks run at once (default: the daemon's, 10).")
@click.option("--nu", metavar="PATH", help="The Nushell that runs .nu operations (default: nu on PATH).")
@click.option("--no-auth", is_flag=True, help="Serve without a token: on a machine of one's own, loopback only.")
@with_session
def start(
    session: Session,
    port: int | None,
    nu_library: bool,
    slots: int | None,
    nu: str | None,
    no_auth: bool,
) -> None:
    """Start the orchestrator in the background and return when it answers. Where it runs already: say so."""
    from .starting import Wishes, start_daemon

    start_daemon(session, Wishes(port=port, nu_library=nu_library, slots=slots, nu=nu, no_auth=no_auth))


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning orchestrator stop
    """,
)
@DATA_DIR
@click.option("--timeout", metavar="DURATION", default="30s", show_default=True, help="How long to wait for its end.")
@with_session
def stop(session: Session, timeout: str) -> None:
    """Stop the orchestrator. Running tasks live on: the next start finds them again."""
    from ..render.times import parse_duration
    from .stopping import stop_daemon

    stop_daemon(session, parse_duration(timeout))


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning orchestrator status
        provisioning orchestrator status -o json
    """,
)
@DATA_DIR
@with_session
def status(session: Session) -> None:
    """Is it there, where, and what does it do? Exit 6 where none answers."""
    from .presence import counts_of, describe

    document = {**describe(session), "counts": counts_of(session)}
    if not session.for_people:
        session.print_document("Orchestrator", document, "url")
        return
    from ..render.times import duration

    counts = ", ".join(f"{count} {name}" for name, count in document["counts"].items() if count)
    uptime = document["uptime_s"]
    state = document["status"] + (f"   {document['detail']}" if document["detail"] else "")
    for word, value in (
        ("status", state),
        ("url", document["url"]),
        ("pid", document["pid"]),
        ("version", document["version"]),
        ("uptime", duration(uptime) if isinstance(uptime, int | float) else None),
        ("data", document["data_dir"]),
        ("tasks", counts or "none running"),
    ):
        if value is not None:
            session.print(f"{word:<10}{value}")


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning orchestrator logs
        provisioning orchestrator logs -f
    """,
)
@DATA_DIR
@click.option("-f", "--follow", is_flag=True, help="Go on as it grows.")
@click.option("--tail", type=click.IntRange(0), help="Only the last lines.")
@click.option("--raw", is_flag=True, help="Do not take control characters out on a terminal.")
@with_session
def logs(session: Session, follow: bool, tail: int | None, raw: bool) -> None:
    """What the orchestrator itself says: the log of the one that was started from here."""
    from .logfile import log_file, print_log

    print_log(session, log_file(session), follow=follow, tail=tail, raw=raw)
