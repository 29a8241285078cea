"""Columns, aligned by two spaces: the same on a terminal and in a pipe, cut only on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from .terminal import Terminal
from .text import clean, fit, pad, width

GAP = "  "
COLUMN_MIN = 8
STATE_STYLES = {
    "succeeded": "good",
    "started": "good",
    "running": "busy",
    "creating": "busy",
    "failed": "bad",
    "error": "bad",
    "unknown": "warn",
    "waiting": "warn",
    "cancelled": "warn",
    "skipped": "dim",
    "blocked": "dim",
    "stopped": "warn",
}


def table(head: Sequence[str], rows: Sequence[Sequence[str]], terminal: Terminal, *, indent: str = "") -> str:
    """Lines of text; a column that is empty in every row is left out. Cells are others' text: made one line each."""
    cells = [[clean(cell) for cell in row] for row in rows]
    kept = [i for i in range(len(head)) if i == 0 or any(row[i] for row in cells)]
    widths = [max(width(head[i]), *(width(row[i]) for row in cells)) if cells else width(head[i]) for i in kept]
    columns = terminal.columns() if terminal.tty else None
    if columns is not None:
        widths = _narrowed(widths, columns - len(indent) - len(GAP) * (len(widths) - 1))
    ellipsis = terminal.glyphs.ellipsis
    lines = [_line([head[i] for i in kept], widths, indent, columns, terminal, head=True)]
    for row in cells:
        fitting = [fit(row[i], size, ellipsis) for i, size in zip(kept, widths, strict=True)]
        lines.append(_line(fitting, widths, indent, columns, terminal))
    return "\n".join(lines)


def _narrowed(widths: Sequence[int], room: int) -> list[int]:
    """The widest columns give way until all fit, as far as something readable is left of each."""
    narrowed = [min(size, max(room, COLUMN_MIN)) for size in widths]
    while sum(narrowed) > room and max(narrowed) > COLUMN_MIN:
        narrowed[narrowed.index(max(narrowed))] -= 1
    return narrowed


def _line(
    cells: Sequence[str],
    widths: Sequence[int],
    indent: str,
    columns: int | None,
    terminal: Terminal,
    *,
    head: bool = False,
) -> str:
    plain = (indent + GAP.join(pad(cell, size) for cell, size in zip(cells, widths, strict=True))).rstrip()
    if columns is not None and width(plain) > columns:
        return fit(plain, columns, terminal.glyphs.ellipsis)
    if not terminal.color:
        return plain
    if head:
        return terminal.paint(plain, "dim")
    painted = [
        terminal.paint(cell, STATE_STYLES.get(cell, "")) + " " * (size - width(cell))
        for cell, size in zip(cells, widths, strict=True)
    ]
    return (indent + GAP.join(painted)).rstrip()
