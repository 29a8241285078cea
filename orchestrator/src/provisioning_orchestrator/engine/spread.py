"""Long pure work in slices, so that one huge workflow never stalls the others."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")


async def spread(work: Generator[None, None, T]) -> T:
    """Run a generator to its end, giving way to others between its slices; returns what it returns."""
    while True:
        try:
            next(work)
        except StopIteration as done:
            value: T = done.value
            return value
        await asyncio.sleep(0)
