"""The token of a Hetzner project: from the environment."""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import ProviderError

FIELDS = {"token": "HCLOUD_TOKEN"}


def token(environ: Mapping[str, str]) -> str:
    """Raises ProviderError (`no_credentials`)."""
    found = environ.get(FIELDS["token"], "").strip()
    if not found:
        raise ProviderError(
            "no token for Hetzner's cloud",
            code="no_credentials",
            hint="set HCLOUD_TOKEN to a read-write API token of the project (console: Security, API tokens)",
            retryable=False,
        )
    return found
