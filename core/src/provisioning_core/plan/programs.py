"""The workspace's own operations that a plan would be done by, told by their files, so that another one is noticed.

Only those that stand in the place of shipped ones: what is shipped goes with this program, not with the workspace.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import NotFoundError, stale_plan
from ..library import find_operation
from ..workspace import Workspace

SIDECAR = ".toml"


def own_programs(workspace: Workspace, tasks: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """By the name of an operation of these tasks the digest of its file and its sidecar. Raises UsageError, OSError."""
    library = workspace.library()
    found: dict[str, str] = {}
    if library is None:
        return found
    for name in sorted({str(task["operation"]) for task in tasks}):
        try:
            file = find_operation([library], name).file
        except NotFoundError:
            continue
        digest = hashlib.sha256()
        for path in (file, file.with_suffix(SIDECAR)):
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "none"
            digest.update(f"{path.name}\0{content}\n".encode())
        found[name] = f"sha256:{digest.hexdigest()}"
    return found


def check_programs(workspace: Workspace, planned: Mapping[str, str] | None, tasks: Iterable[Mapping[str, Any]]) -> None:
    """planned: None: the plan does not say. tasks: those that it becomes. Raises ConflictError (`plan_stale`)."""
    if planned is None:
        return
    tasks = list(tasks)
    used, now = {str(task["operation"]) for task in tasks}, own_programs(workspace, tasks)
    for name in sorted(used):
        if planned.get(name) != now.get(name):
            what = "changed" if name in planned and name in now else "added" if name in now else "taken away"
            raise stale_plan(f"operation {name}", f"the workspace's own one has been {what} since")
