"""The secrets that the runner handed to this process: a JSON object, name → value, behind the path in
PROVISIONING_SECRETS (/dev/fd/N, a descriptor that it inherited)."""

from __future__ import annotations

import json
import os
from typing import Any

from .named import SecretUnavailable, named_secret
from .reference import SCHEME, is_reference, name_of, reference_fault
from .secret import Secret

VARIABLE = "PROVISIONING_SECRETS"


def handed_secret(reference: str) -> Secret:
    """The value of `secret://name`. Raises SecretUnavailable.

    An operation is handed what its parameters refer to, and nothing else. By hand, with no runner around (nothing was
    handed over), the stores are asked.
    """
    if not is_reference(reference):
        raise SecretUnavailable("a reference is expected (secret://NAME), and this is none")
    if fault := reference_fault(reference):
        raise SecretUnavailable(fault)
    name = name_of(reference)
    path = os.environ.get(VARIABLE)
    if path is None and "PROVISIONING_RESULT" not in os.environ:
        return named_secret(name)
    values = _read(path) if path is not None else {}
    if name not in values:
        raise SecretUnavailable(f"{SCHEME}{name} was not handed to this operation: its parameters do not refer to it")
    return Secret(values[name], name)


def resolve_param(value: str) -> str:
    """The value that a parameter means: what `secret://name` refers to, any other text as it is.

    For use inside of the operation's own process, as late as can be. Raises SecretUnavailable.
    """
    return handed_secret(value).reveal() if is_reference(value) else value


def keep_to_ourselves() -> None:
    """Let no process that this one starts inherit the descriptor, and let redaction know the values."""
    path = os.environ.get(VARIABLE, "")
    if path.startswith("/dev/fd/"):
        _read(path)
        os.set_inheritable(int(path.removeprefix("/dev/fd/")), False)


_values: dict[str, dict[str, str]] = {}


def _read(path: str) -> dict[str, str]:
    """Raises SecretUnavailable. Read once: a descriptor of a plain file may have one offset for all its readers."""
    if path not in _values:
        try:
            with open(path, "rb") as file:  # noqa: PTH123 - /dev/fd/N, no path of a file system
                document: Any = json.loads(file.read())
        except (OSError, ValueError):
            raise SecretUnavailable(
                f"{VARIABLE} is {path!r}, and no secrets can be read there", retryable=True
            ) from None
        _values[path] = {name: value for name, value in document.items() if isinstance(value, str)}
        for name, value in _values[path].items():
            Secret(value, name)
    return _values[path]
