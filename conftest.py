"""What holds for every test of this repository: long ones are asked for, and nothing is left out in silence."""

from __future__ import annotations

import os
import shutil
import signal

import pytest


def pytest_configure() -> None:
    # What a shell starts in the background ignores SIGINT and passes that on; tests of Ctrl-C need it as usual.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run the long versions of tests (minutes each)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    long = pytest.mark.skip(reason="long: runs with --long")
    no_nu = pytest.mark.skip(reason="no nu on PATH; bin/test brings it where npm is installed")
    for item in items:
        if "long" in item.keywords and not config.getoption("--long"):
            item.add_marker(long)
        if "nu" in item.keywords and shutil.which("nu") is None:
            item.add_marker(no_nu)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if failed := os.environ.get("PROVISIONING_CHECKS_FAILED"):
        terminalreporter.section("checks before the tests", red=True)
        terminalreporter.line(f"FAILED:{failed} (what they say is above the tests' output)", red=True)
