"""What holds for every test of this repository: long ones are asked for, and nothing is left out in silence."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

COSTS = Path(__file__).parent / ".ci" / "costs.json"
"""Seconds of each test that takes long, by its id, as written by --note-costs. Others are dealt as quick ones."""
COST_NOTED_S = 2.0
TOGETHER_S = 20.0
took: dict[str, float] = {}


def pytest_configure() -> None:
    # What a shell starts in the background ignores SIGINT and passes that on; tests of Ctrl-C need it as usual.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run the long versions of tests (minutes each)")
    parser.addoption("--note-costs", action="store_true", help="write down how long each test took, for the next runs")


@pytest.hookimpl(trylast=True)  # after those that leave out tests, or order them by their fixtures
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    long = pytest.mark.skip(reason="long: runs with --long")
    no_nu = pytest.mark.skip(reason="no nu on PATH; bin/test brings it where npm is installed")
    for item in items:
        if "long" in item.keywords and not config.getoption("--long"):
            item.add_marker(long)
        if "nu" in item.keywords and shutil.which("nu") is None:
            item.add_marker(no_nu)
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        costs: dict[str, float] = json.loads(COSTS.read_text()) if COSTS.exists() else {}
        items[:] = dealt(items, workers, lambda item: costs.get(item.nodeid, 0.0))


def dealt(items: list[pytest.Item], workers: int, cost: Callable[[pytest.Item], float]) -> list[pytest.Item]:
    """As many hands as there are workers, one after the other, each with its longest tests first.

    pytest-xdist's `worksteal` cuts the list into as many equal parts, and a worker that has no more takes from the end
    of another's part. So what ends last are quick tests, and no worker is left alone with a test of minutes.
    """
    slow = [item for item in items if cost(item)]
    quick = [item for item in items if not cost(item)]
    hands: list[list[pytest.Item]] = [[] for _ in range(workers)]
    heavy = [0.0] * workers
    for weight, unit in sorted(units(slow, cost), key=lambda unit: -unit[0]):
        least = heavy.index(min(heavy))
        heavy[least] += weight
        hands[least] += unit
    for number, hand in enumerate(hands):
        room = (len(items) + number) // workers - len(hand)  # equal parts: the first are the smaller ones
        hand += quick[: max(room, 0)]
        del quick[: max(room, 0)]
    return list(itertools.chain(*hands, quick))


def units(slow: list[pytest.Item], cost: Callable[[pytest.Item], float]) -> Iterator[tuple[float, list[pytest.Item]]]:
    """Neighbours of one file, for about TOGETHER_S: they share what is made once for a file."""
    for _, of_file in itertools.groupby(slow, key=lambda item: item.nodeid.partition("::")[0]):
        weight, unit = 0.0, list[pytest.Item]()
        for item in of_file:
            if unit and weight + cost(item) > TOGETHER_S:
                yield weight, unit
                weight, unit = 0.0, []
            weight += cost(item)
            unit.append(item)
        yield weight, unit


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    took[report.nodeid] = took.get(report.nodeid, 0.0) + report.duration


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.getoption("--note-costs") and "PYTEST_XDIST_WORKER" not in os.environ:
        noted = {name: round(seconds, 1) for name, seconds in sorted(took.items()) if seconds >= COST_NOTED_S}
        COSTS.write_text(json.dumps(noted, indent=0, ensure_ascii=False) + "\n")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if failed := os.environ.get("PROVISIONING_CHECKS_FAILED"):
        terminalreporter.section("checks before the tests", red=True)
        terminalreporter.line(f"FAILED:{failed} (what they say is above the tests' output)", red=True)
