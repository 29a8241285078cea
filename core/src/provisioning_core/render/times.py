"""Instants and durations, as machines send them and as people read them."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from ..errors import UsageError

MICROSECONDS_FROM = 1e12  # a number above is microseconds: as seconds it would be the year 33,658
YEAR_10000_S = 253_402_300_800
_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def instant(value: object) -> float | None:
    """Seconds since 1970 UTC, of an RFC 3339 text or a number of seconds or microseconds; None where it is neither."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        seconds = value / 1e6 if abs(value) >= MICROSECONDS_FROM else float(value)
        return seconds if 0 <= seconds < YEAR_10000_S else None
    try:
        parsed = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def stamp(at: float) -> str:
    """RFC 3339 UTC, to the second, for a line of progress."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def duration(seconds: float) -> str:
    """`0.3s`, `41s`, `1m12s`, `2h05m`, `3d04h`."""
    seconds = max(seconds, 0.0)
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def ago(value: object, now: float | None = None) -> str:
    """`12s ago`; empty where there is no time."""
    at = instant(value)
    if at is None:
        return ""
    passed = max((time.time() if now is None else now) - at, 0.0)
    return "now" if passed < 1 else duration(float(int(passed))).replace(".0s", "s") + " ago"


def between(start: object, end: object, now: float | None = None) -> str:
    """How long it took, or takes; empty where it has not started."""
    first, last = instant(start), instant(end)
    if first is None:
        return ""
    return duration((last if last is not None else (time.time() if now is None else now)) - first)


def parse_duration(text: str) -> float:
    """Seconds, of `90`, `90s`, `10m`, `1h30m`. Raises UsageError."""
    total, number = 0.0, ""
    for char in text.strip().lower():
        if char.isdecimal() or char == ".":
            number += char
        elif char in _UNITS_S and _is_number(number):
            total, number = total + float(number) * _UNITS_S[char], ""
        else:
            raise _bad_duration(text)
    if number:
        if not _is_number(number):
            raise _bad_duration(text)
        total += float(number)
    if total <= 0:
        raise _bad_duration(text)
    return total


def _is_number(text: str) -> bool:
    return text.isascii() and text.replace(".", "", 1).isdecimal()


def _bad_duration(text: str) -> UsageError:
    return UsageError(f"{text!r} is not a duration", code="bad_duration", hint="such as 90s, 10m or 1h30m, above 0")
