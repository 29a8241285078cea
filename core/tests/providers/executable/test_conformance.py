"""The conformance suite over providers that are executables: in plain Python, in Nushell, and an able one."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioning_core.provider import Kind, Provider
from provisioning_core.providers import executable
from provisioning_core.testing.ledger_provider import LedgerProvider
from provisioning_core.testing.provider_suite import ProviderSuite

FEW_NAMES = ("", "../../escape", "a\nb", "a\0b", "--help", "$(touch pwned)", 'a "b"', "x" * 300, "🦀", "\ud800")
PRACTICE = Path(executable.__file__).parent / "practice"


class TestPython(ProviderSuite):
    factory = f"executable:{PRACTICE / 'practice.py'}"
    kills = 8
    hostile_names = FEW_NAMES


@pytest.mark.nu
class TestNushell(ProviderSuite):
    factory = f"executable:{PRACTICE / 'practice.nu'}"
    kills = 8
    hostile_names = FEW_NAMES


@pytest.mark.slow
class TestEverything(ProviderSuite):
    """Through the protocol an able provider can as much as without it."""

    factory = f"executable:{Path(__file__).with_name('ledger_cloud.py')}"
    hostile_names = FEW_NAMES
    kills = 4
    _workspace: Path

    @pytest.fixture(autouse=True)
    def remember(self, workspace: Path) -> None:
        self._workspace = workspace

    def make_unmanaged(self, provider: Provider, kind: Kind) -> str:
        return LedgerProvider(self._workspace).make_unmanaged(kind, "stranger")
