"""Says of each declared taskserv what its manifest does not accept, at the place where it was written."""

from __future__ import annotations

from collections.abc import Sequence

from ..taskservs.declared import look_up
from ..taskservs.parameter import Fault, Steps, path_of
from ..workspace import Workspace
from ..yamlfile import Cursor
from .model import Taskserv
from .references import Item


def check_manifests(workspace: Workspace, infra: str, at: Cursor, declared: Sequence[tuple[Taskserv, Item]]) -> None:
    """infra: its name. at: the root of the definition, which takes the faults of the manifests themselves."""
    found = look_up(workspace, infra, [taskserv for taskserv, _ in declared])
    at.problems += found.problems
    items = {taskserv.name: item for taskserv, item in declared}
    for taskserv, fault in found.faults:
        _tell(items[taskserv.name], fault)


def _tell(item: Item, fault: Fault) -> None:
    first = str(fault.steps[0])
    if not item.sound or (item.says(first) and item.get(first) is None):
        return  # which was said already
    at, rest = item.fields.get("name" if first == "taskserv" and not item.says(first) else first), fault.steps[1:]
    at, rest = (item.at, fault.steps) if at is None else _walk(at, rest, fault.named)
    at.fail(f"{path_of(rest)}: {fault.message}" if rest else fault.message)


def _walk(at: Cursor, steps: Steps, named: bool) -> tuple[Cursor, Steps]:
    """As far as it was written, and the steps that are left from there. named: to the last name, not to its value."""
    while steps:
        step, last = steps[0], len(steps) == 1
        if isinstance(step, int):
            below = next((each for place, each in enumerate(at.items()) if place == step), None)
        else:
            entries = at.entries() or [] if at.kind() == "a mapping" else []
            below = next((its if last and named else value for name, its, value in entries if name == step), None)
        if below is None:
            break
        at, steps = below, steps[1:]
    return at, steps
