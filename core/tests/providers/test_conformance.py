"""The conformance suite over the provider `local`, at both of its levels, and over the ledger of the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioning_core.providers.local import destroy
from provisioning_core.testing.provider_suite import ProviderSuite


class _Local(ProviderSuite):
    factory = "provisioning_core.providers.local:LocalProvider"
    level = ""

    @pytest.fixture(autouse=True)
    def isolation(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PROVISIONING_LOCAL_ISOLATION", self.level)

    def clean(self, workspace: Path) -> None:
        destroy(workspace)
        assert list(workspace.iterdir()) == []


@pytest.mark.usefixtures("namespaces")
class TestNamespaces(_Local):
    level = "namespace"


class TestProcesses(_Local):
    level = "process"
    kills = 5


class TestLedger(ProviderSuite):
    factory = "provisioning_core.testing.ledger_provider:LedgerProvider"
