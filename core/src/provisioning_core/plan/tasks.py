"""What the tasks of all expansions have in common: their ids, and when they say where."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

ID_MAX = 64
DIGEST_SHOWN = 8


def task_id(prefix: str, name: str) -> str:
    """`network.wuji-net`; where that is longer than an id may be, its end is a digest."""
    id = f"{prefix}.{name}"
    if len(id) <= ID_MAX:
        return id
    ending = hashlib.sha256(id.encode()).hexdigest()[:DIGEST_SHOWN]
    return f"{id[: ID_MAX - DIGEST_SHOWN - 1]}-{ending}"


def provider_param(provider: str, default: str) -> dict[str, Any]:
    """Only said where it is not the workspace's own: the plain case stays as plain as it was."""
    return {"provider": provider} if provider and provider != default else {}


def with_policy(task: dict[str, Any], policy: Mapping[str, Any]) -> dict[str, Any]:
    """The task with `timeout_s` and `retry` of its resource's policy."""
    return task | dict(policy)
