"""The same against a real account, which costs a few cents: only where it is asked for.

    PROVISIONING_TEST_HETZNER=1 HCLOUD_TOKEN=… pytest core/tests/providers/hetzner/test_real_account.py

Everything that it makes is deleted at the end, also where it fails; look into Hetzner's console all the same.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.provider import KINDS, Kind, Wish
from provisioning_core.providers.hetzner import HetznerProvider
from provisioning_core.providers.sshclient import run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.environ.get("PROVISIONING_TEST_HETZNER") != "1",
        reason="a real account: set PROVISIONING_TEST_HETZNER=1 and credentials",
    ),
]


def test_a_network_a_storage_and_a_server_live_and_end(tmp_path: Path) -> None:
    provider = HetznerProvider(tmp_path)
    infra = f"test-{uuid.uuid4().hex[:8]}"

    def wish(kind: Kind, name: str, labels: dict[str, str] | None = None, **spec: Any) -> Wish:
        key = f"provisioning-test/{infra}/{kind}/{name}"
        return Wish(kind, key, str(uuid.uuid4()), infra, name, spec, labels or {})

    web: dict[str, Any] = {
        "plan": "1cpu-1gb",
        "network": "net",
        "firewall": [{"protocol": "tcp", "ports": [80, 80]}],
        "storages": [{"name": "data", "size_gb": 10}],
    }
    try:
        assert provider.create(wish("network", "net", cidr="10.199.0.0/24")).created
        assert provider.create(wish("storage", "spare", size_gb=10)).resource.state == "started"
        made = provider.create(wish("server", "web-1", **web))
        assert made.created
        assert provider.create(wish("server", "web-1", **web)).created is False
        assert run(made.resource.attributes["ssh"], ["true"]) == 0
        seen, wanted = made.resource.attributes["spec"], provider.normalize("server", web)
        assert {name: wanted[name] for name in seen} == seen
        changed = web | {"plan": "cx33"}
        larger = provider.update(made.resource.id, wish("server", "web-1", {"role": "web"}, **changed))
        assert (larger.attributes["plan"], larger.attributes["labels"]) == ("cx33", {"role": "web"})
        assert run(larger.attributes["ssh"], ["true"]) == 0
    finally:
        for kind in reversed(KINDS):
            for resource in provider.list(kind, infra=infra):
                provider.delete(kind, resource.id)
    assert [each for kind in KINDS for each in provider.list(kind, infra=infra)] == []
