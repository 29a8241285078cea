"""The live view: the tree, redrawn in place on a terminal. The only module that imports rich."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from .picture import Picture
from .terminal import Terminal
from .tree import Row, tree

REDRAW_S = 0.1
SPIN_S = 0.1
ROWS_RESERVED = 2  # the line with the cursor, and the one that was typed

_STYLES = {"good": "green", "bad": "red", "warn": "yellow", "busy": "cyan", "dim": "dim", "strong": "bold", "": ""}


class LiveView:
    """A context: inside it the tree is on the screen, after it the screen is as if there had been none."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._console = Console(
            file=terminal.stream,
            no_color=not terminal.color,
            highlight=False,
            markup=False,
            emoji=False,
            soft_wrap=False,
        )
        self._live = Live(console=self._console, auto_refresh=False, transient=True, vertical_overflow="crop")
        self._drawn_at = 0.0

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def draw(self, picture: Picture, *, at_once: bool = False) -> None:
        """Redraw, at most every REDRAW_S."""
        moment = time.monotonic()
        if not at_once and moment - self._drawn_at < REDRAW_S:
            return
        self._drawn_at = moment
        rows = tree(
            picture,
            columns=self._terminal.columns() - 1,  # a full last column makes some terminals wrap
            rows=max(self._terminal.rows() - ROWS_RESERVED, 3),
            now=time.time(),
            glyphs=self._terminal.glyphs,
            frame=int(moment / SPIN_S),
        )
        text = Text("\n", no_wrap=True, overflow="crop").join(_text(row) for row in rows)
        text.no_wrap, text.overflow = True, "crop"
        self._live.update(text, refresh=True)

    def say(self, text: str) -> None:
        """A line above the tree that stays."""
        self._console.print(Text(text))


def _text(row: Row) -> Text:
    return Text.assemble(*((text, _STYLES[style]) for text, style in row.pieces), no_wrap=True, overflow="crop")
