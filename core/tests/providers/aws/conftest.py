from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning_core.doubles.aws import AwsDouble

from ..doubled import log_in


@pytest.fixture(autouse=True, scope="session")
def described(descriptions_read_once: None) -> None:
    """All tests of EC2, that of a real account too."""


@pytest.fixture
def double(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsDouble]:
    """A double that this process and its children find."""
    log_in(monkeypatch, tmp_path)
    with AwsDouble(tmp_path / "double", pace_s=0.02) as running:
        monkeypatch.setenv("AWS_DOUBLE", running.url)
        yield running
