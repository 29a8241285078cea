"""Changing what exists: labels, firewall and storages in place; size and larger disks while the server is stopped.

A server that an update has stopped carries the label `provisioning-open`: whoever repeats the update after a kill
knows by it that it has to be started again, and that nobody stopped it on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import ProviderError
from ...provider import Kind, Resource, Wish
from ...yamlfile import shown
from . import disks, walls
from .account import Account, Raw, labels_of
from .identity import KEY, OPEN, OURS, RESTARTING, key_of, labels_for, users
from .once import Once
from .servers import Servers, size_of
from .view import View

_FIXED: Mapping[Kind, tuple[str, ...]] = {
    "server": ("zone", "image", "network"),
    "network": ("cidr", "zone"),
    "storage": ("zone", "tier"),
}


class Changes:
    def __init__(self, account: Account, once: Once, servers: Servers, view: View) -> None:
        self._account = account
        self._once = once
        self._servers = servers
        self._view = view

    def update(self, id: str, wish: Wish, spec: Mapping[str, Any]) -> Resource:
        """spec: normal. Raises ProviderError (`not_found`, `needs_replacement`)."""
        raw = self._must_get(wish.kind, id)
        observed = self._view.resource(wish.kind, raw).attributes["spec"]
        fixed = [name for name in _FIXED[wish.kind] if name in observed and observed[name] != spec[name]]
        if fixed:
            changed = ", ".join(f"{name} is {observed[name]}, not {spec[name]}" for name in fixed)
            raise disks.needs_replacement(wish.kind, wish.name, changed)
        labels_for(wish)  # refused before anything is changed
        if wish.kind == "server":
            self._update_server(raw, wish, spec)
        elif wish.kind == "storage":
            self._update_storage(raw, spec)
        self._set_labels(wish.kind, self._must_get(wish.kind, id), wish.labels)
        return self._view.resource(wish.kind, self._must_get(wish.kind, id))

    def adopt(self, id: str, wish: Wish) -> Resource:
        """Raises ProviderError (`not_found`, `adopted_elsewhere`)."""
        raw = self._must_get(wish.kind, id)
        labels = labels_of(raw)
        holder = self._once.find(wish.kind, key=wish.key)
        if key_of(labels) not in ("", wish.key) or (holder is not None and holder["uuid"] != id):
            whose = f"it is {key_of(labels)!r}" if key_of(labels) else f"{wish.key!r} is {holder and holder['uuid']}"
            raise ProviderError(
                f"cannot adopt {wish.kind} {shown(id)}: {whose}", code="adopted_elsewhere", retryable=False
            )
        if KEY not in labels:
            ours = {name: value for name, value in labels_for(wish).items() if name.startswith(OURS)}
            self._write_labels(wish.kind, id, users(labels) | dict(wish.labels) | ours)
        else:
            self._set_labels(wish.kind, raw, wish.labels)
        return self._view.resource(wish.kind, self._must_get(wish.kind, id))

    def _update_server(self, raw: Raw, wish: Wish, spec: Mapping[str, Any]) -> None:
        id = raw["uuid"]
        sizes = disks.growth(raw, spec)
        plan = self._view.resource("server", raw).attributes["plan"]
        walls.ensure(self._account, raw, spec["firewall"])
        disks.add(self._account, self._once, wish, raw, disks.missing(raw, spec))
        interrupted = OPEN in labels_of(raw)
        if plan != spec["plan"] or sizes:
            if raw["state"] != "stopped":
                self._write_labels("server", id, labels_of(raw) | {OPEN: RESTARTING})
                interrupted = True
                self._servers.stop(raw)
            disks.grow(self._account, sizes)
            if plan != spec["plan"]:
                body = {"server": size_of(spec["plan"])}
                self._account.ask("PUT", f"/server/{id}", body, doing=f"resizing server {wish.name}")
        if interrupted:
            raw = self._servers.start(self._servers.get(id))
            self._servers.wait_for_login(raw)
            self._servers.close(id)

    def _update_storage(self, raw: Raw, spec: Mapping[str, Any]) -> None:
        if spec["size_gb"] < raw["size"]:
            why = f"it would shrink from {raw['size']} to {spec['size_gb']} GiB"
            raise disks.needs_replacement("storage", raw["title"], why)
        if spec["size_gb"] > raw["size"]:
            disks.grow(self._account, {raw["uuid"]: spec["size_gb"]})

    def _set_labels(self, kind: Kind, raw: Raw, labels: Mapping[str, str]) -> None:
        """The user's become these; ours stay."""
        there = labels_of(raw)
        if users(there) != dict(labels):
            ours = {name: value for name, value in there.items() if name.startswith(OURS)}
            self._write_labels(kind, raw["uuid"], dict(labels) | ours)

    def _write_labels(self, kind: Kind, id: str, labels: Mapping[str, str]) -> None:
        self._account.relabel(kind, id, labels)

    def _must_get(self, kind: Kind, id: str) -> Raw:
        raw = self._account.get(kind, id)
        if raw is None:
            raise ProviderError(f"UpCloud has no {kind} {shown(id)}", code="not_found", retryable=False)
        return raw
