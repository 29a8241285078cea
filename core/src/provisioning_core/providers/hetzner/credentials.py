"""The token of a Hetzner project: from the environment, or kept by `provisioning provider login hetzner`."""

from __future__ import annotations

from collections.abc import Mapping

from ...secrets import CredentialField, credentials

FIELDS = (
    CredentialField(
        "token", ("HCLOUD_TOKEN",), help="a read-write API token of the project (console: Security, API tokens)"
    ),
)
NEEDED = (("token",),)


def token(environ: Mapping[str, str]) -> str:
    """Raises AuthError (`no_credentials`) with the places looked at."""
    return credentials("hetzner", FIELDS, environ, needed=NEEDED)["token"].reveal().strip()
