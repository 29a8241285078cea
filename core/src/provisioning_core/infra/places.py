"""Where in a definition something stands: for faults that only a provider knows, found after it has been read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import yaml

from ..provider import Kind
from ..schema import Checker, load_schema
from ..workspace import Workspace
from ..yamlfile import Cursor
from .composition import Composition
from .reading import _read
from .source import Source

_SECTIONS: dict[str, Kind] = {"networks": "network", "servers": "server"}
_STEP = re.compile(r"\[([0-9]+)\]|([^.\[\]]+)")


class Misfit(NamedTuple):
    """A fault of one resource. path: as `capabilities.Fault` says it."""

    kind: Kind
    name: str
    path: str
    message: str


def refuse(workspace: Workspace, infra: str, misfits: Sequence[Misfit]) -> None:
    """Raises DefinitionErrors with all of them, each at its place: that of the field, else of the item, else the file.

    What several servers of one group have in common stands there once. The file is read again: who is refused can wait.
    """
    at = _read(workspace, workspace.infra_file(infra))
    items = {(kind, name): item for kind, name, item in _items(workspace, at)}
    at.problems.clear()  # it was good when it was read
    for misfit in misfits:
        item = items.get((misfit.kind, misfit.name))
        (_below(item, misfit.path) if item else at).fail(misfit.message)
    at.finish()


def _items(workspace: Workspace, at: Cursor) -> Iterator[tuple[Kind, str, Cursor]]:
    """Composed, by each name that one of them makes."""
    checker = Checker(load_schema("infra"))
    checker.check(at)
    fields = {name: below for name, _, below in at.entries() or []}
    composition = Composition(checker)
    composition.read(fields)
    source = Source(workspace, composition, workspace.provider)
    for section, kind in _SECTIONS.items():
        for item in source.items(fields.get(section), kind):
            name, counted = item.name(), item.says("count")
            numbers = range(1, int(item.get("count") or 1) + 1)
            for each in [f"{name}-{number}" for number in numbers] if counted else [name]:
                yield kind, str(each), item.at


def _below(item: Cursor, path: str) -> Cursor:
    """As far as the path leads: a field that is left to a default has no place of its own."""
    at = item
    for index, name in _STEP.findall(path):
        if index or isinstance(at.node, yaml.SequenceNode):
            listed = at.items() if isinstance(at.node, yaml.SequenceNode) else []
            found = listed[int(index) : int(index) + 1] if index else [each for each in listed if _named(each, name)]
        else:
            entries = at.entries() if isinstance(at.node, yaml.MappingNode) else None
            found = [below for each, _, below in entries or () if each == name]
        if not found:
            return at
        at = found[0]
    return at


def _named(item: Cursor, name: str) -> bool:
    fields = item.plain()
    return isinstance(fields, dict) and fields.get("name") == name
