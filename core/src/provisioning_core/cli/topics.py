"""`provisioning help` and `provisioning completion`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..errors import UsageError
from . import exits
from .lazy import ExamplesCommand
from .session import nearest

SHELLS = ("bash", "zsh", "fish")
HOW_TO_INSTALL = {
    "bash": 'eval "$(provisioning completion bash)"    # in ~/.bashrc',
    "zsh": 'eval "$(provisioning completion zsh)"    # in ~/.zshrc',
    "fish": "provisioning completion fish | source    # in ~/.config/fish/config.fish",
}


def exit_codes() -> str:
    lines = [f"  {code:>3}  {meaning}" for code, meaning in exits.MEANINGS]
    return "\n".join(["How the program ends:", *lines])


def environment() -> str:
    return """\
What the program reads from its environment; a flag wins over each:

  PROVISIONING_URL         where the orchestrator is (http://127.0.0.1:9090)
  PROVISIONING_DATA_DIR    the orchestrator's data directory ($XDG_STATE_HOME/provisioning/orchestrator)
  PROVISIONING_TOKEN_FILE  its token (DATA_DIR/token)
  PROVISIONING_WORKSPACE   the workspace (the nearest directory upwards with a provisioning.yaml, else the
                           active one: provisioning workspace switch)
  PROVISIONING_LIBRARY     the operations of direct mode and of `orchestrator start` (the workspace's, then
                           the shipped ones)
  PROVISIONING_ORCHESTRATOR  the program that `orchestrator start` starts
  PROVISIONING_PROGRAM       what the commands that are suggested begin with (provisioning)
  PROVISIONING_KCL_TIME_S, PROVISIONING_KCL_MEMORY_MB    what evaluating a definition in KCL may take (30, 1024)
  PROVISIONING_OUTPUT, PROVISIONING_PROGRESS, PROVISIONING_COLOR    as the flags
  NO_COLOR, FORCE_COLOR, TERM=dumb, PROVISIONING_ASCII=1            how things look

The same names in lower case, without the prefix, may stand in $XDG_CONFIG_HOME/provisioning/config.toml. Flags win
over the environment, that over the workspace (only how things look), that over this file. Where each value comes from:
provisioning config show --origin"""


def output() -> str:
    return """\
Data goes to standard output, everything else to standard error. -o says in which form (not: where to):

  table, wide   for people
  json, yaml    one document with apiVersion and kind; a list has items
  jsonl         one JSON object a line, the first is {"type":"version","ui":"1.0"}; watching prints each event
  name          only the names or ids, one a line"""


def nushell() -> str:
    module = Path(__file__).parents[1] / "nushell" / "provisioning.nu"
    return f"""\
The verbs of the command line as commands of Nushell, with tables as answers:

  use {json.dumps(str(module))} *
  server create wuji
  server list wuji | where state != started
  workflow list --status failed

The same line in config.nu, and they are always there."""


TOPICS = {"exit-codes": exit_codes, "environment": environment, "output": output, "nushell": nushell}


@click.command(
    "help",
    cls=ExamplesCommand,
    examples="""
        provisioning help exit-codes
        provisioning help server create
    """,
)
@click.argument("topic", nargs=-1)
@click.pass_context
def help_(ctx: click.Context, topic: tuple[str, ...]) -> None:
    """Help on a command or a topic: exit-codes, environment, output, nushell."""
    root = ctx.find_root()
    if not topic:
        click.echo(root.get_help())
        click.echo(f"Topics: {', '.join(TOPICS)}")
        return
    if len(topic) == 1 and topic[0] in TOPICS:
        click.echo(TOPICS[topic[0]]())
        return
    command: click.Command = root.command
    place = root
    for name in topic:
        below = command.get_command(place, name) if isinstance(command, click.Group) else None
        if below is None:
            known = [*TOPICS, *(command.list_commands(place) if isinstance(command, click.Group) else [])]
            raise UsageError(
                f"no help on {' '.join(topic)!r}",
                code="unknown_topic",
                hint=nearest(name, known) or f"one of: {', '.join(known)}",
            )
        place = click.Context(below, info_name=below.name or name, parent=place, **below.context_settings)
        command = below
    click.echo(command.get_help(place))


@click.command(
    cls=ExamplesCommand,
    examples="""
        eval "$(provisioning completion bash)"
        provisioning completion fish | source
    """,
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(ctx.find_root().command, {}, "provisioning", "_PROVISIONING_COMPLETE")
    # Not `script.source()`: for bash it would run bash to look at its version.
    click.echo(f"# {HOW_TO_INSTALL[shell]}")
    click.echo(script.source_template % script.source_vars())


@click.command(
    "vm",
    hidden=True,
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "allow_interspersed_args": False},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def vm(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """Machine-readable access to providers, for operations."""
    from .machine import run_vm

    ctx.exit(run_vm(list(arguments)))
