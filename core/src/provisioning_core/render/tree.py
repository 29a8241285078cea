"""Draws a picture as a tree that fits: rows of at most so many columns, at most so many rows, whatever its size.

What is folded first: branches that are done, then what is queued. What failed, is unknown, waits for a retry or runs
is shown as long as there is a row for it; what is left out is counted in the last row, so nothing is silently missing.
"""

from __future__ import annotations

from dataclasses import dataclass

from .picture import CANCELLED, FAILED, QUEUED, RUNNING, SKIPPED, SUCCEEDED, UNKNOWN, WAITING, Picture, TaskLine
from .terminal import Glyphs
from .text import clean, fit, pad, plural, width
from .times import duration

DEPTH_SHOWN_MAX = 8
CLIMB_MAX = 100_000
LABEL_COLUMNS_MAX = 28
ID_SHOWN = 13  # `wf_` and ten characters: a beginning that is accepted as an id

# In the order in which they are given a row.
_SHOWN_FIRST = (FAILED, UNKNOWN, RUNNING, WAITING)
_SHOWN_WHERE_ROOM = (QUEUED, SUCCEEDED, CANCELLED, SKIPPED)
_STYLES = {
    SUCCEEDED: "good",
    FAILED: "bad",
    CANCELLED: "warn",
    UNKNOWN: "warn",
    WAITING: "warn",
    RUNNING: "busy",
    "cancelling": "warn",
}


@dataclass(frozen=True, slots=True)
class Row:
    """Pieces of text, each with the name of its style (empty: none)."""

    pieces: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.pieces)


def tree(picture: Picture, *, columns: int, rows: int, now: float, glyphs: Glyphs, frame: int = 0) -> list[Row]:
    """The head, the tasks, and a last row with what is not shown. rows: 3 or more."""
    head = headline(picture, columns=columns, now=now, glyphs=glyphs)
    shown = _choose(picture, max(rows - 2, 1))
    places = _arrange(picture, shown)
    room = min(
        LABEL_COLUMNS_MAX, max((_indent(depth) + width(clean(line.label)) for line, depth, _ in places), default=0)
    )
    body = [_task_row(line, bars, room, columns, now, glyphs, frame) for line, _, bars in _with_bars(places, glyphs)]
    foot = _foot(picture, shown, columns, glyphs)
    return [head, *body, *([foot] if foot else [])]


def headline(picture: Picture, *, columns: int, now: float, glyphs: Glyphs) -> Row:
    glyph = {SUCCEEDED: glyphs.good, FAILED: glyphs.bad, CANCELLED: glyphs.bad}.get(picture.status, glyphs.head)
    style = _STYLES.get(picture.status, "")
    took = _elapsed(picture.started_at, picture.ended_at, now)
    done = picture.count(SUCCEEDED, FAILED, CANCELLED, SKIPPED)
    if picture.ended:
        state = f"{picture.status} in {took}" if took else picture.status
        tail = counts(picture)
    else:
        state = f"{picture.status}  {took}" if took else picture.status
        tail = f"{done}/{plural(picture.total, 'task')}"
    name = clean(picture.name or "workflow")
    rest = f"  {picture.workflow[:ID_SHOWN]}  {state}  {tail}"
    name = fit(name, max(columns - width(rest) - len(glyph) - 1, 12), glyphs.ellipsis)
    return _cut(
        (
            ((glyph + " "), style),
            (name, "strong"),
            (f"  {picture.workflow[:ID_SHOWN]}  ", "dim"),
            (state, style),
            ("  " + tail, ""),
        ),
        columns,
        glyphs,
    )


def counts(picture: Picture) -> str:
    """`5 tasks, 1 retry`; where not all went well: `9 ok, 1 failed, 3 skipped`."""
    parts = [
        f"{picture.count(status)} {status}" for status in (FAILED, CANCELLED, SKIPPED, UNKNOWN) if picture.count(status)
    ]
    if parts:
        parts.insert(0, f"{picture.count(SUCCEEDED)} ok")
    else:
        parts = [plural(picture.total, "task")]
    if picture.retries:
        parts.append("1 retry" if picture.retries == 1 else f"{picture.retries} retries")
    return ", ".join(parts)


def _choose(picture: Picture, room: int) -> dict[str, TaskLine]:
    """The tasks that get a row, at most `room`."""
    chosen: dict[str, TaskLine] = {}
    for status in (*_SHOWN_FIRST, *_SHOWN_WHERE_ROOM):
        ids = picture.by_status.get(status, {})
        # Of what is done the newest are of interest; of all else, what came first.
        for id_ in reversed(ids) if status in (SUCCEEDED, CANCELLED, SKIPPED) else ids:
            if len(chosen) >= room:
                return chosen
            chosen[id_] = picture.tasks[id_]
    return chosen


def _arrange(picture: Picture, shown: dict[str, TaskLine]) -> list[tuple[TaskLine, int, bool]]:
    """The tasks in the order of the tree, with their depth and whether they are their parent's last; no recursion."""
    below: dict[str | None, list[TaskLine]] = {}
    for line in sorted(shown.values(), key=lambda line: line.number):
        below.setdefault(_nearest_shown(picture, line, shown), []).append(line)
    placed: list[tuple[TaskLine, int, bool]] = []
    open_ = [(line, 0, i == 0) for i, line in enumerate(reversed(below.get(None, [])))]
    while open_:
        line, depth, last = open_.pop()
        placed.append((line, depth, last))
        open_ += [(child, depth + 1, i == 0) for i, child in enumerate(reversed(below.get(line.id, [])))]
    if len(placed) < len(shown):  # `above` in a circle: cannot be, but a view must never hide a task
        seen = {line.id for line, _, _ in placed}
        placed += [(line, 0, True) for line in shown.values() if line.id not in seen]
    return placed


