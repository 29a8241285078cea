from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning_core.doubles.hetzner import HetznerDouble

from ..doubled import log_in


@pytest.fixture
def double(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HetznerDouble]:
    """A double that this process and its children find."""
    log_in(monkeypatch, tmp_path)
    with HetznerDouble(tmp_path / "double", pace_s=0.02) as running:
        monkeypatch.setenv("HETZNER_DOUBLE", running.url)
        yield running
