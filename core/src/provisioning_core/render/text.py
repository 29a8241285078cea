"""Text that others wrote, made safe and made to fit: no control character of theirs reaches a terminal."""

from __future__ import annotations

import os
import re
import unicodedata

# CSI; OSC, DCS, SOS, PM, APC with their payload; two-character escapes. Unterminated ones are caught as controls below.
_SEQUENCES = (
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-OQ-WYZ\\`-~]"
)
# C0 and C1 controls, DEL, line and paragraph separators, the bidirectional overrides, lone surrogates.
_CONTROLS = r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
_CONTROLS_IN_LINES = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"

_GROUPS = (
    "server|taskserv|cluster|infra|provider|secret|workspace|config|workflow|operation|orchestrator|help|completion"
)
_COMMANDS = rf"(?<![\w./-])provisioning (?=(?:{_GROUPS})\b|--help)"


def clean(text: str) -> str:
    """One line: escape sequences taken out, every other control character shown as `\\x1b`."""
    if text.isprintable():
        return text  # nearly all text; the patterns are compiled only where one is needed
    return re.sub(_CONTROLS, _shown, re.sub(_SEQUENCES, "", text))


def clean_lines(text: str) -> str:
    """The same for text of several lines: newlines and tabs stay; a carriage return before a newline goes."""
    return re.sub(_CONTROLS_IN_LINES, _shown, re.sub(_SEQUENCES, "", text.replace("\r\n", "\n")))


def _shown(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def width(text: str) -> int:
    """Columns on a terminal."""
    if text.isascii():
        return len(text)
    return sum(_columns(char) for char in text)


def _columns(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def fit(text: str, columns: int, ellipsis: str = "…") -> str:
    """The text in at most so many columns, its cut end shown by the ellipsis."""
    if columns <= 0:
        return ""
    if width(text) <= columns:
        return text
    room = columns - len(ellipsis)
    kept: list[str] = []
    for char in text:
        room -= _columns(char)
        if room < 0:
            break
        kept.append(char)
    return ("".join(kept).rstrip() + ellipsis)[: max(columns, 1)] if columns > len(ellipsis) else ellipsis[:columns]


def pad(text: str, columns: int) -> str:
    return text + " " * (columns - width(text))


def as_called(text: str) -> str:
    """Commands of this program, as a person has to type them here: PROVISIONING_PROGRAM says what it is called.

    A clone's bin/provisioning is on nobody's PATH; a suggestion that cannot be pasted would be none.
    """
    called = os.environ.get("PROVISIONING_PROGRAM")
    if not called or not called.isprintable():
        return text
    import shlex  # here: few have the variable, and every command pays for an import

    return re.sub(_COMMANDS, lambda _: f"{shlex.quote(called)} ", text)


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
