"""Clouds at their doubles: what the tests of one of them, and of all alike, stand on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provisioning_core.doubles.aws import AwsDouble
from provisioning_core.doubles.hetzner import HetznerDouble
from provisioning_core.doubles.upcloud import UpCloudDouble
from provisioning_core.errors import ProviderError
from provisioning_core.provider import Resource, Wish

DOUBLES: dict[str, Any] = {"upcloud": UpCloudDouble, "aws": AwsDouble, "hetzner": HetznerDouble}
LARGER = {"upcloud": "2xCPU-4GB", "aws": "t3.small", "hetzner": "cx33"}
"""A plan that is larger than 1cpu-1gb."""
ATTEMPTS_MAX = 6
_LOGINS = {
    "UPCLOUD_TOKEN": "ucat_practice_only",
    "HCLOUD_TOKEN": "a-token-of-the-tests",
    "AWS_ACCESS_KEY_ID": "a-key-of-the-tests",
    "AWS_SECRET_ACCESS_KEY": "a-secret-of-the-tests",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def log_in(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    """Credentials that a double takes, for this process and its children; nothing of whoever runs the tests."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in _LOGINS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(directory / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(directory / "no-credentials"))


def made_in_the_end(provider: Any, wanted: Wish) -> Resource:
    """As the engine does it: the same wish again, as long as the refusal says that this may help."""
    for _ in range(ATTEMPTS_MAX):
        try:
            made: Resource = provider.create(wanted).resource
            return made
        except ProviderError as error:
            if not error.retryable:
                raise
    raise AssertionError("it was never made")
