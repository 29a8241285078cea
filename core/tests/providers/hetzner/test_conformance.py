"""The conformance suite over the provider `hetzner`, at its double."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.doubles.hetzner import HetznerDouble
from provisioning_core.provider import Kind, Provider, Resource
from provisioning_core.testing.provider_suite import ProviderSuite


class TestHetzner(ProviderSuite):
    factory = f"{Path(__file__).parent / 'doubled_hetzner.py'}:provider"
    server_spec = {  # noqa: RUF012
        "plan": "1cpu-1gb",
        "firewall": [{"protocol": "tcp", "ports": [80, 80]}],
        "storages": [{"name": "data", "size_gb": 10}],
    }
    network_spec = {"cidr": "10.77.0.0/24"}  # noqa: RUF012
    storage_spec = {"size_gb": 10}  # noqa: RUF012
    updates = {"server": {"plan": "cx33", "storages": None}, "storage": {"size_gb": None}}  # noqa: RUF012  # it grows only: tested apart

    @pytest.fixture(autouse=True)
    def at_the_double(self, double: HetznerDouble) -> None:
        self.double = double

    def told(self, provider: Provider, resource: Resource, name: str) -> Any:
        if name not in ("ssh_keys", "user_data"):
            return super().told(provider, resource, name)
        (entry,) = self.double.ledger.existing("server")
        return entry.data["_keys" if name == "ssh_keys" else "_user_data"]

    def make_unmanaged(self, provider: Provider, kind: Kind) -> str:
        import hcloud

        client = hcloud.Client("a-token-of-the-tests", api_endpoint=self.double.url)
        bodies: dict[Kind, Any] = {
            "server": {"name": "theirs", "server_type": "cx23", "image": "debian-12"},
            "network": {"name": "theirs", "ip_range": "10.1.0.0/16"},
            "storage": {"name": "theirs", "size": 10, "location": "fsn1"},
        }
        path, word = {"server": ("servers", "server"), "network": ("networks", "network")}.get(
            kind, ("volumes", "volume")
        )
        id = client.request("POST", f"/{path}", json=bodies[kind])[word]["id"]
        deadline = time.monotonic() + 10
        while kind == "server" and client.request("GET", f"/{path}/{id}")[word]["status"] != "running":
            assert time.monotonic() < deadline, "it does not start"
        return str(id)

    def clean(self, workspace: Path) -> None:
        left = [entry for entry in self.double.ledger.existing() if entry.kind != "ssh_key"]
        assert left == [], "a part of a server was left behind"
