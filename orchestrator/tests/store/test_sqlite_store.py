"""The store on SQLite keeps the ports' promises."""

from __future__ import annotations

from pathlib import Path

from provisioning_orchestrator.store import SqliteStore
from provisioning_orchestrator.testing.store_suite import StoreSuite
from provisioning_orchestrator.testing.store_world import OpenStore


class SqliteWorld:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.failures: list[Exception] = []

    async def open(self) -> OpenStore:
        return await SqliteStore.open(self.directory, self.failures.append)


class TestSqliteStore(StoreSuite):
    def world(self, tmp_path: Path) -> SqliteWorld:
        return SqliteWorld(tmp_path)
