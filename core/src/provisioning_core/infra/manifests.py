"""Says of each declared taskserv what its manifest does not accept, at the place where it was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from ..taskservs.manifest import Manifest
from ..taskservs.parameter import Fault, Steps, path_of
from ..workspace import Workspace
from ..yamlfile import Cursor
from .declared import look_up, orders
from .model import Cluster, Infra, Taskserv
from .references import Item, circles


def check_manifests(workspace: Workspace, infra: Infra, at: Cursor, declared: Sequence[tuple[Taskserv, Item]]) -> None:
    """at: the root of the definition, which takes the faults of the manifests themselves."""
    found = look_up(workspace, infra.name, [taskserv for taskserv, _ in declared])
    at.problems += found.problems
    items = {taskserv.name: item for taskserv, item in declared}
    for taskserv, fault in found.faults:
        _tell(items[taskserv.name], fault)
    _refuse_circles(infra, found.manifests, items)


def _refuse_circles(infra: Infra, manifests: Mapping[str, Manifest], items: Mapping[str, Item]) -> None:
    """Those that the manifests close; those of the definition alone have been told where they are."""
    parts: list[Infra | Cluster] = [infra, *infra.clusters]
    needs = {each.name: list(each.needs) for part in parts for each in part.taskservs}
    needs |= {each.name: list(each.needs) for part in parts for each in part.checks}
    needs |= {each.name: list(each.needs) for each in infra.clusters}
    asking = {}
    for order in orders(infra, manifests):
        if order.other not in needs[order.own]:
            needs[order.own].append(order.other)
            asking[order.own, order.other] = order
    for circle in circles(needs):
        closing = [asking[step] for step in pairwise(circle) if step in asking]
        if closing:
            words = f"its manifest needs {closing[0].folder} on the same server, in a circle: {' → '.join(circle)}"
            items[closing[0].taskserv.name].at.fail(words)


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
