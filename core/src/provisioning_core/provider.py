"""A provider talks to one cloud: the protocol that every plugin implements, and how plugins are found.

The five verbs of `Provider` are all that a plugin must have. They are idempotent, whatever is killed in between:
`create` finds by intent, then by key, then creates; a second call with the same key returns the first one's resource
with `created=False`, also when both run at once. What more it can do it says in `capabilities` (see `capabilities.py`).
`provisioning_core.testing.provider_suite` is the conformance suite.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Kind = Literal["server", "network", "storage"]
KINDS: tuple[Kind, ...] = ("network", "storage", "server")
"""In the order in which they are made; they are deleted the other way round."""

ServerState = Literal["creating", "started", "stopped", "error"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be made. key: which thing; intent: which wish (a UUID); name: what people call it.

    spec: the resolved definition of the resource: plain data, as the infra's file gave it (`infra/model.py` says which
    fields there are). labels: put on the resource; `key` and `intent` are always labels too.
    """

    kind: Kind
    key: str
    intent: str
    infra: str
    name: str
    spec: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resource:
    """What exists. id: the provider's own, unique for ever. attributes: plain data.

    A server's attributes: `address` (its own), `zone`, `plan`, and `ssh`: {"host", "port", "user", "identity_file",
    "known_hosts_file"}, all that is needed to connect. Every resource's, where the provider can say it: `labels` (those
    of the wish), and `spec`: what it is like now, in the terms of `Provider.normalize`, only fields that were observed.
    """

    kind: Kind
    id: str
    key: str
    intent: str
    infra: str
    name: str
    state: ServerState
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Created:
    """restarted: it was there, but stopped, and this call has started it."""

    resource: Resource
    created: bool
    restarted: bool = False


class Provider(Protocol):
    """Made as `Class(workspace: Path, settings: Mapping[str, Any])`; neither imports an SDK nor calls a cloud then."""

    name: str

    def create(self, wish: Wish, *, announce: Callable[[Resource], None] = lambda _: None) -> Created:
        """Return when the resource can be used (a server: when SSH answers).

        announce: called as soon as the resource has an id, before waiting for it. Raises ProviderError.
        """

    def find(self, kind: Kind, *, intent: str | None = None, key: str | None = None) -> Resource | None: ...

    def get(self, kind: Kind, id: str) -> Resource | None: ...

    def list(self, kind: Kind, *, infra: str | None = None) -> list[Resource]:
        """Ours only, sorted by key."""

    def delete(self, kind: Kind, id: str) -> bool:
        """True where it existed. Returns when it is gone; a missing one is no error. Raises ProviderError."""
