"""The store in memory keeps the ports' promises, and dies as the seed says."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from provisioning_orchestrator.ports import NotFound, StoreFailed
from provisioning_orchestrator.testing.memory_disk import MemoryDisk
from provisioning_orchestrator.testing.memory_store import MemoryStore
from provisioning_orchestrator.testing.store_suite import StoreSuite
from provisioning_orchestrator.testing.store_world import OpenStore, started, submit


class MemoryWorld:
    def __init__(self) -> None:
        self.disk = MemoryDisk()

    async def open(self) -> OpenStore:
        return MemoryStore(self.disk, delay_s=lambda: 0.0)


class TestMemoryStore(StoreSuite):
    def world(self, tmp_path: Path) -> MemoryWorld:
        return MemoryWorld()


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def _crashed_with(seed: int | None, calls: Callable[[MemoryStore], list[Awaitable[object]]]) -> MemoryStore:
    """A store that crashed while these calls were pending, opened again."""

    async def main() -> MemoryStore:
        chance = None if seed is None else random.Random(seed)
        store = MemoryStore(delay_s=lambda: 3600.0, chance=chance)
        pending = [asyncio.ensure_future(call) for call in calls(store)]
        await _settle()
        assert not any(call.done() for call in pending)
        store.crash()
        answers = await asyncio.gather(*pending, return_exceptions=True)
        assert all(isinstance(answer, StoreFailed) for answer in answers)
        with pytest.raises(StoreFailed, match="crashed"):
            await submit(store, "wf_after")
        with pytest.raises(StoreFailed, match="crashed"):
            store.records.workflow("wf_0")
        return store.reopen()

    return asyncio.run(main())


def _survivors(store: MemoryStore) -> list[str]:
    return [view.row.id for view in reversed(store.records.workflows(status=None, cursor=None, limit=100).items)]


def _ten(store: MemoryStore) -> list[Awaitable[object]]:
    return [submit(store, f"wf_{n}") for n in range(10)]


def test_a_write_is_neither_seen_nor_answered_before_its_delay() -> None:
    async def main() -> None:
        store = MemoryStore(delay_s=lambda: 3600.0)
        call = asyncio.ensure_future(submit(store, "wf_a"))
        await _settle()
        assert not call.done()
        with pytest.raises(NotFound):
            store.records.workflow("wf_a")
        store.crash()
        with pytest.raises(StoreFailed):
            await call

    asyncio.run(main())


def test_a_crash_without_chance_loses_all_that_is_pending() -> None:
    assert _survivors(_crashed_with(None, _ten)) == []


def test_a_crash_keeps_some_first_writes_by_the_seed_alone() -> None:
    kept = {seed: _survivors(_crashed_with(seed, _ten)) for seed in range(30)}
    assert all(ids == [f"wf_{n}" for n in range(len(ids))] for ids in kept.values())
    assert len({len(ids) for ids in kept.values()}) > 5
    assert kept == {seed: _survivors(_crashed_with(seed, _ten)) for seed in range(30)}


def test_what_was_answered_survives_a_crash() -> None:
    async def main() -> None:
        store = MemoryStore(chance=random.Random(1))
        await submit(store, "wf_a")
        await store.append("wf_a", 1, started(1, 2))
        before = await store.load("wf_a")
        store.crash()
        store = store.reopen()
        assert not store.was_clean
        assert await store.load("wf_a") == before

    asyncio.run(main())


def test_a_crash_in_a_large_submission_shows_nothing_of_it() -> None:
    assert _survivors(_crashed_with(3, lambda store: [submit(store, "wf_large", 10_000)])) == []
