"""The order in which tests are dealt to pytest-xdist's workers: the longest first, and none lost."""

from __future__ import annotations

import importlib.util
import itertools
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from xdist.scheduler import WorkStealingScheduling  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Item:
    nodeid: str
    seconds: float


@pytest.fixture(scope="module")
def order() -> ModuleType:
    spec = importlib.util.spec_from_file_location("order_of_tests", ROOT / "conftest.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def parts(items: list[Any], workers: int) -> list[list[Any]]:
    """What xdist's own scheduler sends to each worker at first."""

    class Node:
        shutting_down = False
        gateway = SimpleNamespace(id="gw")

        def __init__(self) -> None:
            self.indices: list[int] = []

        def send_runtest_some(self, indices: list[int]) -> None:
            self.indices += indices

    class Config:
        def getvalue(self, name: str) -> list[str]:
            return ["popen"] * workers

    scheduling = WorkStealingScheduling(Config())
    nodes: list[Any] = [Node() for _ in range(workers)]
    for node in nodes:
        scheduling.add_node(node)
        scheduling.add_node_collection(node, [item.nodeid for item in items])
    scheduling.schedule()
    return [[items[index] for index in node.indices] for node in nodes]


@pytest.mark.parametrize("workers", [2, 3, 4, 6])
@pytest.mark.parametrize("count", [100, 101, 103, 1000])
def test_every_worker_begins_with_its_share_of_what_takes_long(order: ModuleType, workers: int, count: int) -> None:
    seconds = {7: 90.0, 50: 40.0, 51: 40.0, 93: 30.0} | dict.fromkeys(range(20, 40), 3.0)
    items = [Item(f"test_{number // 10}.py::test_{number}", seconds.get(number, 0.0)) for number in range(count)]
    dealt = order.dealt(items, workers, lambda item: item.seconds)
    assert sorted(dealt, key=items.index) == items
    loads = []
    for part in parts(dealt, workers):
        slow = [item for item in part if item.seconds]
        assert part[: len(slow)] == slow, "nothing quick before what takes long"
        loads.append(sum(item.seconds for item in slow))
    assert max(loads) <= max(90.0, sum(loads) / workers + order.TOGETHER_S + 40.0)
    assert min(loads) > 0


def test_neighbours_in_one_file_stay_together(order: ModuleType) -> None:
    """What is made once for a file is not made again for each of its tests."""
    items = [Item(f"test_{number // 5}.py::test_{number}", 3.0) for number in range(40)]
    dealt = order.dealt(items, 4, lambda item: item.seconds)
    files = [item.nodeid.partition("::")[0] for item in dealt]
    assert sum(one != other for one, other in itertools.pairwise(files)) == 7
