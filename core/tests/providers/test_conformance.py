"""The conformance suite over the provider `local`, at each of its levels, and over the ledger of the tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from provisioning_core.errors import ProviderError
from provisioning_core.provider import Provider, Resource
from provisioning_core.providers.local import destroy
from provisioning_core.testing.provider_suite import ProviderSuite


class _Local(ProviderSuite):
    factory = "provisioning_core.providers.local:LocalProvider"
    server_spec: ClassVar[Mapping[str, Any]] = {"plan": "1cpu-1gb", "disk_gb": 10}
    updates: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "server": {"plan": "2cpu-4gb", "ssh_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFuL me"]}
    }
    level = ""

    @pytest.fixture(autouse=True)
    def isolation(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PROVISIONING_LOCAL_ISOLATION", self.level)

    def told(self, provider: Provider, resource: Resource, name: str) -> Any:
        """What can be looked at from inside is."""
        return None if name in ("ssh_keys", "user_data") else super().told(provider, resource, name)

    def clean(self, workspace: Path) -> None:
        destroy(workspace)
        assert list(workspace.iterdir()) == []


@pytest.mark.usefixtures("namespaces")
class TestNamespaces(_Local):
    level = "namespace"


class TestProcesses(_Local):
    level = "process"
    kills = 5

    def test_user_data_is_run(self, provider: Provider) -> None:
        """It would run on the host itself."""
        spec = {**self.server_spec, "user_data": "#!/bin/sh\ntrue\n"}
        with pytest.raises(ProviderError) as refusal:
            provider.create(self.wish("server", spec=spec))
        assert refusal.value.code == "isolation_unavailable"


@pytest.mark.usefixtures("images")
class TestImages(_Local):
    level = "image"
    kills = 5


class TestLedger(ProviderSuite):
    factory = "provisioning_core.testing.ledger_provider:LedgerProvider"
