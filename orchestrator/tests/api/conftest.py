from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .served import Served, serve


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    """A server of its own."""
    with serve(tmp_path) as served:
        yield served


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for tests that only add."""
    with serve(tmp_path_factory.mktemp("shared")) as served:
        yield served
