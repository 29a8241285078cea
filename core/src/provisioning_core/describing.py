"""What can be said of an operation without running it: its help, its parameters, what its sidecar says."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import UsageError
from .library import TIMEOUT_DEFAULT_S, find_operation, list_operations, sidecar_of

HELP_BYTES_MAX = 64 * 1024
_SENTENCE = re.compile(r"(.+?)(?:\.(?=\s|$)|$)")


@dataclass(frozen=True, slots=True)
class Description:
    """help: one line, "" where its file says nothing. usage: `{infra, servers?}`, where its file says so. text: all of
    its help. library: the root that it lies in. params_schema: a JSON Schema, where its sidecar has one. problem: why
    it cannot be used."""

    name: str
    library: Path
    file: Path
    help: str = ""
    usage: str = ""
    text: str = ""
    repeatable: bool = False
    timeout_s: float = TIMEOUT_DEFAULT_S
    retry: dict[str, Any] | None = None
    params_schema: dict[str, Any] | None = None
    problem: str | None = None


def describe_all(roots: Sequence[Path]) -> list[Description]:
    """Of all operations, by name."""
    return [describe(roots, name) for name in list_operations(roots)]


def describe(roots: Sequence[Path], name: str) -> Description:
    """Raises NotFoundError (`unknown_operation`)."""
    try:
        operation = find_operation(roots, name)
        sidecar = sidecar_of(operation.file)
    except UsageError as error:  # there twice, or a sidecar that cannot be read: it is there, and cannot be used
        where = next((root for root in roots if any(root.glob(f"{name}*"))), roots[0])
        return Description(name, where, where / name, problem=error.message)
    text = help_of(operation.file)
    usage, words = _parted(name, text)
    retry, schema = sidecar.get("retry"), sidecar.get("params")
    return Description(
        name,
        next(root for root in roots if operation.file.is_relative_to(root)),
        operation.file,
        words,
        usage,
        text,
        sidecar.get("repeatable") is True,
        operation.timeout_s,
        retry if isinstance(retry, dict) else None,
        schema if isinstance(schema, dict) else None,
    )


def help_of(file: Path) -> str:
    """The docstring of a Python file, the comment at the head of a script; "" where there is none."""
    try:
        with file.open("rb") as stream:
            text = stream.read(HELP_BYTES_MAX).decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    if file.suffix == ".py":
        try:
            return ast.get_docstring(ast.parse(text)) or ""
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return ""
    lines = text.splitlines()
    if lines and lines[0].startswith("#!"):
        del lines[0]
    comment = []
    for line in lines:
        if not line.startswith("#"):
            break
        comment.append(line.lstrip("#").removeprefix(" "))
    return "\n".join(comment).strip()


def _parted(name: str, text: str) -> tuple[str, str]:
    """`servers/create {infra}: make them. …` is `{infra}` and `make them`."""
    first = " ".join(text.partition("\n\n")[0].split())
    usage = ""
    if first.startswith(name):
        first = first.removeprefix(name).lstrip()
        if first.startswith("{") and "}" in first:
            usage, _, first = first.partition("}")
            usage += "}"
        first = first.removeprefix(":").lstrip()
    match = _SENTENCE.match(first)
    return usage, match.group(1) if match else ""
