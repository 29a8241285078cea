"""The parameters of an operation as they are typed: `--param NAME=VALUE`, `--param-text`, `--param-file`."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from ..errors import NotFoundError, UsageError
from ..pointers import read_document
from ..yamlfile import BYTES_MAX, shown

STDIN = "-"
STDIN_SHOWN = "<stdin>"
FILE_BYTES_MAX = 64 * 1024 * 1024
_OF_JSON = ("{", "[", '"')


def read_params(
    typed: Sequence[str], texts: Sequence[str], files: Sequence[str], schema: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What was typed wins over files, a later file over an earlier one. Raises UsageError with all faults.

    schema: the operation's JSON Schema, where it is known; a parameter that is text by it is taken as it is typed.
    """
    if files.count(STDIN) > 1:
        raise UsageError("--param-file - is given twice; standard input can be read once", code="bad_flags")
    params: dict[str, Any] = {}
    for file in files:
        params |= _from_file(file)
    faults: list[str] = []
    given: dict[str, Any] = {}
    for flag, words in (("--param", typed), ("--param-text", texts)):
        for word in words:
            name, equals, text = word.partition("=")
            if not equals or not name:
                faults.append(f"{flag} {shown(word)}: NAME=VALUE is expected")
            elif name in given:
                faults.append(f"{flag} {name}: it is given twice; a list is {name}='[…]'")
            else:
                given[name] = text
                try:
                    given[name] = text if flag == "--param-text" or _is_text(schema, name) else value_of(text)
                except ValueError as error:
                    faults.append(f"{flag} {name}: {error}")
    if faults:
        raise UsageError("\n".join(faults), code="bad_params")
    return params | given


def value_of(text: str) -> Any:
    """JSON where it is JSON, else the text itself. Raises ValueError for what begins like JSON and is none."""
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        if text.lstrip().startswith(_OF_JSON):
            detail = f"{error.msg} at character {error.colno}" if isinstance(error, json.JSONDecodeError) else error
            raise ValueError(f"{shown(text)} begins like JSON, but is none ({detail}); text: --param-text") from None
        return text


def read_bytes(name: str, what: str) -> bytes:
    """A file, or standard input for `-`. Raises NotFoundError, UsageError."""
    try:
        if name == STDIN:
            data = sys.stdin.buffer.read(FILE_BYTES_MAX + 1)
        else:
            with open(name, "rb") as file:  # noqa: PTH123 - the name as it was typed
                data = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise NotFoundError(f"there is no {what} {shown(name)}", code="no_file") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"cannot read the {what} {shown(name)}: {why}", code="bad_file") from None
    if len(data) > FILE_BYTES_MAX:
        raise UsageError(f"the {what} {shown(name)} has more than {FILE_BYTES_MAX} bytes", code="too_large")
    return data


def called(name: str) -> str:
    """How a file is named in messages: one line, whatever it is called."""
    return STDIN_SHOWN if name == STDIN else name if name.isprintable() else ascii(name)


def _from_file(name: str) -> dict[str, Any]:
    data = read_bytes(name, "file of parameters")
    document = read_document(data, called(name), json_only=name.endswith(".json"))
    if document.value is None and len(data) <= BYTES_MAX:
        return {}
    if not isinstance(document.value, dict):
        raise UsageError(str(document.problem("", "a mapping of parameters is expected")), code="bad_params")
    return document.value


def _is_text(schema: Mapping[str, Any] | None, name: str) -> bool:
    properties = schema.get("properties") if schema else None
    wanted = properties.get(name) if isinstance(properties, dict) else None
    return isinstance(wanted, dict) and wanted.get("type") == "string"


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits} is out of range")
    return number
