"""Installs one taskserv on one server, and removes it: what taskservs/install-one and remove-one do.

    look at the server ──► the marker is of this wish, and it is healthy ──► nothing to do
         │ else
         ▼ refuse what it does not offer · mark `done: false` · apply · wait for health · mark `done: true`

A kill before the first mark has changed nothing; one after it leaves a mark that matches no wish, so all is applied
again, and every operation changes only what differs; one after the last mark leaves only the inventory to be written.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .clouds import Clouds, Found
from .errors import ConflictError, NotFoundError, ProviderError
from .inventory import Entry, Inventory
from .secrets import resolve_param
from .taskservs.deployed import Deployed
from .taskservs.marker import Marker
from .taskservs.visiting import Visit
from .taskservs.wish import KIND, Reveal, Wish, read_wish
from .workspace import Workspace


@dataclass(frozen=True, slots=True)
class Told:
    """Of the task: where progress goes, and what the inventory keeps of it. resolve: `secret://name` to its value."""

    tell: Callable[[str], None] = print
    intent: str = ""
    workflow_id: str = ""
    operation: str = ""
    resolve: Callable[[str], str] = resolve_param


def install_one(
    workspace: Workspace, given: Mapping[str, Any], *, key: str | None = None, told: Told
) -> dict[str, Any]:
    """{name, taskserv, server, id, outcome: installed | changed | unchanged, version, changed, operations, seconds, …}.

    given: {infra, name, taskserv, server, version?, params, expect?}. Raises UsageError, NotFoundError, ConflictError
    (`unsupported_server`, `plan_stale`), ProviderError (to be tried again).
    """
    began = time.monotonic()
    wish = read_wish(workspace, given, key=key)
    found = _server(workspace, wish)
    visit = Visit(wish, found.resource, Reveal(told.resolve), told.tell)
    with visit.hiding():
        visit.reveal()
        first = asyncio.run(visit.look())
        if first.marker is not None and first.holds:
            told.tell(f"{wish.title} is there: nothing to do")
            done, deployed, outcome = first.marker, Deployed(), "unchanged"
        else:
            outcome = "changed" if first.marker is not None and first.marker.done else "installed"
            told.tell(f"{wish.title}: {first.why}")
            deployed = visit.apply("install", first.look)
            done = asyncio.run(visit.settle(first.look, deployed))
            told.tell(f"{wish.title} {outcome}: version {done.installed}, {len(deployed.changed)} changes")
    _record(workspace, wish, found, done, told)
    return {
        "infra": wish.infra,
        "name": wish.name,
        "taskserv": wish.taskserv.name,
        "layer": wish.taskserv.layer,
        "server": wish.server,
        "id": found.resource.id,
        "outcome": outcome,
        "version": done.installed,
        "changed": len(deployed.changed),
        "operations": list(deployed.changed),
        "seconds": round(time.monotonic() - began, 3),
        "facts": dict(done.facts or {}),
    }


def remove_one(workspace: Workspace, given: Mapping[str, Any], *, key: str | None = None, told: Told) -> dict[str, Any]:
    """{name, taskserv, server, removed, purged, changed}. given: as of install_one, and purge?: its data goes too.

    removed: False where it, or the whole server, is not there.
    """
    wish = read_wish(workspace, given, key=key, strict=False)
    purge = bool(given.get("purge"))
    result = {"infra": wish.infra, "name": wish.name, "taskserv": wish.taskserv.name, "server": wish.server}
    try:
        found = _server(workspace, wish)
    except NotFoundError:
        told.tell(f"{wish.server} is not there, and so nothing is on it")
        Inventory(workspace).forget(wish.key)
        return result | {"removed": False, "purged": False, "changed": 0}
    visit = Visit(wish, found.resource, Reveal(told.resolve), told.tell)
    first = asyncio.run(visit.look())
    deployed = Deployed()
    if first.marker is None:
        told.tell(f"{wish.title} is not there: nothing to do")
    else:
        told.tell(f"{wish.title}: removing" + (", its data as well" if purge else ", leaving its data"))
        visit.without_secrets()
        deployed = visit.apply("remove", first.look, purge=purge)
        asyncio.run(visit.forget(first.look))
        told.tell(f"{wish.title} removed")
    Inventory(workspace).forget(wish.key)
    there = first.marker is not None
    return result | {"removed": there, "purged": there and purge, "changed": len(deployed.changed)}


def _server(workspace: Workspace, wish: Wish) -> Found:
    """Raises NotFoundError where it is not there, ConflictError where it cannot be entered."""
    found = Clouds(workspace).find("server", wish.infra, wish.server)
    if found is None:
        raise NotFoundError(
            f"no server {wish.server!r} of {wish.infra} exists, to put {wish.name} on",
            code="unknown_server",
            hint=f"provisioning server create {wish.infra} {wish.server}",
        )
    if found.resource.state != "started":
        raise ProviderError(
            f"server {wish.server} is {found.resource.state}; {wish.name} cannot be put on it",
            code="not_started",
            hint=f"provisioning server create {wish.infra} {wish.server}",
        )
    if not isinstance(found.resource.attributes.get("ssh"), Mapping):
        raise ConflictError(f"the provider does not say how to connect to {wish.server}", code="no_ssh")
    return found


def _record(workspace: Workspace, wish: Wish, found: Found, marker: Marker, told: Told) -> None:
    attributes = {
        "taskserv": wish.taskserv.name,
        "server": wish.server,
        "version": wish.version,
        "installed": marker.installed,
        "params": dict(wish.params),
        "folder": f"sha256:{marker.folder}",
        "facts": dict(marker.facts or {}),
    }
    entry = Entry(
        wish.key,
        KIND,
        wish.infra,
        f"{wish.name}.{wish.server}",
        found.provider,
        found.resource.id,
        told.intent,
        told.workflow_id,
        told.operation,
        attributes=attributes,
    )
    Inventory(workspace).record(entry)
