"""A double of UpCloud for each test, and the environment in which other processes find it too."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.doubles.upcloud import UpCloudDouble
from provisioning_core.providers.upcloud import UpCloudProvider

QUICK = {"poll_s": 0.02, "settle_s": 2.0, "deadline_s": 20.0, "stop_s": 2.0, "http_timeout_s": 5.0}
"""Settings for a cloud that needs milliseconds."""


@pytest.fixture
def double(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UpCloudDouble]:
    with UpCloudDouble(tmp_path / "double", pace_s=0.01) as double:
        monkeypatch.setenv("UPCLOUD_DEBUG_API_BASE_URL", double.url)
        monkeypatch.setenv("UPCLOUD_TOKEN", "ucat_practice_only")
        yield double


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "workspace").mkdir()
    return tmp_path / "workspace"


@pytest.fixture
def provider(double: UpCloudDouble, workspace: Path) -> UpCloudProvider:
    return UpCloudProvider(workspace, QUICK)


def call(double: UpCloudDouble, method: str, path: str, body: Any = None) -> Any:
    """A request to the API as somebody else makes it."""
    headers = {"Authorization": "Bearer somebody-elses"}
    sent = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{double.url}/1.3{path}", sent, headers, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer) if answer.status != 204 else None
