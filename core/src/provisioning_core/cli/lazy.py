"""Command groups whose commands are imported when they are run, and help that begins with examples."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

COMMON = frozenset({"output", "as_json", "progress", "quiet", "color", "workspace", "url", "debug"})
FOOTER = "Exit codes: provisioning help exit-codes"


class ExamplesCommand(click.Command):
    """A command whose help shows `examples` (lines of a session) before the options."""

    def __init__(self, *args: Any, examples: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_help_text(ctx, formatter)
        write_examples(formatter, self.examples)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_options(self, ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_paragraph()
        formatter.write_text(FOOTER)


class LazyGroup(click.Group):
    """lazy: name → ("module:attribute" below this package, one line of help), in the order of the help.

    hidden: names that the help leaves out. aliases: other names of a command, shorter; the help shows them beside it.
    `GROUP help [COMMAND]...` is `help GROUP [COMMAND]...`.
    """

    def __init__(
        self,
        *args: Any,
        lazy: Mapping[str, tuple[str, str]],
        examples: str = "",
        hidden: frozenset[str] = frozenset(),
        aliases: Mapping[str, tuple[str, ...]] = {},
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = lazy
        self._hidden = hidden
        self._aliases = {alias: name for name, others in aliases.items() if name in lazy for alias in others}
        self.examples = examples

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in self._lazy if name not in self._hidden]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        cmd_name = self._aliases.get(cmd_name, cmd_name)
        if cmd_name == "help" and "help" not in self._lazy:
            return _help_on(ctx)
        if cmd_name not in self._lazy:
            return None
        module, _, attribute = self._lazy[cmd_name][0].partition(":")
        command = getattr(import_module(f"provisioning_core.cli.{module}"), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in (*self._lazy, *self._aliases, "help") and not name.startswith("-"):
            raise click.exceptions.NoSuchCommand(name, possibilities=self.list_commands(ctx), ctx=ctx)
        # By its own name, whatever it was called by: in its help, and in what an error suggests.
        return super().resolve_command(ctx, [self._aliases.get(name, name), *args[1:]])

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_help_text(ctx, formatter)
        write_examples(formatter, self.examples)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(ctx, formatter)
        write_options(self, ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(self._called(name), self._lazy[name][1]) for name in self.list_commands(ctx)])

    def _called(self, name: str) -> str:
        """`server, s`."""
        return ", ".join([name, *(alias for alias, other in self._aliases.items() if other == name)])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_paragraph()
        formatter.write_text(FOOTER)


def _help_on(ctx: click.Context) -> click.Command:
    """The command `help` of a group: that of the program, with the group's own name before what is asked."""
    words, root = ctx.command_path.split()[1:], ctx.find_root()

    @click.command("help", add_help_option=False, context_settings={"ignore_unknown_options": True})
    @click.argument("rest", nargs=-1)
    @click.pass_context
    def help_here(inner: click.Context, rest: tuple[str, ...]) -> None:
        assert isinstance(root.command, click.Group)
        program_help = root.command.get_command(root, "help")
        assert program_help is not None
        inner.invoke(program_help, topic=(*words, *rest))

    return help_here


def write_options(command: click.Command, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    """The command's own options first; those that every command has in a section of their own."""
    own: list[tuple[str, str]] = []
    common: list[tuple[str, str]] = []
    for param in command.get_params(ctx):
        record = None if isinstance(param, click.Argument) else param.get_help_record(ctx)
        if record is not None:
            (common if param.name in COMMON or "--help" in param.opts else own).append(record)
    for title, records in (("Options", own), ("Common options", common)):
        if records:
            with formatter.section(title):
                formatter.write_dl(records)


def write_examples(formatter: click.HelpFormatter, examples: str) -> None:
    if not examples:
        return
    with formatter.section("Examples"):
        for line in inspect.cleandoc(examples).splitlines():
            formatter.write(" " * formatter.current_indent + line + "\n")
