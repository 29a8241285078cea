"""The credentials of an UpCloud account: an API token, or the name and password of a sub-account."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ...secrets import CredentialField, credentials
from ...secrets.credentials import credentials_place

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


def refused_hint(environ: Mapping[str, str] = os.environ) -> str:
    """What to do where UpCloud does not take them: where they came from, and how to give others."""
    place = credentials_place("upcloud", FIELDS, environ, needed=NEEDED)
    others = "provisioning provider login upcloud replaces them"
    return f"the credentials are from {place}, and have to be allowed to use the API (UPCLOUD_TOKEN, …): {others}"
