"""The provider as the tests of other processes make it: at the double whose URL is in the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from provisioning_core.providers.hetzner import HetznerProvider


def provider(workspace: Path, **settings: Any) -> HetznerProvider:
    given = {"url": os.environ["HETZNER_DOUBLE"], "wait_for_ssh": False, "poll_s": 0.02, "deadline_s": 20}
    return HetznerProvider(workspace, given | settings)
