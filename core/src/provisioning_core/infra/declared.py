"""What is wrong with the taskservs that a definition declares, by what their manifests say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ..taskservs.folders import all_taskservs
from ..taskservs.manifest import Manifest
from ..taskservs.parameter import Fault
from ..workspace import Workspace
from ..yamlfile import DefinitionErrors, Problem, shown, suggestion
from .model import Infra, Taskserv

SHOWN_MAX = 10


class Declared(NamedTuple):
    """manifests: by folder, of those that are there and good. faults: each with whose it is; its steps begin at the
    item of the definition. problems: of the manifests themselves."""

    manifests: Mapping[str, Manifest]
    faults: tuple[tuple[Taskserv, Fault], ...]
    problems: tuple[Problem, ...]


class Order(NamedTuple):
    """What a manifest needs on the same server, as names that stand beside each other.

    own, other: the taskservs themselves, or for what is in a cluster and seen from outside of it, that cluster.
    """

    taskserv: Taskserv
    folder: str
    own: str
    other: str


def look_up(workspace: Workspace, infra: str, declared: Sequence[Taskserv]) -> Declared:
    """infra: its name. declared: all that it declares, those of its clusters too."""
    there = {each.name: each for each in all_taskservs(workspace, infra)} if declared else {}
    manifests: dict[str, Manifest] = {}
    problems: list[Problem] = []
    for name in dict.fromkeys(each.taskserv for each in declared):
        try:
            if name in there:
                manifests[name] = there[name].manifest
        except DefinitionErrors as error:
            problems += error.problems
    faults: list[tuple[Taskserv, Fault]] = []
    for each in declared:
        manifest = manifests.get(each.taskserv)
        if each.taskserv not in there:
            words = f"no taskserv {shown(each.taskserv)}; there are: {', '.join(there)}."
            words = (words + suggestion(each.taskserv, list(there))).removesuffix(".")
            faults.append((each, Fault(("taskserv",), words)))
        elif manifest is not None:
            faults += [(each, fault) for fault in manifest.faults(each.params, each.version)]
    return Declared(manifests, (*faults, *_beside_each_other(declared, manifests)), tuple(problems))


def folders_on(declared: Sequence[Taskserv]) -> dict[str, dict[str, list[str]]]:
    """By server, by folder the names under which it is declared there."""
    on: dict[str, dict[str, list[str]]] = {}
    for each in declared:
        for server in each.servers:
            on.setdefault(server, {}).setdefault(each.taskserv, []).append(each.name)
    return on


def orders(infra: Infra, manifests: Mapping[str, Manifest]) -> Iterator[Order]:
    """manifests: by folder."""
    homes = {each.name: cluster.name if cluster else None for cluster, each in infra.all_taskservs()}
    declared = [each for _, each in infra.all_taskservs()]
    on = folders_on(declared)
    for each in declared:
        manifest = manifests.get(each.taskserv)
        for folder in manifest.needs if manifest else ():
            for other in dict.fromkeys(name for server in each.servers for name in on[server].get(folder, [])):
                if homes[each.name] == homes[other]:
                    yield Order(each, folder, each.name, other)
                else:
                    yield Order(each, folder, homes[each.name] or each.name, homes[other] or other)


def _beside_each_other(
    declared: Sequence[Taskserv], manifests: Mapping[str, Manifest]
) -> Iterator[tuple[Taskserv, Fault]]:
    """The same folder twice on one server; what a manifest needs there and nobody declares."""
    on = folders_on(declared)
    for each in declared:
        doubled: dict[str, list[str]] = {}
        for server in each.servers:
            first = on[server][each.taskserv][0]
            if first != each.name:
                doubled.setdefault(first, []).append(server)
        for first, servers in doubled.items():
            yield each, Fault(("name",), f"is {each.taskserv} on {_few(servers)}, which {first} is there already")
        manifest = manifests.get(each.taskserv)
        for folder in manifest.needs if manifest else ():
            if lacking := [server for server in each.servers if folder not in on[server]]:
                yield each, Fault(("on",), f"needs {folder} on the same server; none is declared for {_few(lacking)}")


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN_MAX]) + (" …" if len(names) > SHOWN_MAX else "")
