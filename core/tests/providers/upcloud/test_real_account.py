"""One of everything at a real account, which costs a few cents: only where it is asked for.

    PROVISIONING_TEST_UPCLOUD=1 UPCLOUD_TOKEN=… pytest core/tests/providers/upcloud/test_real_account.py

Everything that it makes is deleted at the end, also where it fails.
Look into the control panel all the same.
The same runs against the double, so that it is known to do so.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provisioning_core.doubles.upcloud import UpCloudDouble
from provisioning_core.providers.upcloud import UpCloudProvider

from ..account import live_and_end
from ..machines import needs_ssh

pytestmark = pytest.mark.slow


@pytest.mark.skipif(
    os.environ.get("PROVISIONING_TEST_UPCLOUD") != "1",
    reason="a real UpCloud account: set PROVISIONING_TEST_UPCLOUD=1 and credentials",
)
def test_a_network_a_storage_and_a_server_live_and_end_at_a_real_account(workspace: Path) -> None:
    live_and_end(UpCloudProvider(workspace), "1xCPU-2GB")


@needs_ssh
def test_they_leave_nothing_in_the_ledger_of_a_double(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPCLOUD_TOKEN", "for-practice-only")
    with UpCloudDouble(workspace / "double", backed="local", pace_s=0.05) as double:
        live_and_end(UpCloudProvider(workspace, {"url": double.url, "poll_s": 0.05}), "1xCPU-2GB")
        assert [(each.kind, each.id) for each in double.ledger.existing()] == []
