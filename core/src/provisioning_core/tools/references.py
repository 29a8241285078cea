"""`secret://` in the parameters of tools: resolved into standard input and into files in memory, which are on no disk,
in no argv and in no environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..secrets import is_reference, references_in, resolve_param
from ..secrets.private import scratch


def refuse_references(params: Mapping[str, Any], fields: Sequence[str], instead: str) -> None:
    """Raises UsageError (`bad_params`): as text it would be taken for the value. instead: what to do, in words."""
    for field in fields:
        if found := references_in(params.get(field)):
            raise UsageError(f"{field} refers to {found[0]}, which is never put there", code="bad_params", hint=instead)


def resolved(value: Any) -> Any:
    """The same with what its references stand for. Raises as `resolve_param`."""
    if isinstance(value, dict):
        return {name: resolved(each) for name, each in value.items()}
    if isinstance(value, list):
        return [resolved(each) for each in value]
    return resolve_param(value) if is_reference(value) else value


@contextmanager
def workplace(*given: Any) -> Iterator[Path]:
    """Where a tool's files may be: in memory if what is given refers to a secret, else in the attempt's directory."""
    if not references_in(given):
        yield Path.cwd()
        return
    with scratch() as directory:
        yield directory


def write(file: Path, text: str) -> Path:
    """The file, 0600 from its first moment."""
    file.touch(mode=0o600)
    file.write_text(text, "utf-8")
    return file
