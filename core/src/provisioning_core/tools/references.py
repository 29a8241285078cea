"""`secret://` in the parameters of tools: resolved only into standard input, which is on no disk and in no argv."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import UsageError
from ..secrets import is_reference, references_in, resolve_param


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
