"""Standing between the engine and its store, and the plays that these tests share."""

from __future__ import annotations

from typing import Any

from provisioning_orchestrator.testing.fake_dispatch import Play
from provisioning_orchestrator.testing.memory_store import MemoryStore

HOUR = Play(duration_s=3_600.0)
LONG = {"timeout_s": 10_000.0}


class Between:
    """Stands between the engine and its store; subclasses change one call."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)
