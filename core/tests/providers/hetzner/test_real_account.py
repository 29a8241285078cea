"""One of everything at a real account, which costs a few cents: only where it is asked for.

    PROVISIONING_TEST_HETZNER=1 HCLOUD_TOKEN=… pytest core/tests/providers/hetzner/test_real_account.py

Everything that it makes is deleted at the end, also where it fails, the project's SSH key too.
Look into Hetzner's console all the same.
The same runs against the double, so that it is known to do so.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provisioning_core.doubles.hetzner import HetznerDouble
from provisioning_core.providers import access
from provisioning_core.providers.hetzner import HetznerProvider, keys

from ..account import live_and_end
from ..machines import needs_ssh

pytestmark = pytest.mark.slow


def at_account(provider: HetznerProvider) -> None:
    def forget_key() -> None:
        for key in keys.ensure(provider._account, [access.workspace_key(provider.workspace)]):
            key.delete()

    live_and_end(provider, "cx33", forget_key)


@pytest.mark.skipif(
    os.environ.get("PROVISIONING_TEST_HETZNER") != "1",
    reason="a real Hetzner account: set PROVISIONING_TEST_HETZNER=1 and credentials",
)
def test_a_network_a_storage_and_a_server_live_and_end_at_a_real_account(tmp_path: Path) -> None:
    at_account(HetznerProvider(tmp_path))


@needs_ssh
def test_they_leave_nothing_in_the_ledger_of_a_double(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HCLOUD_TOKEN", "for-practice-only")
    with HetznerDouble(tmp_path / "double", backed="local", pace_s=0.05) as double:
        at_account(HetznerProvider(tmp_path, {"url": double.url, "poll_s": 0.05}))
        assert [(each.kind, each.id) for each in double.ledger.existing()] == []
