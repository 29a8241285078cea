"""The value of a name, from the stores; and what a runner's resolver answers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ProviderError, UsageError
from .reference import NAME, NAME_WORDS, SCHEME, is_reference, name_of
from .secret import Secret, length_fault
from .stores import SECRETS, Store, secret_stores


class SecretUnavailable(ProviderError):
    """`secret_unavailable`: a reference has no value here. retryable: a store could not be read just now."""

    def __init__(self, message: str, *, retryable: bool = False, hint: str | None = None) -> None:
        super().__init__(message, code="secret_unavailable", hint=hint, retryable=retryable)


def find_secret(name: str, environ: Mapping[str, str] = os.environ) -> tuple[Secret, Store] | None:
    """The value and the store that has it: the first in their order. Raises SecretUnavailable where a store before it
    could not be read: a later one might hold another, older value."""
    for store in secret_stores(environ):
        try:
            value = store.get(SECRETS, name)
        except UsageError as error:
            # Locked or unreachable may pass; a file that others can read, or that is no TOML, will not.
            passing = error.code in ("keyring_failed", "sops_failed")
            raise SecretUnavailable(f"{SCHEME}{name}: {error.message}", retryable=passing, hint=error.hint) from None
        if value is not None:
            return Secret(value, name), store
    return None


def named_secret(name: str, environ: Mapping[str, str] = os.environ) -> Secret:
    """Raises SecretUnavailable, naming every place where it was looked for."""
    if not NAME.fullmatch(name):
        raise SecretUnavailable(f"{SCHEME}{name[:200]} is no reference to a secret: a name is {NAME_WORDS}")
    found = find_secret(name, environ)
    if found is None:
        places = "; ".join(store.place for store in secret_stores(environ))
        raise SecretUnavailable(
            f"{SCHEME}{name}: there is no such secret. Looked for in {places}", hint=f"provisioning secret set {name}"
        )
    if fault := length_fault(found[0].reveal()):
        raise SecretUnavailable(f"{SCHEME}{name} in {found[1].place}: {fault}")
    return found[0]


def revealed(value: Any, environ: Mapping[str, str] = os.environ) -> Any:
    """Plain data with the values in place of the references: for settings of providers, in the process that uses them.

    Raises SecretUnavailable.
    """
    if is_reference(value):
        return named_secret(name_of(value), environ).reveal()
    if isinstance(value, Mapping):
        return {name: revealed(each, environ) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [revealed(each, environ) for each in value]
    return value


def resolve_all(names: Sequence[str], environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """What a resolver answers: {"secrets": {name: value}, "failures": {name: {"message", "retryable"}}}."""
    secrets: dict[str, str] = {}
    failures: dict[str, Any] = {}
    for name in names:
        try:
            secrets[name] = named_secret(name, environ).reveal()
        except SecretUnavailable as error:
            message = f"{error.message} ({error.hint})" if error.hint else error.message
            failures[name] = {"message": message, "retryable": error.retryable}
    return {"secrets": secrets, "failures": failures}