def _nearest_shown(picture: Picture, line: TaskLine, shown: dict[str, TaskLine]) -> str | None:
    above = line.above
    for _ in range(CLIMB_MAX):
        if above is None or above in shown:
            return above
        parent = picture.tasks.get(above)
        above = parent.above if parent is not None else None
    return None


def _with_bars(places: list[tuple[TaskLine, int, bool]], glyphs: Glyphs) -> list[tuple[TaskLine, int, str]]:
    """The same with the lines of the tree before each task. Below a depth, deeper ones are drawn at that depth."""
    result: list[tuple[TaskLine, int, str]] = []
    ancestors_last: list[bool] = []
    for line, true_depth, last in places:
        del ancestors_last[true_depth:]
        bars = "".join(glyphs.gap if was_last else glyphs.bar for was_last in ancestors_last[:DEPTH_SHOWN_MAX])
        result.append((line, true_depth, bars + (glyphs.last if last else glyphs.branch)))
        ancestors_last.append(last)
    return result


def _indent(depth: int) -> int:
    return 4 * (min(depth, DEPTH_SHOWN_MAX) + 1)


def _task_row(line: TaskLine, bars: str, room: int, columns: int, now: float, glyphs: Glyphs, frame: int) -> Row:
    took = _elapsed(line.started_at, line.ended_at, now)
    label = clean(line.label)
    space = max(room - len(bars), 8)
    label = pad(fit(label, max(space, LABEL_COLUMNS_MAX - len(bars)), glyphs.ellipsis), space)
    style = _STYLES.get(line.status, "dim")
    note_style = "bad" if line.status == FAILED else "warn" if line.status in (WAITING, UNKNOWN) else "dim"
    pieces = (
        (bars, "dim"),
        (_glyph(line, glyphs, frame) + " ", style),
        (label, ""),
        (f" {took:>6}  ", "dim"),
        (_note(line, now), note_style),
    )
    return _cut(pieces, columns, glyphs)


def _glyph(line: TaskLine, glyphs: Glyphs, frame: int) -> str:
    if line.status == RUNNING:
        return glyphs.spinner[frame % len(glyphs.spinner)]
    return {
        SUCCEEDED: glyphs.good,
        FAILED: glyphs.bad,
        CANCELLED: glyphs.bad,
        WAITING: glyphs.retry,
        SKIPPED: glyphs.skipped,
        UNKNOWN: glyphs.unknown,
    }.get(line.status, glyphs.queued)


def _note(line: TaskLine, now: float) -> str:
    message = clean(line.message)
    if line.status == WAITING:
        # `attempt` is the one that failed; what is waited for is the next.
        of = f"/{line.attempts_max}" if line.attempts_max else ""
        left = f" in {max(round(line.due_at - now), 0)}s" if line.due_at is not None else ""
        return f"attempt {line.attempt + 1}{of}{left}: {message}"
    if line.status == RUNNING:
        attempt = f"attempt {line.attempt}" + (f"/{line.attempts_max}" if line.attempts_max else "")
        percent = f"{line.percent:.0f}%" if line.percent is not None else ""
        return "  ".join(part for part in (attempt if line.attempt > 1 else "", percent, message) if part)
    if line.status in (SKIPPED, CANCELLED, UNKNOWN):
        return f"{line.status}: {message}" if message else line.status
    if line.status == SUCCEEDED and line.partial:
        return f"in part: {message}" if message else "in part"
    return message


def _foot(picture: Picture, shown: dict[str, TaskLine], columns: int, glyphs: Glyphs) -> Row | None:
    parts = []
    listed: dict[str, int] = {}
    for line in shown.values():
        listed[line.status] = listed.get(line.status, 0) + 1
    hidden_queued = picture.total - len(picture.tasks)
    for status in (FAILED, UNKNOWN, RUNNING, WAITING, QUEUED, SUCCEEDED, CANCELLED, SKIPPED):
        left = picture.count(status) - listed.get(status, 0) + (hidden_queued if status == QUEUED else 0)
        if left:
            parts.append(f"{left} {status}")
    if not parts:
        return None
    return _cut((("  and " + ", ".join(parts), "dim"),), columns, glyphs)


def _elapsed(started: float | None, ended: float | None, now: float) -> str:
    return duration((ended if ended is not None else now) - started) if started is not None else ""


def _cut(pieces: tuple[tuple[str, str], ...], columns: int, glyphs: Glyphs) -> Row:
    """The pieces in at most so many columns: a row never wraps."""
    kept: list[tuple[str, str]] = []
    left = columns
    for text, style in pieces:
        size = width(text)
        if size > left:
            kept.append((fit(text, left, glyphs.ellipsis), style))
            break
        kept.append((text, style))
        left -= size
    while kept and not kept[-1][0].strip():
        kept.pop()
    return Row(tuple(kept))
