"""Time that jumps: in order, without waiting, and never for ever."""

from __future__ import annotations

import asyncio
import time

import pytest

from provisioning_orchestrator.testing.virtual_time import START_S, Stuck, VirtualClock, run_virtually


def test_a_year_passes_at_once_and_in_order() -> None:
    order: list[str] = []

    async def sleeper(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        order.append(f"{name} {asyncio.get_running_loop().time() - START_S:.3f}")

    async def body() -> None:
        async with asyncio.timeout(32_000_000):
            await asyncio.gather(sleeper("c", 31_536_000), sleeper("a", 0.5), sleeper("b", 86_400))

    before = time.perf_counter()
    run_virtually(body())
    assert order == ["a 0.500", "b 86400.000", "c 31536000.000"]
    assert time.perf_counter() - before < 5


def test_a_timeout_is_virtual_too() -> None:
    async def body() -> None:
        async with asyncio.timeout(1_000):
            await asyncio.sleep(1_001)

    with pytest.raises(TimeoutError):
        run_virtually(body())


def test_who_waits_for_nothing_is_found_out() -> None:
    async def body() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Stuck, match="no timer"):
        run_virtually(body())


def test_who_turns_in_circles_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provisioning_orchestrator.testing.virtual_time.TURNS_MAX", 1_000)

    async def body() -> None:
        while True:  # noqa: ASYNC110
            await asyncio.sleep(0)

    with pytest.raises(Stuck, match="no time has passed"):
        run_virtually(body())


def test_the_wall_clock_may_be_wrong_and_running_time_is_not() -> None:
    async def body() -> None:
        clock = VirtualClock()
        fired = asyncio.Event()
        before = clock.now()
        clock.call_later(10.0, fired.set)
        cancelled = clock.call_later(5.0, lambda: pytest.fail("it was cancelled"))
        cancelled()
        clock.offset_us = -31_536_000_000_000
        await fired.wait()
        assert clock.now() - before == -31_536_000_000_000 + 10_000_000

    run_virtually(body())
