"""The token of a Hetzner project: from the environment, or kept by `provisioning provider login hetzner`."""

from __future__ import annotations

from collections.abc import Mapping

from ...secrets import CredentialField, credentials
from ...secrets.credentials import credentials_place

FIELDS = (
    CredentialField(
        "token", ("HCLOUD_TOKEN",), help="a read-write API token of the project (console: Security, API tokens)"
    ),
)
NEEDED = (("token",),)


def token(environ: Mapping[str, str]) -> str:
    """Raises AuthError (`no_credentials`) with the places looked at."""
    return credentials("hetzner", FIELDS, environ, needed=NEEDED)["token"].reveal().strip()


def refused_hint(environ: Mapping[str, str]) -> str:
    """What to do where Hetzner does not take it: where it came from, and how to give another."""
    place = credentials_place("hetzner", FIELDS, environ, needed=NEEDED)
    return f"the token is from {place}; it must be read-write and of this project: provisioning provider login hetzner"
