"""SSH keys in a Hetzner project: each public key is there once, whoever put it there. They stay when servers go."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from ...errors import ProviderError
from .account import Account
from .identity import OURS


def ensure(account: Account, public_keys: Sequence[str]) -> list[Any]:
    """Raises ProviderError (`bad_spec`) for what is no key."""
    return [_ensure(account, public_key) for public_key in dict.fromkeys(public_keys)]


def _ensure(account: Account, public_key: str) -> Any:
    fingerprint = _fingerprint(public_key)
    doing = "putting an SSH key into the project"
    keys = account.client.ssh_keys
    found = account.ask(doing, lambda: keys.get_by_fingerprint(fingerprint))
    if found is not None:
        return found
    name = f"{OURS}{hashlib.sha256(fingerprint.encode()).hexdigest()[:16]}"
    try:
        return account.ask(doing, lambda: keys.create(name, public_key, labels={f"{OURS}key": "ssh"}))
    except ProviderError as error:
        if error.code != "uniqueness_error":
            raise
    account.until(doing, lambda: keys.get_by_fingerprint(fingerprint) is not None)
    found = account.ask(doing, lambda: keys.get_by_fingerprint(fingerprint))
    assert found is not None
    return found


def _fingerprint(public_key: str) -> str:
    """As Hetzner writes it: MD5, without the name of the method."""
    import asyncssh

    try:
        return asyncssh.import_public_key(public_key).get_fingerprint("md5").removeprefix("MD5:")
    except asyncssh.KeyImportError as error:
        raise ProviderError(f"ssh_keys: {public_key[:60]!r}: {error}", code="bad_spec", retryable=False) from error
