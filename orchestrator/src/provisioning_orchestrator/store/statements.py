"""The SQL of this package, by name, from the files in `sql/`.

A file holds statements, each under `-- name: NAME` and a line that says what it is for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_DIRECTORY = Path(__file__).parent / "sql"
_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_ROW = re.compile(r"VALUES\s+(\([?, ]+\))")


def statements(file: str) -> dict[str, str]:
    """name → SQL of one file. Raises ValueError where a name is there twice or a purpose line is missing."""
    parts = _NAME.split((_DIRECTORY / file).read_text(encoding="utf-8"))[1:]
    found: dict[str, str] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        if name in found or not body.startswith("-- "):
            raise ValueError(f"sql/{file}: {name!r} is there twice or does not say what it is for")
        found[name] = body.partition("\n")[2].strip()
    return found


@cache
def repeated(sql: str, rows: int) -> str:
    """The statement with the one row of its VALUES written `rows` times."""
    return _ROW.sub(lambda match: "VALUES " + ", ".join([match[1]] * rows), sql)


def migrations() -> Iterator[tuple[int, str]]:
    """(version, script) in order; a file is called NNN-what.sql."""
    for path in sorted((_DIRECTORY / "migrations").glob("*.sql")):
        yield int(path.name.partition("-")[0]), path.read_text(encoding="utf-8")


WRITE = statements("write.sql")
READ = statements("read.sql")
