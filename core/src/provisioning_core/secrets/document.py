"""The text in which files keep values: TOML tables of strings, `[section]` with `name = "value"`."""

from __future__ import annotations

import json

from ..errors import UsageError

Document = dict[str, dict[str, str]]


def read_document(text: str, where: str) -> Document:
    """Raises UsageError that shows no value: not even the parser's words, which may quote one."""
    import tomllib  # here: it takes as long as all else that an operation imports of this package

    try:
        table: Document = tomllib.loads(text)
    except ValueError as error:
        place = str(error).rpartition("(")[2].removesuffix(")")
        at = f" ({place})" if place.startswith("at line") else ""
        raise UsageError(f"{where} is not TOML{at}", code="bad_secrets_file") from None
    for section, values in table.items():
        faulty = not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values())
        if faulty:
            raise UsageError(
                f"{where}: {section!r} is not a table of texts",
                code="bad_secrets_file",
                hint='[section] name = "value"',
            )
    return table


def write_document(document: Document) -> str:
    lines: list[str] = []
    for section, values in document.items():
        lines += [
            f"[{_quoted(section)}]",
            *(f"{_quoted(name)} = {_quoted(value)}" for name, value in values.items()),
            "",
        ]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """A basic string of TOML: JSON's escapes are TOML's, but for DEL, which must be escaped here."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
