"""What a plan is: the changes that would make the world as the definition says, each with all that it was decided by.

A plan is a value: what is applied is what was shown. Every change carries the wish (what the thing is to be) and what
it expects to meet (which resource, like what): so a task can refuse where the world has gone on since.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ..capabilities import Effect

Action = Literal["create", "start", "update", "replace", "delete", "exists"]
ACTIONS: tuple[Action, ...] = ("create", "start", "update", "replace", "delete", "exists")
EFFECTS: tuple[Effect, ...] = ("in_place", "restart", "replace")
"""From the mildest to the worst."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """path: `plan`, `labels.role`, `storages.data`, `params.port`. before, after: plain data, None: not there.

    user_data is told by its digest, `sha256:…`.
    """

    path: str
    before: Any
    after: Any
    effect: Effect


@dataclass(frozen=True, slots=True)
class Change:
    """kind: network, server or taskserv. provider: the name by which the workspace calls it. id: the provider's, None
    for what is not there yet. start: a server that is there, but does not run, or was never seen to be made to its end.

    wish: what it is to be, as the tasks' params say it: {"spec", "labels"}, of a taskserv {"taskserv", "server",
    "version", "params"}; None for a delete. observed: what it was like, a digest per field. old_provider: where it is
    now, if it moves. needs: names of taskservs and checks to be done first. task: timeout_s and retry of its policy.
    """

    action: Action
    kind: str
    name: str
    key: str
    id: str | None = None
    provider: str = ""
    fields: tuple[FieldChange, ...] = ()
    wish: Mapping[str, Any] | None = None
    observed: Mapping[str, str] | None = None
    old_provider: str | None = None
    needs: tuple[str, ...] = ()
    task: Mapping[str, Any] = field(default_factory=dict)

    @property
    def effect(self) -> Effect:
        """The worst of its fields'."""
        return max((each.effect for each in self.fields), key=EFFECTS.index, default="in_place")

    @property
    def broken(self) -> bool:
        """Whether it is a server in error at its provider, which only making it again heals."""
        return any(each.path == "state" and each.before == "error" for each in self.fields)

    @property
    def network(self) -> str | None:
        """The network that a server is to be in."""
        network = (self.wish or {}).get("spec", {}).get("network")
        return str(network) if network is not None else None


@dataclass(frozen=True, slots=True)
class Gate:
    """A check of the definition, to be awaited where a plan is applied. params: those of checks/await."""

    name: str
    params: Mapping[str, Any]
    needs: tuple[str, ...] = ()
    task: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """changes: in the order in which they would be made. id: a UUID, of this plan alone. made_at: RFC 3339.

    operations: the workspace's own ones that it would be done by, each with a digest; None: that was not looked at.
    """

    infra: str
    changes: tuple[Change, ...]
    workspace: str = ""
    id: str = ""
    made_at: str = ""
    gates: tuple[Gate, ...] = ()
    operations: Mapping[str, str] | None = None

    @property
    def nothing_to_do(self) -> bool:
        return all(change.action == "exists" for change in self.changes)

    @property
    def to_do(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.action != "exists")

    def count(self, action: Action) -> int:
        return sum(change.action == action for change in self.changes)

    def parted(self, allow: frozenset[str]) -> tuple[Plan, tuple[Change, ...]]:
        """What may be done, and what is left. allow: of "replace" and "delete"; all else may always be done.

        A server stays with a network that may not be replaced: where that is left, so is the server in it.
        """
        left = tuple(each for each in self.changes if each.action in ("replace", "delete") and each.action not in allow)
        return replace(self, changes=tuple(each for each in self.changes if each not in left)), left

    def only(self, *actions: Action) -> Plan:
        return replace(self, changes=tuple(each for each in self.changes if each.action in actions))
