"""Opaque cursors: where a page ended. Positions never move, so pages stay stable while rows are inserted."""

from __future__ import annotations

import base64
import json

from provisioning_orchestrator.ports import BadCursor

POSITION_MAX = (1 << 31) - 1


def cursor_of(kind: str, *position: int) -> str:
    """kind: which list it belongs to; another list refuses it."""
    return base64.urlsafe_b64encode(json.dumps([kind, *position]).encode()).decode()


def position_of(cursor: str, kind: str, width: int) -> list[int]:
    """The `width` numbers of the position. Raises BadCursor."""
    try:
        found, *numbers = json.loads(base64.b64decode(cursor.encode(), altchars=b"-_", validate=True))
        if found != kind or len(numbers) != width:
            raise ValueError("a cursor of another list")
        position = [number for number in numbers if type(number) is int and 0 <= number <= POSITION_MAX]
        if len(position) != width:
            raise ValueError("not a position")
    except (ValueError, TypeError, RecursionError) as error:
        raise BadCursor(
            f"the cursor {cursor[:80]!r} was not given out by this list; start again without one"
        ) from error
    return position
