"""The tasks that a create would become, all levels of them at once, as text, dot or mermaid. No provider is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..infra import Infra
from ..operation import new_task
from ..workspace import Workspace
from .creating import cluster_tasks, create_tasks, infra_tasks
from .tasks import task_id


class Node(NamedTuple):
    """One task to be. id: as in a workflow, but by names: `cluster.k8s/servers/web-1`. needs: ids of siblings."""

    id: str
    label: str
    operation: str
    needs: tuple[str, ...]
    inside: tuple[Node, ...]


def graph_of(workspace: Workspace, infra: Infra) -> list[Node]:
    return _nodes(workspace, infra, infra_tasks(workspace, infra), "")


def as_text(nodes: Sequence[Node]) -> str:
    return "\n".join(_text(nodes, ""))


def as_dot(infra: str, nodes: Sequence[Node]) -> str:
    edges = [f"  {_quoted(need)} -> {_quoted(node.id)};" for node in _every(nodes) for need in node.needs]
    return "\n".join([f"digraph {_quoted(infra)} {{", "  rankdir=LR; compound=true;", *_dot(nodes, "  "), *edges, "}"])


def as_mermaid(nodes: Sequence[Node]) -> str:
    names = {node.id: f"t{number}" for number, node in enumerate(_every(nodes))}
    edges = [f"  {names[need]} --> {names[node.id]}" for node in _every(nodes) for need in node.needs]
    return "\n".join(["flowchart LR", *_mermaid(nodes, names, "  "), *edges])


FORMS: Mapping[str, Callable[[str, Sequence[Node]], str]] = {
    "text": lambda _, nodes: as_text(nodes),
    "dot": as_dot,
    "mermaid": lambda _, nodes: as_mermaid(nodes),
}


def as_items(nodes: Sequence[Node]) -> list[dict[str, Any]]:
    """Flat, for machines; `parent` is the id of the task that expands into it."""
    return [
        {
            "id": node.id,
            "operation": node.operation,
            "needs": list(node.needs),
            "parent": node.id.rpartition("/")[0] or None,
        }
        for node in _every(nodes)
    ]


def _nodes(workspace: Workspace, infra: Infra, tasks: Sequence[Mapping[str, Any]], prefix: str) -> list[Node]:
    nodes = []
    for task in tasks:
        id = prefix + task["id"]
        inside = _nodes(workspace, infra, _expanded(workspace, infra, task), f"{id}/")
        needs = tuple(prefix + need for need in task.get("needs", ()))
        nodes.append(Node(id, task["id"], task["operation"], needs, tuple(inside)))
    return nodes


def _expanded(workspace: Workspace, infra: Infra, task: Mapping[str, Any]) -> list[dict[str, Any]]:
    params = task["params"]
    if task["operation"] == "servers/create":
        return create_tasks(workspace, infra, params.get("servers"), networks=params.get("networks", True))
    if task["operation"] == "clusters/create":
        return cluster_tasks(workspace, infra, infra.cluster(params["cluster"]), networks=params.get("networks", True))
    if task["operation"] == "taskservs/create":
        wanted = params["taskservs"]
        return [
            new_task(task_id(taskserv.name, server), "taskservs/install-one", {})
            for _, taskserv in infra.all_taskservs()
            if taskserv.name in wanted
            for server in taskserv.servers
        ]
    return []


def _every(nodes: Sequence[Node]) -> Iterator[Node]:
    for node in nodes:
        yield node
        yield from _every(node.inside)


def _text(nodes: Sequence[Node], bars: str) -> Iterator[str]:
    for node in nodes:
        last = node is nodes[-1]
        after = f"   after {', '.join(need.rpartition('/')[2] for need in node.needs)}" if node.needs else ""
        yield f"{bars}{'└── ' if last else '├── '}{node.label}   {node.operation}{after}"
        yield from _text(node.inside, bars + ("    " if last else "│   "))


def _dot(nodes: Sequence[Node], indent: str) -> Iterator[str]:
    for node in nodes:
        yield f"{indent}{_quoted(node.id)} [label={_quoted(node.label + chr(10) + node.operation)}];"
        if node.inside:
            yield f"{indent}subgraph {_quoted('cluster_' + node.id)} {{"
            yield f"{indent}  label={_quoted(node.label)};"
            yield from _dot(node.inside, indent + "  ")
            yield f"{indent}}}"


def _mermaid(nodes: Sequence[Node], names: Mapping[str, str], indent: str) -> Iterator[str]:
    for node in nodes:
        yield f'{indent}{names[node.id]}["{node.label}<br/>{node.operation}"]'
        if node.inside:
            yield f'{indent}subgraph s{names[node.id]}["{node.label}"]'
            yield from _mermaid(node.inside, names, indent + "  ")
            yield f"{indent}end"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
