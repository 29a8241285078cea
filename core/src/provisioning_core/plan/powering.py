"""The expansion of servers/power for several servers: one task each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..clouds import Clouds
from ..operation import new_task
from .deleting import chosen_servers
from .tasks import provider_param


def power_tasks(clouds: Clouds, infra: str, servers: Sequence[str], action: str) -> list[dict[str, Any]]:
    """For those that exist; names of groups are all of them. Raises NotFoundError for names that nothing has."""
    there = clouds.list("server", infra)
    names = chosen_servers(clouds, infra, servers, there)
    default = clouds.workspace.provider
    tasks = []
    for each in there:
        if each.resource.name in names:
            params = {"infra": infra, "name": each.resource.name, "action": action}
            params |= provider_param(each.provider, default)
            tasks.append(new_task(each.resource.name, "servers/power", params, key=each.resource.key))
    return tasks
