"""A failing disk or database: nothing half-written, nothing acknowledged that is not there, and it is said."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from provisioning_orchestrator.ports import StoreFailed, StoreFull
from provisioning_orchestrator.store import SqliteStore
from provisioning_orchestrator.testing.store_world import ended, started, submit

from .consistency import assert_whole


class Faulty(sqlite3.Connection):
    """The writer's statement number `fail_at` fails; after: although it was executed."""

    armed: ClassVar[bool] = False
    statements: ClassVar[int] = 0
    fail_at: ClassVar[int] = 0
    after: ClassVar[bool] = False
    only: ClassVar[str] = ""

    @classmethod
    def arm(cls, fail_at: int, *, after: bool = False, only: str = "") -> None:
        cls.statements, cls.fail_at, cls.after, cls.only, cls.armed = 0, fail_at, after, only, True

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if not self.armed or not sql.startswith(self.only) or sql.startswith(("SELECT place", "PRAGMA query")):
            return super().execute(sql, *values)
        Faulty.statements += 1
        if self.statements != self.fail_at:
            return super().execute(sql, *values)
        if self.after:
            super().execute(sql, *values)
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
        raise error


async def _script(store: SqliteStore) -> dict[str, int]:
    """Write all kinds of things; what was acknowledged: workflow → sequence."""
    told: dict[str, int] = {}

    async def note(workflow: str, sequence: int, call: Awaitable[object]) -> None:
        try:
            await call
        except StoreFailed:
            return
        told[workflow] = max(sequence, told.get(workflow, 0))

    await note("wf_b", 1, submit(store, "wf_b", 2))
    large = asyncio.ensure_future(note("wf_large", 1, submit(store, "wf_large", 3_000)))
    await asyncio.gather(
        note("wf_a", 2, store.append("wf_a", 1, started(1, 2))),
        note("wf_b", 2, store.append("wf_b", 1, started(1, 2))),
    )
    await note("wf_a", 3, store.append("wf_a", 2, ended(1, 3)))
    await note("wf_b", 2, store.quarantine("wf_b", "to see"))
    await large
    return told


async def _fail_at(directory: Path, fail_at: int, after: bool) -> bool:
    """Whether there was a statement of that number to fail."""
    failures: list[Exception] = []
    said = asyncio.Event()

    def on_failure(failure: Exception) -> None:
        failures.append(failure)
        said.set()

    store = await SqliteStore.open(directory, on_failure, factory=Faulty)
    await submit(store, "wf_a", 3)
    Faulty.arm(fail_at, after=after)
    told = await _script(store)
    Faulty.armed = False
    with contextlib.suppress(StoreFailed):
        await store.reign()  # behind all that the writer does by itself, such as a checkpoint
    reached = store.failed is not None
    if reached:
        await asyncio.wait_for(said.wait(), 10)
        assert isinstance(store.failed, StoreFailed)
        assert "disk I/O error" in str(store.failed)
        with pytest.raises(StoreFailed, match="disk I/O error"):
            await submit(store, "wf_late")
        with pytest.raises(StoreFailed):
            store.task_input("wf_a", 1)
        assert failures == [store.failed]
    await store.close()
    store = await SqliteStore.open(directory, failures.append)
    assert store.was_clean is not reached
    await store.check()
    found = await assert_whole(store)
    for workflow, sequence in {"wf_a": 1, **told}.items():
        assert found[workflow] >= sequence
    if not after:
        assert found == {"wf_a": 1, **told}, "what failed before it was executed left something"
    await store.close()
    return reached


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True])
def test_whatever_statement_fails_nothing_is_half_written_and_the_store_says_failed(
    tmp_path: Path, after: bool
) -> None:
    fail_at = 1
    while asyncio.run(_fail_at(tmp_path / str(fail_at), fail_at, after)):
        fail_at += 1
    assert fail_at > 20


def test_a_failed_sync_is_never_tried_again(tmp_path: Path) -> None:
    async def main() -> None:
        store = await SqliteStore.open(tmp_path, lambda error: None, factory=Faulty)
        await submit(store, "wf_a", 3)
        Faulty.arm(1, only="COMMIT")
        answers = await asyncio.gather(
            *(store.append("wf_a", 1, started(1, 2)) for _ in range(5)), return_exceptions=True
        )
        assert all(isinstance(answer, StoreFailed) for answer in answers)
        for _ in range(3):
            with pytest.raises(StoreFailed):
                await store.append("wf_a", 1, started(1, 2))
        await store.close()
        assert Faulty.statements == 1, "a second COMMIT was tried"
        Faulty.armed = False

    asyncio.run(main())


class Cramped(sqlite3.Connection):
    """The database may not grow while `cramped`: a real SQLITE_FULL."""

    cramped: ClassVar[bool] = False

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if sql == "BEGIN IMMEDIATE":
            pages = super().execute("PRAGMA page_count").fetchone()[0]
            super().execute(f"PRAGMA max_page_count = {pages if self.cramped else 1 << 30}")
        return super().execute(sql, *values)


def test_a_full_disk_refuses_writes_whole_and_the_store_goes_on(tmp_path: Path) -> None:
    async def main() -> None:
        failures: list[Exception] = []
        store = await SqliteStore.open(tmp_path, failures.append, factory=Cramped)
        await submit(store, "wf_a", 3)
        Cramped.cramped = True
        for count in (1_500, 10_000):
            with pytest.raises(StoreFull, match="disk is full"):
                await submit(store, f"wf_{count}", count)
        assert store.failed is None
        Cramped.cramped = False
        await store.append("wf_a", 1, started(1, 2))
        await submit(store, "wf_1500", 1_500)
        assert failures == []
        assert await assert_whole(store) == {"wf_a": 2, "wf_1500": 1}
        await store.close()

    asyncio.run(main())


@pytest.mark.parametrize("name", ["orchestrator.db", "orchestrator.db-wal"])
@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_removed_or_replaced_while_in_use_fails_the_next_commit(
    tmp_path: Path, name: str, replaced: bool
) -> None:
    async def main() -> None:
        failures: list[Exception] = []
        store = await SqliteStore.open(tmp_path, failures.append)
        await submit(store, "wf_a", 3)
        (tmp_path / name).rename(tmp_path / "elsewhere")
        if replaced:
            (tmp_path / name).write_bytes(b"")
        with pytest.raises(StoreFailed, match=f"{name}' was removed or replaced"):
            await store.append("wf_a", 1, started(1, 2))
        assert failures == [store.failed]
        await store.close()

    asyncio.run(main())
