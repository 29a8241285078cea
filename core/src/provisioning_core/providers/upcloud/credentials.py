"""The credentials of an UpCloud account: an API token, or the name and password of a sub-account."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ...secrets import CredentialField, credentials

FIELDS = (
    CredentialField("token", ("UPCLOUD_TOKEN",), help="an API token (control panel: Account, API tokens)"),
    CredentialField("username", ("UPCLOUD_USERNAME",), secret=False, help="instead of a token: a sub-account's name"),
    CredentialField("password", ("UPCLOUD_PASSWORD",), help="instead of a token: the sub-account's password"),
)
NEEDED = (("token",), ("username", "password"))


def login(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """{"token"}, or {"username", "password"}. Raises AuthError (`no_credentials`) with the places looked at."""
    found = credentials("upcloud", FIELDS, environ, needed=NEEDED)
    names = next(names for names in NEEDED if all(name in found for name in names))
    return {name: found[name].reveal() for name in names}
