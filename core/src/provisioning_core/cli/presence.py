"""The orchestrator that answers: what it says of itself, whether it is ours, how much it has to do."""

from __future__ import annotations

from typing import Any

from ..errors import AuthError, ProvisioningError
from .port import option_of, uptime_s
from .session import Session


def describe(session: Session, health: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the daemon says of itself; fields that it does not say are None. Raises UnreachableError."""
    health = session.orchestrator.health() if health is None else health
    return {
        "status": health.get("status"),
        "detail": health.get("detail"),
        "url": session.settings.url().value,
        "pid": health.get("pid"),
        "version": health.get("version"),
        "uptime_s": uptime_s(health["pid"]),
        "data_dir": option_of(health["pid"], "--data-dir") or session.settings.data_dir().value,
    }


def check_ours(session: Session) -> None:
    """Raises AuthError where the orchestrator that answers does not take our token: it is somebody else's."""
    try:
        session.orchestrator.connection.call("GET", "/workflows", query={"limit": 1})
    except AuthError:
        raise
    except ProvisioningError:
        pass  # it starts, or stops: it will say so itself


def counts_of(session: Session) -> dict[str, int | str]:
    """How many tasks run and wait, over all workflows; empty where it does not say (no token, it starts)."""
    counts: dict[str, int | str] = {}
    for status in ("running", "ready", "waiting", "unknown"):
        try:
            page = session.orchestrator.connection.call("GET", "/tasks", query={"status": status, "limit": 1000})
        except ProvisioningError:
            return {}
        count = len(page["items"])
        counts[status] = f"{count}+" if page.get("next_cursor") else count
    return counts
