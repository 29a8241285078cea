"""What reading one definition needs at hand: whose it is, and its items, composed and checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..workspace import Workspace
from ..yamlfile import Cursor, shown, suggestion
from .composition import Composition
from .references import Item


@dataclass(frozen=True, slots=True)
class Source:
    """provider: the infra's own, else the workspace's."""

    workspace: Workspace
    composition: Composition
    provider: str

    def items(self, at: Cursor | None, kind: str) -> Iterator[Item]:
        """Of a list; nothing where it is not there, or no list."""
        if at is None or at.kind() != "a list":
            return
        for each in at.items():
            composed, sound = self.composition.item(each, kind)
            if composed.kind() == "a mapping":
                fields = {name: below for name, _, below in composed.entries() or []}
                yield Item(composed, fields, sound, self.composition.checker)

    def provider_of(self, item: Item) -> str:
        """Its own, else the infra's. A class may only be named by the workspace's file."""
        name = item.get("provider")
        if name is None:
            return self.provider
        return checked_provider(item.fields["provider"], name, self.workspace)


def checked_provider(at: Cursor, name: str, workspace: Workspace) -> str:
    own = (workspace.provider, *workspace.settings)
    if ":" in name and name not in own:
        classes = [each for each in own if ":" in each]
        at.fail(f"{shown(name)} is not named by provisioning.yaml, and only that file may name a class; "
                f"name it there, under `providers:`.{suggestion(name, classes)}")  # fmt: skip
    return name
