"""The bodies of the calls that start the operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def request_create(infra: str, servers: Sequence[str] | None = None) -> dict[str, Any]:
    """The body of POST /workflows/servers/create."""
    return {"infra": infra, "params": {"servers": list(servers)} if servers else {}}


def request_delete(infra: str, servers: Sequence[str] | None = None) -> dict[str, Any]:
    """The body of POST /workflows/servers/delete."""
    return request_create(infra, servers)
