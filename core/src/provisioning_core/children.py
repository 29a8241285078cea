"""Child workflows: what an operation submits to the orchestrator that runs it.

    from provisioning_core.children import await_child, submit_child

    child = submit_child("servers/create", "wuji", {"servers": ["web-1"]})
    result = await_child(child)

The orchestrator gives every attempt its address and a token that opens only this (contract/task.json). The same
submission by a later attempt of the same task finds the first one's child: it is known by the task's intent. While a
child has not ended, its parent's slot is lent to others, so waiting for it starves nobody.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .errors import ProviderError, UsageError
from .settings import Settings

if TYPE_CHECKING:
    from .client.orchestrator import Orchestrator


def submit_child(operation: str, infra: str, params: Mapping[str, Any] | None = None, *, key: str = "") -> str:
    """The child's id, once it is durable. key: tells children apart whose operation, infra and params are the same.

    Raises UsageError (`no_orchestrator`) in direct mode, and what the orchestrator refuses.
    """
    resource, slash, action = operation.rpartition("/")
    if not slash:
        raise UsageError(f"{operation!r} is no operation; names look like servers/create", code="unknown_operation")
    return orchestrator().submit(resource, action, infra, params or {}, key)


def submit_child_workflow(name: str, tasks: Sequence[Mapping[str, Any]], *, key: str = "") -> str:
    """The same for a whole workflow of tasks, as POST /workflows takes it."""
    return orchestrator().submit_workflow(name, tasks, key)


def await_child(workflow: str) -> dict[str, Any]:
    """The workflow once it has ended. Raises ProviderError (`child_failed`) where it did not succeed."""
    found = orchestrator()
    for _ in found.feed(workflow):
        pass  # until the last record: through restarts of the orchestrator
    child = found.workflow(workflow)
    if child["status"] != "succeeded":
        raise ProviderError(f"child workflow {workflow} {child['status']}", code="child_failed", retryable=False)
    return child


def orchestrator() -> Orchestrator:
    """The one that runs this attempt. Raises UsageError where there is none."""
    if not os.environ.get("PROVISIONING_URL"):
        raise UsageError(
            "child workflows need the orchestrator, and this runs without one (direct mode)",
            code="no_orchestrator",
            hint="the same with --orchestrated; or return the tasks as an expansion, which works in both modes",
        )
    from .client.orchestrator import Orchestrator  # here: most operations have no children

    return Orchestrator(Settings())
