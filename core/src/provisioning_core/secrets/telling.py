"""The second net, inside of a process: what it writes itself is cleared of every secret that it has seen.

The runner's filter knows what it handed over. What a process finds by itself, a provider's credentials, only it knows.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from .redaction import Redactor
from .secret import known

_redactor = Redactor({})
_count = 0


def clean(value: Any) -> Any:
    """The same plain data without the secrets that this process has seen."""
    redactor = _current()
    return value if redactor is None else redactor.value(value)


class CleanStream(io.TextIOBase):
    """A text stream in front of another one. Once there is a secret, a line goes on when it is whole, or
    at a flush."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._line = ""

    def write(self, text: str) -> int:
        if not known() and not self._line:
            self._stream.write(text)
            return len(text)
        self._line += text
        whole = self._line.rfind("\n") + 1
        if whole:
            self._stream.write(clean(self._line[:whole]))
            self._line = self._line[whole:]
        return len(text)

    def flush(self) -> None:
        rest, self._line = self._line, ""
        if rest:
            self._stream.write(clean(rest))
        self._stream.flush()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def buffer(self) -> Any:
        """Bytes go past this net: the runner's has to catch them."""
        self.flush()
        return self._stream.buffer

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding


def clean_streams() -> None:
    """From now on standard output and standard error say no secret that this process has seen."""
    sys.stdout = CleanStream(sys.stdout)
    sys.stderr = CleanStream(sys.stderr)


def _by_name(seen: Mapping[str, str]) -> dict[str, str]:
    """Values of one name (a token that was renewed) are told apart by a number."""
    named: dict[str, str] = {}
    for value, name in seen.items():
        free = name if name not in named else f"{name} {sum(each.partition(' ')[0] == name for each in named) + 1}"
        named[free] = value
    return named


def _current() -> Redactor | None:
    """None: no secret was seen."""
    global _redactor, _count
    seen = known()
    if len(seen) != _count:
        _redactor, _count = Redactor(_by_name(seen)), len(seen)
    return _redactor if seen else None
