"""What the two streams can show: is it a terminal, may it have colour, which glyphs does it know."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import NamedTuple, TextIO

COLUMNS_DEFAULT = 80
COLUMNS_MIN = 20

_STYLES = {
    "good": "32",
    "bad": "31",
    "warn": "33",
    "busy": "36",
    "dim": "2",
    "strong": "1",
}


class Glyphs(NamedTuple):
    good: str
    bad: str
    head: str
    retry: str
    queued: str
    skipped: str
    unknown: str
    spinner: tuple[str, ...]
    branch: str
    last: str
    bar: str
    gap: str
    ellipsis: str
    bullet: str


UNICODE = Glyphs("✔", "✘", "●", "↻", "·", "–", "?", tuple("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"), "├── ", "└── ", "│   ", "    ", "…", "·")
ASCII = Glyphs("+", "x", "*", "~", ".", "-", "?", ("|", "/", "-", "\\"), "|-- ", "`-- ", "|   ", "    ", "...", "-")


class Terminal:
    """One stream. tty: a person may be looking. live: it can redraw (a terminal that is not dumb)."""

    def __init__(self, stream: TextIO, color: str = "auto", environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        self.stream = stream
        self.tty = _isatty(stream)
        dumb = environ.get("TERM", "") in ("dumb", "unknown", "")
        self.live = self.tty and not dumb
        self.color = _color(color, environ, tty=self.tty, dumb=dumb)
        self.glyphs = UNICODE if _unicode(stream, environ) else ASCII

    def columns(self) -> int:
        try:
            columns = os.get_terminal_size(self.stream.fileno()).columns
        except (OSError, ValueError):
            return COLUMNS_DEFAULT
        return max(columns or COLUMNS_DEFAULT, COLUMNS_MIN)

    def rows(self) -> int:
        try:
            return os.get_terminal_size(self.stream.fileno()).lines or 24
        except (OSError, ValueError):
            return 24

    def paint(self, text: str, style: str) -> str:
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.color and style else text

    def say(self, text: str = "") -> None:
        """A line. What the stream cannot encode is written as its escape."""
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        safe = text.encode(encoding, "backslashreplace").decode(encoding)
        self.stream.write(safe + "\n")
        self.stream.flush()


def standard_output(color: str = "auto") -> Terminal:
    return Terminal(sys.stdout, color)


def standard_error(color: str = "auto") -> Terminal:
    return Terminal(sys.stderr, color)


def _isatty(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def _color(wish: str, environ: Mapping[str, str], *, tty: bool, dumb: bool) -> bool:
    """Flag, then NO_COLOR, then FORCE_COLOR, then what the stream is."""
    if wish != "auto":
        return wish == "always"
    if environ.get("NO_COLOR") or environ.get("PROVISIONING_NO_COLOR"):
        return False
    if any(environ.get(name, "0") not in ("", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE")):
        return True
    return tty and not dumb


def _unicode(stream: TextIO, environ: Mapping[str, str]) -> bool:
    if environ.get("PROVISIONING_ASCII"):
        return False
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "") in ("utf8", "utf8sig")
