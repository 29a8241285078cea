"""What every command is given: the settings, the two streams, and the options that all commands understand."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..render.documents import collection, render, single
from ..render.terminal import Terminal, standard_error, standard_output
from ..render.text import as_called
from ..settings import COLORS, OUTPUTS, PROGRESSES, Settings
from .exits import BROKEN_PIPE, Exit

if TYPE_CHECKING:
    from ..client import Orchestrator

Function = TypeVar("Function", bound=Callable[..., Any])

_FLAGS = "provisioning.flags"


class Session:
    """One invocation. out: data only. err: progress, messages and prompts."""

    def __init__(self, flags: Mapping[str, Any]) -> None:
        names = ("url", "data_dir", "token_file", "workspace", "output", "progress", "color", "library")
        self.settings = Settings({name: flags.get(name) for name in names})
        color = self.settings.color().value
        self.out: Terminal = standard_output(color)
        self.err: Terminal = standard_error(color)
        self.debug = bool(flags.get("debug"))
        self.form = self.settings.output().value
        self.progress = "quiet" if flags.get("quiet") else self.settings.progress().value
        self.quiet = self.progress == "quiet"
        self._orchestrator: Orchestrator | None = None

    @property
    def orchestrator(self) -> Orchestrator:
        if self._orchestrator is None:
            self._import_http()
            from ..client import Orchestrator

            self._orchestrator = Orchestrator(self.settings)
        return self._orchestrator

    def _import_http(self) -> None:
        """Import http.client without `ssl` where the URL needs none: a tenth of the start-up time.

        Here and not in the client: only this process is ours, so that nobody else in it misses HTTPSConnection.
        """
        if self.settings.url().value.startswith("http://") and not {"http.client", "ssl"} & sys.modules.keys():
            sys.modules["ssl"] = None  # type: ignore[assignment]
            try:
                import http.client  # noqa: F401
            finally:
                del sys.modules["ssl"]

    @property
    def for_people(self) -> bool:
        return self.form in ("table", "wide")

    @property
    def wide(self) -> bool:
        return self.form == "wide"

    def say(self, text: str = "") -> None:
        """A message for a person, unless --quiet."""
        if not self.quiet:
            self.err.say(text)

    def note(self, text: str) -> None:
        """A message that is less important than what stands around it."""
        self.say(self.err.paint(text, "dim"))

    def next_commands(self, *commands: tuple[str, str]) -> None:
        """Lines of a word and the command to type."""
        size = max(len(word) for word, _ in commands)
        for word, command in commands:
            self.say(f"  {self.err.paint(word.ljust(size), 'dim')}  {as_called(command)}")

    def print(self, text: str) -> None:
        if text:
            self.out.say(text)

    def print_list(
        self,
        kind: str,
        items: Sequence[Mapping[str, Any]],
        head: Sequence[str],
        row: Callable[[Mapping[str, Any]], Sequence[str]],
        *,
        name_field: str,
        empty: str,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        """A collection in the form that was asked for. empty: what a person is told where there is none.

        about: what one JSON or YAML document says besides its items.
        """
        if not self.for_people:
            self.print(render(collection(kind, items, about), self.form, name_field))
        elif items:
            from ..render.table import table

            self.print(table(head, [row(item) for item in items], self.out))
        else:
            self.say(empty)

    def print_document(self, kind: str, item: Mapping[str, Any], name_field: str) -> None:
        self.print(render(single(kind, item), self.form, name_field))

    def can_ask(self) -> bool:
        """A person can be asked: standard input and standard error are terminals."""
        try:
            return self.err.tty and os.isatty(0)
        except OSError:
            return False


def command_options(function: Function) -> Function:
    """The options that every command has; they may also stand before the command's name, where the later one wins."""
    options = [
        click.option("-o", "--output", type=click.Choice(OUTPUTS), help="How the result is printed (not: where to)."),
        click.option("--json", "as_json", is_flag=True, default=None, help="The same as -o json."),
        click.option("--progress", type=click.Choice(PROGRESSES), help="How progress is shown."),
        click.option("-q", "--quiet", is_flag=True, default=None, help="No progress and no messages, only errors."),
        click.option("--color/--no-color", "color", default=None, help="Colour always, or never."),
        click.option("--workspace", metavar="DIR", help="The workspace (default: found upwards from here)."),
        click.option("--url", metavar="URL", help="Where the orchestrator is (PROVISIONING_URL)."),
        click.option("--debug", is_flag=True, default=None, help="Show where an unexpected error comes from."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def remember_flags(ctx: click.Context, options: dict[str, Any]) -> dict[str, Any]:
    """Take the common options out of `options` and add what was given to what is known; returns what is left."""
    flags: dict[str, Any] = ctx.meta.setdefault(_FLAGS, {})
    if options.pop("as_json", None):
        flags["output"] = "json"
    color = options.pop("color", None)
    if color is not None:
        flags["color"] = COLORS[1] if color else COLORS[2]
    for name in ("output", "progress", "quiet", "workspace", "url", "debug"):
        value = options.pop(name, None)
        if value is not None:
            flags[name] = value
    return options


def flags_of(ctx: click.Context) -> dict[str, Any]:
    """The common options that were given so far."""
    return dict(ctx.meta[_FLAGS])


def with_session(function: Callable[..., Any]) -> Callable[..., Any]:
    """For a command's function: common options, and the session as its first argument."""

    @command_options
    @click.pass_context
    @functools.wraps(function)
    def call(ctx: click.Context, /, **options: Any) -> Any:
        rest = remember_flags(ctx, options)
        # Options of single commands that are settings too, so that flag, environment and file are one thing.
        flags = flags_of(ctx)
        for name in ("data_dir", "token_file", "library"):
            if name in rest:
                value = rest.pop(name)
                flags[name] = os.pathsep.join(value) if isinstance(value, tuple) and value else value or None
        try:
            return function(Session(flags), **rest)
        except BrokenPipeError:
            # Caught here: click would make an exit code 1 of it, as of a failure.
            raise Exit(BROKEN_PIPE) from None

    return call


def nearest(name: str, known: Sequence[str]) -> str | None:
    """A hint, where the name looks like one that is known."""
    from difflib import get_close_matches

    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else None
