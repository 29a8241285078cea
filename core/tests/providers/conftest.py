"""Which clouds a test is about, and whether this machine can have machines."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning_core.errors import ProviderError
from provisioning_core.provider import Wish
from provisioning_core.providers.local import LocalProvider, destroy
from provisioning_core.providers.local.registry import Isolation


@pytest.fixture(params=["upcloud", "aws", "hetzner"])
def cloud(request: pytest.FixtureRequest) -> str:
    """Its name, for what holds of each alike. Skips where the extra `aws` is not installed."""
    if request.param == "aws":
        request.getfixturevalue("descriptions_read_once")
    return str(request.param)


@pytest.fixture(scope="session")
def descriptions_read_once() -> Iterator[None]:
    """boto3 reads its description of EC2, megabytes of JSON, for every new session: here each process reads it once."""
    session = pytest.importorskip("botocore.session", reason="the extra `aws` is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "create_loader", functools.cache(session.create_loader))
        yield


@pytest.fixture(scope="session")
def namespaces(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips, with the kernel's reason, where user namespaces are refused."""
    _need("namespace", tmp_path_factory.mktemp("probe"))


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips, with the reason, where there can be no machine of the level `image`."""
    _need("image", tmp_path_factory.mktemp("probe"))


def _need(level: Isolation, workspace: Path) -> None:
    try:
        LocalProvider(workspace, isolation=level).create(Wish("server", "probe", "probe", "probe", "probe"))
    except ProviderError as error:
        if error.code not in ("isolation_unavailable", "image_unavailable"):
            raise
        pytest.skip(error.message)
    finally:
        destroy(Path(workspace))
