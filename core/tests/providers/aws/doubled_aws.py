"""The provider as the tests of other processes make it: at the double whose URL is in the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from provisioning_core.providers.aws import AwsProvider


def provider(workspace: Path, **settings: Any) -> AwsProvider:
    given = {"url": os.environ["AWS_DOUBLE"], "wait_for_ssh": False, "poll_s": 0.05, "deadline_s": 20, "settle_s": 1}
    return AwsProvider(workspace, given | settings)
