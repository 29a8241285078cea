"""The conformance suite over the provider `upcloud`, at its double."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from provisioning_core.doubles.upcloud import UpCloudDouble
from provisioning_core.provider import Kind, Provider, Resource
from provisioning_core.testing.provider_suite import ProviderSuite

from ..machines import eventually
from .conftest import QUICK, call


class TestUpCloud(ProviderSuite):
    factory = "provisioning_core.providers.upcloud:UpCloudProvider"
    settings = QUICK
    server_spec: ClassVar[dict[str, Any]] = {
        "plan": "1cpu-1gb",
        "firewall": [{"protocol": "tcp", "ports": [80, 80]}],
        "storages": [{"name": "data", "size_gb": 10}],
    }
    network_spec: ClassVar[dict[str, Any]] = {"cidr": "10.77.0.0/24"}
    storage_spec: ClassVar[dict[str, Any]] = {"size_gb": 10}
    # Disks grow only, and no storage is taken away: tested apart.
    updates: ClassVar[dict[str, Any]] = {"server": {"disk_gb": None, "storages": None}, "storage": {"size_gb": None}}

    @pytest.fixture(autouse=True)
    def at_the_double(self, double: UpCloudDouble) -> None:
        self.double = double

    def clean(self, workspace: Path) -> None:
        """Nothing is left: no server, no disk, no claim."""
        assert self.double.ledger.existing() == []
        claims = workspace / ".provisioning" / "claims"
        assert not claims.exists() or list(claims.iterdir()) == []

    def told(self, provider: Provider, resource: Resource, name: str) -> Any:
        if name not in ("ssh_keys", "user_data"):
            return super().told(provider, resource, name)
        (entry,) = self.double.ledger.existing("server")
        return entry.data[f"_{name}"]

    def make_unmanaged(self, provider: Provider, kind: Kind) -> str:
        disk = {"action": "create", "title": "theirs", "size": 10}
        bodies: dict[Kind, Any] = {
            "server": {"hostname": "theirs", "title": "theirs", "zone": "fi-hel1", "plan": "1xCPU-1GB"}
            | {"storage_devices": {"storage_device": [disk]}},
            "network": {
                "name": "theirs",
                "zone": "fi-hel1",
                "ip_networks": {"ip_network": [{"address": "10.1.0.0/24"}]},
            },
            "storage": {"title": "theirs", "zone": "fi-hel1", "size": "10"},
        }
        id = str(call(self.double, "POST", f"/{kind}", {kind: bodies[kind]})[kind]["uuid"])
        if kind == "server":
            eventually(lambda: call(self.double, "GET", f"/server/{id}")["server"]["state"] == "started")
        return id
