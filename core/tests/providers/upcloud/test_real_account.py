"""The same against a real account, which costs a few cents: only where it is asked for.

    PROVISIONING_TEST_UPCLOUD=1 UPCLOUD_TOKEN=… pytest core/tests/providers/upcloud/test_real_account.py

Everything that it makes is deleted at the end, also where it fails; look into the control panel all the same.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.provider import KINDS, Kind, Wish
from provisioning_core.providers.sshclient import run
from provisioning_core.providers.upcloud import UpCloudProvider

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.environ.get("PROVISIONING_TEST_UPCLOUD") != "1",
        reason="a real UpCloud account: set PROVISIONING_TEST_UPCLOUD=1 and credentials",
    ),
]


def test_a_network_and_a_server_live_and_end_at_upcloud(workspace: Path) -> None:
    provider = UpCloudProvider(workspace)
    infra = f"test-{uuid.uuid4().hex[:8]}"

    def wish(kind: Kind, name: str, labels: dict[str, str] | None = None, **spec: Any) -> Wish:
        key = f"provisioning-test/{infra}/{kind}/{name}"
        return Wish(kind, key, str(uuid.uuid4()), infra, name, spec, labels or {})

    web: dict[str, Any] = {"plan": "1cpu-1gb", "network": "net", "firewall": [{"protocol": "tcp", "ports": [80, 80]}]}
    try:
        assert provider.create(wish("network", "net", cidr="10.199.0.0/24")).created
        made = provider.create(wish("server", "web-1", **web))
        assert made.created
        assert provider.create(wish("server", "web-1", **web)).created is False
        assert run(made.resource.attributes["ssh"], ["true"]) == 0
        assert provider.update(made.resource.id, wish("server", "web-1", {"role": "web"}, **web)).attributes["labels"]
        larger = provider.update(made.resource.id, wish("server", "web-1", **(web | {"plan": "1cpu-2gb"})))
        assert larger.attributes["plan"] == "1xCPU-2GB"
        assert run(larger.attributes["ssh"], ["true"]) == 0
    finally:
        for kind in reversed(KINDS):
            for resource in provider.list(kind, infra=infra):
                provider.delete(kind, resource.id)
    assert provider.list("server", infra=infra) == []
