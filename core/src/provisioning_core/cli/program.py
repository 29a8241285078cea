"""The command tree, and the one place where errors become words and exit codes."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Any, NoReturn

import click

from .. import __version__
from ..errors import ProvisioningError
from ..render.terminal import standard_error
from ..render.text import as_called, clean_lines
from . import exits
from .exits import Exit, Terminated
from .lazy import LazyGroup
from .session import Session, command_options, flags_of, remember_flags

LOOK_S = 0.5
COMMANDS = {
    "server": ("server:server", "Create, delete, list and enter servers."),
    "taskserv": ("taskserv:taskserv", "Install services on servers, and look after them."),
    "cluster": ("cluster:cluster", "Create, delete and look at groups of servers with roles."),
    "infra": ("infra:infra", "Bring up whole infrastructures: plan, create, check for drift."),
    "provider": ("provider:provider", "Look at the clouds that servers can come from, and try them."),
    "secret": ("secret:secret", "Keep secrets, that definitions refer to as secret://NAME."),
    "workspace": ("workspace:workspace", "Make, find and check workspaces."),
    "workflow": ("workflow:workflow", "Submit, list, watch, cancel and resolve workflows."),
    "operation": ("operation:operation", "List and run operations, the parts of workflows, by name."),
    "orchestrator": ("daemon:orchestrator", "Start, stop and look at the orchestrator."),
    "config": ("config:config", "Settings: what they are, and where they come from."),
    "help": ("topics:help_", "Help on a command or a topic."),
    "completion": ("topics:completion", "Print the completion script of a shell."),
    "vm": ("topics:vm", "Machine-readable access to providers, for operations."),
}
ALIASES = {
    "server": ("s",),
    "taskserv": ("t", "task"),
    "cluster": ("cl",),
    "infra": ("i", "infras"),
    "workspace": ("ws",),
    "workflow": ("wf", "flow"),
    "operation": ("op",),
    "orchestrator": ("orch",),
}
"""As in the original; they are for typing, everything that we suggest says the whole word."""

EXAMPLES = """
    provisioning orchestrator start                        # no root, no account needed
    provisioning server create wuji --orchestrated         # survives the end of this terminal
    provisioning server ssh web-1
    provisioning workflow watch @last
    provisioning server delete wuji --orchestrated
"""


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    hidden=frozenset({"vm"}),
    aliases=ALIASES,
    examples=EXAMPLES,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "--version", message="provisioning %(version)s")
@command_options
@click.pass_context
def provisioning(ctx: click.Context, /, **options: Any) -> None:
    """Create the servers of an infrastructure with one command."""
    remember_flags(ctx, options)
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
        _tell_daemon(Session(flags_of(ctx)))
        ctx.exit(0)


def _tell_daemon(session: Session) -> None:
    """Whether an orchestrator is there: the first thing that a person who types the bare name wants to know."""
    try:
        health = session.orchestrator.health(timeout_s=LOOK_S)
        session.say(f"\nOrchestrator: {health['status']} at {session.settings.url().value} (pid {health['pid']})")
    except ProvisioningError as error:
        session.say(f"\nOrchestrator: {error.message}; {as_called(error.hint or '')}")


def run(arguments: list[str]) -> int:
    """Run the command line and return its exit code. Nothing is raised."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        code = provisioning.main(arguments, prog_name="provisioning", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else exits.SUCCEEDED
    except Exit as end:
        return _broken_pipe() if end.code == exits.BROKEN_PIPE else _flushed(end.code)
    except click.exceptions.Exit as end:
        return _flushed(end.exit_code)
    except click.ClickException as error:
        return _usage(error)
    except ProvisioningError as error:
        return _failed(error, arguments)
    except (KeyboardInterrupt, click.Abort):
        _say("")
        return exits.INTERRUPTED
    except Terminated:
        return exits.TERMINATED
    except BrokenPipeError:
        return _broken_pipe()
    except Exception as error:
        return _unexpected(error, arguments)


def _terminated(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated


def _flushed(code: int) -> int:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return _broken_pipe()
    return code


def _broken_pipe() -> int:
    # Python flushes standard output once more at its end, and would complain there.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return exits.BROKEN_PIPE


def _usage(error: click.ClickException) -> int:
    message = error.format_message()
    context = getattr(error, "ctx", None)
    path = context.command_path if isinstance(context, click.Context) else "provisioning"
    _error(message[:1].lower() + message[1:], f"{path} --help")
    return exits.USAGE


def _failed(error: ProvisioningError, arguments: list[str]) -> int:
    _error(error.message, error.hint)
    if "--debug" in arguments:
        _say(f"code:  {error.code}")
        _traceback(error)
    return error.exit_code


def _unexpected(error: Exception, arguments: list[str]) -> int:
    if "--debug" in arguments:
        _traceback(error)
    _error(f"unexpected: {type(error).__name__}: {error}", None if "--debug" in arguments else "the same with --debug")
    return exits.FAILED


def _traceback(error: Exception) -> None:
    import traceback

    _say("".join(traceback.format_exception(error)).rstrip())


def _error(message: str, hint: str | None) -> None:
    terminal = standard_error("never" if "--no-color" in sys.argv else "auto")
    _say(f"{terminal.paint('error:', 'bad')} {clean_lines(message)}")
    if hint:
        _say(f"{terminal.paint('hint:', 'busy')}  {clean_lines(as_called(hint))}")


def _say(text: str) -> None:
    if "provisioning_core.secrets.secret" in sys.modules:  # An SDK's message may quote what it was given.
        from ..secrets.telling import clean

        text = clean(text)
    try:
        standard_error().say(text)
    except OSError:
        pass  # nobody reads standard error any more; the exit code still says it
