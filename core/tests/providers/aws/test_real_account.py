"""One of everything at a real account, which costs a few cents: only where it is asked for.

    PROVISIONING_TEST_AWS=1 AWS_PROFILE=… pytest core/tests/providers/aws/test_real_account.py

Everything that it makes is deleted at the end, also where it fails, the key pair too.
Look into EC2's console all the same.
The same runs against the double, so that it is known to do so.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provisioning_core.doubles.aws import AwsDouble
from provisioning_core.providers import access
from provisioning_core.providers.aws import AwsProvider

from ..account import live_and_end
from ..machines import needs_ssh

pytestmark = pytest.mark.slow


def at_account(provider: AwsProvider) -> None:
    def forget_key() -> None:
        name = provider._servers._key_pair(access.workspace_key(provider.workspace), "looking for the key pair")
        provider._account.ec2.delete_key_pair(KeyName=name)

    live_and_end(provider, "t3.small", forget_key)


@pytest.mark.skipif(
    os.environ.get("PROVISIONING_TEST_AWS") != "1",
    reason="a real AWS account: set PROVISIONING_TEST_AWS=1 and credentials",
)
def test_a_network_a_storage_and_a_server_live_and_end_at_a_real_account(tmp_path: Path) -> None:
    at_account(AwsProvider(tmp_path))


@needs_ssh
def test_they_leave_nothing_in_the_ledger_of_a_double(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "for-practice-only")
    with AwsDouble(tmp_path / "double", backed="local", pace_s=0.05) as double:
        at_account(AwsProvider(tmp_path, {"url": double.url, "poll_s": 0.05, "settle_s": 2}))
        assert [(each.kind, each.id) for each in double.ledger.existing()] == []
