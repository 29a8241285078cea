"""The provider `upcloud`, by UpCloud's own SDK. What makes two creates one is `once`; whose a resource is, `identity`.

A server is made by one request: with its disks, interfaces, key and user data. What comes after it (waiting, the
firewall's rules, a first login) is done by whoever calls create again, should this one be killed.
"""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from ...capabilities import Capabilities, Fault, PlanInfo, PowerAction
from ...errors import ProviderError
from ...provider import Created, Kind, Resource, Wish
from .. import portable
from . import disks, terms
from .account import Account, Raw, labels_of, written_labels
from .changes import Changes
from .disks import title_of
from .identity import INFRA, KEY, LABELS, OF, key_faults, key_of, labels_for
from .once import Once
from .servers import Servers
from .setting import read_setting
from .view import View

CURRENCY = "EUR"


class UpCloudProvider:
    """settings: see `setting`. Credentials: see `credentials`; read when the first call is made."""

    name = "upcloud"
    capabilities = Capabilities(
        kinds=("network", "storage", "server"),
        flags=frozenset(
            {"update", "power", "adopt", "zones", "plans", "prices", "images", "ssh_keys", "user_data", "labels"}
            | {"firewall", "storages"}  # type: ignore[arg-type]
        ),
        effects={
            "server": {
                "labels": "in_place",
                "firewall": "in_place",
                "plan": "restart",
                "disk_gb": "restart",
                "storages": "restart",
            },
            "network": {"labels": "in_place"},
            "storage": {"labels": "in_place", "size_gb": "in_place"},
        },
    )

    def __init__(self, workspace: Path, settings: Mapping[str, Any] = {}) -> None:
        self.workspace = Path(workspace)
        self._setting = read_setting(settings, os.environ)

    # --- the five verbs ----------------------------------------------------------------------------------------------

    def create(self, wish: Wish, *, announce: Callable[[Resource], None] = lambda _: None) -> Created:
        portable.check_wish(wish, self.faults(wish))
        spec = self.normalize(wish.kind, wish.spec)
        raw, created = self._once.create(wish, lambda: self._body(wish, spec))
        announce(self._view.resource(wish.kind, raw))
        restarted = False
        if wish.kind == "server":
            raw, restarted = self._servers.finish(raw, spec)
        self._once.confirm(wish.kind, wish.key)
        return Created(self._view.resource(wish.kind, raw), created, restarted)

    def find(self, kind: Kind, *, intent: str | None = None, key: str | None = None) -> Resource | None:
        raw = self._once.find(kind, intent=intent, key=key)
        return None if raw is None else self._view.resource(kind, raw)

    def get(self, kind: Kind, id: str) -> Resource | None:
        """None also for what is there and is not ours: a public network, somebody else's server."""
        raw = self._account.get(kind, id)
        return None if raw is None or KEY not in labels_of(raw) else self._view.resource(kind, raw)

    def list(self, kind: Kind, *, infra: str | None = None) -> builtins.list[Resource]:
        """Of all workspaces that use this account: their ids begin the keys."""
        rows = self._account.rows(kind, [KEY] if infra is None else [KEY, f"{INFRA}={infra}"])
        found = self._account.details(kind, [row for row in rows if OF not in labels_of(row)])
        return sorted((self._view.resource(kind, raw) for raw in found), key=lambda each: each.key)

    def delete(self, kind: Kind, id: str) -> bool:
        raw = self._account.get(kind, id)
        if raw is None or KEY not in labels_of(raw):
            return False
        key = key_of(labels_of(raw))
        if kind == "server":
            deleted = self._servers.delete(id)
            disks.remove_loose(self._account, key)
        elif kind == "storage":
            deleted = disks.delete(self._account, id)
        else:
            deleted = self._delete_network(id)
        self._once.forget(kind, key)
        return deleted

    # --- more than that ----------------------------------------------------------------------------------------------

    def normalize(self, kind: Kind, spec: Mapping[str, Any]) -> dict[str, Any]:
        return terms.normalize(kind, spec, self._setting)

    def faults(self, wish: Wish, network: Mapping[str, Any] | None = None) -> builtins.list[Fault]:
        named = [*portable.name_faults(wish), *key_faults(wish.key), *LABELS.faults(wish.labels)]
        return [*named, *portable.spec_faults(self.normalize, wish, network, lambda own, its: own != its)]

    def update(self, id: str, wish: Wish) -> Resource:
        return self._changes.update(id, wish, self.normalize(wish.kind, wish.spec))

    def power(self, id: str, action: PowerAction) -> Resource:
        raw = self._servers.wait(id, lambda state: state in ("started", "stopped"), "become ready")
        if action != "start" and raw["state"] == "started":
            raw = self._servers.stop(raw)
        if action != "stop" and raw["state"] == "stopped":
            raw = self._servers.start(raw)
            self._servers.wait_for_login(raw)
        return self._view.resource("server", raw)

    def unmanaged(self, kind: Kind) -> builtins.list[Resource]:
        rows = [row for row in self._account.rows(kind) if KEY not in labels_of(row) and OF not in labels_of(row)]
        if kind == "network":
            rows = [row for row in rows if row["type"] == "private"]
        if kind == "storage":
            rows = [row for row in rows if (row.get("access"), row.get("type")) == ("private", "normal")]
        return [self._view.resource(kind, raw) for raw in self._account.details(kind, rows)]

    def adopt(self, id: str, wish: Wish) -> Resource:
        return self._changes.adopt(id, wish)

    def zones(self) -> builtins.list[str]:
        rows = self._account.ask("GET", "/zone", doing="listing zones")["zones"]["zone"]
        return sorted(row["id"] for row in rows if row.get("public", "yes") == "yes")

    def plans(self, zone: str | None = None) -> builtins.list[PlanInfo]:
        """With their prices in that zone; None: in the one that is used by default."""
        prices = self._prices(zone or self._setting.zone)
        rows = self._account.ask("GET", "/plan", doing="listing plans")["plans"]["plan"]
        return [
            PlanInfo(
                row["name"],
                int(row["core_number"]),
                int(row["memory_amount"]) / 1024,
                row.get("storage_size"),
                prices.get(row["name"]),
                CURRENCY if row["name"] in prices else None,
            )
            for row in sorted(rows, key=lambda row: (int(row["core_number"]), int(row["memory_amount"]), row["name"]))
        ]

    def images(self) -> builtins.list[str]:
        return sorted(self._account.templates)

    def _prices(self, zone: str) -> dict[str, float]:
        """Plan to price an hour; UpCloud says cents."""
        rows = self._account.ask("GET", "/price", doing="asking for prices")["prices"]["zone"]
        found: Raw = next((row for row in rows if row["name"] == zone), {})
        plan = "server_plan_"
        return {
            name.removeprefix(plan): round(float(price["price"]) / 100, 6)
            for name, price in found.items()
            if name.startswith(plan)
        }

    # --- how it is put together --------------------------------------------------------------------------------------

    @cached_property
    def _account(self) -> Account:
        return Account(self._setting)

    @cached_property
    def _once(self) -> Once:
        return Once(self.workspace, self._account)

    @cached_property
    def _view(self) -> View:
        return View(self.workspace, self._account)

    @cached_property
    def _servers(self) -> Servers:
        return Servers(self.workspace, self._account, self._once, self._view)

    @cached_property
    def _changes(self) -> Changes:
        return Changes(self._account, self._once, self._servers, self._view)

    def _body(self, wish: Wish, spec: Mapping[str, Any]) -> dict[str, Any]:
        if wish.kind == "server":
            return self._servers.body(wish, spec)
        labels = written_labels(wish.kind, labels_for(wish))
        if wish.kind == "storage":
            size = {"size": str(spec["size_gb"]), "tier": spec["tier"]}
            return {"storage": size | {"title": title_of(wish), "zone": spec["zone"], "labels": labels}}
        ranges = {"address": spec["cidr"], "dhcp": "yes", "dhcp_default_route": "no", "family": "IPv4"}
        network = {"name": title_of(wish), "zone": spec["zone"], "labels": labels}
        return {"network": network | {"ip_networks": {"ip_network": [ranges]}}}

    def _delete_network(self, id: str) -> bool:
        try:
            self._account.ask("DELETE", f"/network/{id}", doing=f"deleting network {id}")
            return True
        except ProviderError as error:
            if error.code == "not_found":
                return False
            raise
