"""A value that hides itself: printed, formatted, logged, pickled or serialised it does not show what it is."""

from __future__ import annotations

from typing import NoReturn, final

from ..errors import UsageError
from .encodings import NEEDLE_BYTES_MIN
from .redaction import compared

BYTES_MIN = 8
BYTES_MAX = 16 * 1024
"""Shorter ones would be found by chance in what has nothing to do with them; longer ones are files, not secrets."""

_known: dict[str, str] = {}


@final
class Secret:
    """name: what stands in its place when it is taken out of a text. Equal to a secret of the same value only."""

    __slots__ = ("_name", "_value")

    def __init__(self, value: str, name: str, *, open: bool = False) -> None:
        """open: it is no secret (a user's name) and is taken out of no text, though it travels as one."""
        self._value = value
        self._name = name
        if not open and len(value.encode("utf-8", "surrogatepass")) >= BYTES_MIN:
            _known[value] = name

    @property
    def name(self) -> str:
        return self._name

    def reveal(self) -> str:
        """The value itself. Pass it on at once, and never into argv, a name, a label or a message."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({self._name!r})"

    def __str__(self) -> str:
        return f"[secret {self._name}]"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError(f"the secret {self._name!r} is neither pickled nor copied")


def known() -> dict[str, str]:
    """value → name of all that this process has seen, long enough to be told from chance; not to be changed."""
    return _known


def length_fault(value: str) -> str | None:
    """Why this cannot be kept as a secret, in words that do not show it."""
    size = len(value.encode("utf-8", "surrogatepass"))
    if size < BYTES_MIN:
        return f"it has {size} bytes; at least {BYTES_MIN} are needed, or it could not be told from chance in a log"
    if size > BYTES_MAX:
        return f"it has {size} bytes; at most {BYTES_MAX} are kept"
    if "\0" in value:
        return "it holds a NUL character"
    if compared(value) < NEEDLE_BYTES_MIN:
        return f"without blanks and bars it has {compared(value)} bytes; at least {NEEDLE_BYTES_MIN} are needed"
    return None


def checked(value: str, what: str) -> str:
    """The value. Raises UsageError where it cannot be a secret."""
    if fault := length_fault(value):
        raise UsageError(f"{what} is not accepted: {fault}", code="bad_secret")
    return value
