"""Whether this machine can have machines."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioning_core.errors import ProviderError
from provisioning_core.provider import Wish
from provisioning_core.providers.local import LocalProvider, destroy


@pytest.fixture(scope="session")
def namespaces(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips, with the kernel's reason, where user namespaces are refused."""
    workspace = tmp_path_factory.mktemp("probe")
    try:
        LocalProvider(workspace, isolation="namespace").create(Wish("server", "probe", "probe", "probe", "probe"))
    except ProviderError as error:
        if error.code != "isolation_unavailable":
            raise
        pytest.skip(error.message)
    finally:
        destroy(Path(workspace))
