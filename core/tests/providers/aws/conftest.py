from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning_core.doubles.aws import AwsDouble


@pytest.fixture(autouse=True, scope="session")
def descriptions_read_once() -> Iterator[None]:
    """boto3 reads its description of EC2, megabytes of JSON, for every new session: here each process reads it once."""
    session = pytest.importorskip("botocore.session", reason="the extra `aws` is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "create_loader", functools.cache(session.create_loader))
        yield


@pytest.fixture
def double(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsDouble]:
    """A double that this process and its children find."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a-key-of-the-tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-of-the-tests")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with AwsDouble(tmp_path / "double", pace_s=0.02) as running:
        monkeypatch.setenv("AWS_DOUBLE", running.url)
        yield running
