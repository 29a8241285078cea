"""The provider `hetzner`. What makes two creates one is that Hetzner refuses a second resource of the same name.

What a kill leaves behind at each point, and who finishes it, stands in `servers`; whose a resource is, in `identity`.
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
from ..claim import claim
from . import credentials, disks, identity, terms
from .account import Account
from .identity import OPEN
from .networks import Networks, Storages
from .parts import Parts
from .servers import Servers
from .setting import Setting, read_setting


class HetznerProvider:
    """settings: see `setting`. The token comes from the environment, when the first call is made."""

    name = "hetzner"
    capabilities = Capabilities(
        kinds=("network", "storage", "server"),
        flags=frozenset(
            {"update", "power", "adopt", "zones", "plans", "prices", "images", "ssh_keys", "user_data", "labels"}
            | {"firewall", "storages"}  # type: ignore[arg-type]
        ),
        effects={
            "server": {"labels": "in_place", "plan": "restart", "firewall": "in_place", "storages": "in_place"},
            "network": {"labels": "in_place"},
            "storage": {"labels": "in_place", "size_gb": "in_place"},
        },
    )

    def __init__(self, workspace: Path, settings: Mapping[str, Any] = {}) -> None:
        self.workspace = Path(workspace)
        self._setting: Setting = read_setting(settings, os.environ)

    # --- the five verbs ---------------------------------------------------------------------------------------------

    def create(self, wish: Wish, *, announce: Callable[[Resource], None] = lambda _: None) -> Created:
        portable.check_wish(wish, self.faults(wish))
        spec = self.normalize(wish.kind, wish.spec)
        # The lock spares processes of this workspace the detour of a refusal; it is Hetzner who refuses a second one.
        with claim(self.workspace, f"hetzner/{wish.kind}/{wish.key}"):
            if wish.kind == "server":
                return self._create_server(wish, spec, announce)
            raw, created = self._find_raw(wish.kind, wish.intent, wish.key), False
            if raw is None:
                raw, created = self._room(wish.kind).make(wish, spec)
            resource = self._resource(wish.kind, raw)
            assert resource is not None
            announce(resource)
            if wish.kind == "storage":
                resource = self._storages.resource(self._storages.finish(raw.id, f"creating storage {wish.name}"))
                assert resource is not None
            return Created(resource, created)

    def find(self, kind: Kind, *, intent: str | None = None, key: str | None = None) -> Resource | None:
        return self._find(kind, intent, key)

    def get(self, kind: Kind, id: str) -> Resource | None:
        found = self._get(kind, id)
        return None if found is None else self._resource(kind, found)

    def list(self, kind: Kind, *, infra: str | None = None) -> list[Resource]:
        selector = f"{identity.INFRA}=={infra}" if infra is not None else identity.ID
        parts = Parts(self._account, all=True)
        found = (self._resource(kind, each, parts) for each in self._select(kind, f"{identity.ID},{selector}"))
        return sorted((each for each in found if each is not None), key=lambda each: each.key)

    def delete(self, kind: Kind, id: str) -> bool:
        found = self._get(kind, id)
        if found is None or self._resource(kind, found) is None:
            return False
        self._room(kind).delete(found)
        return True

    # --- what it can do beyond them ---------------------------------------------------------------------------------

    def normalize(self, kind: Kind, spec: Mapping[str, Any]) -> dict[str, Any]:
        return terms.normalize(kind, spec, self._setting)

    def faults(self, wish: Wish, network: Mapping[str, Any] | None = None) -> builtins.list[Fault]:
        return [*self._named_faults(wish), *portable.spec_faults(self.normalize, wish, network, terms.apart)]

    def update(self, id: str, wish: Wish) -> Resource:
        portable.check_wish(wish, self.faults(wish))
        found, doing = self._must_get(wish.kind, id), f"changing {wish.kind} {wish.name}"
        now = self._resource(wish.kind, found)
        if now is None or now.key != wish.key:
            raise ProviderError(f"{doing}: {id} is not ours by that key", code="not_found", retryable=False)
        spec = self.normalize(wish.kind, wish.spec)
        seen = now.attributes["spec"]
        fixed = [
            name
            for name, value in spec.items()
            if name in seen and seen[name] != value and self.capabilities.effect(wish.kind, name) == "replace"
        ]
        if fixed:
            raise ProviderError(
                f"{doing}: {', '.join(fixed)} can't be changed in what exists",
                code="needs_replacement",
                retryable=False,
            )
        if wish.kind == "server":
            disks.check(wish.name, seen["storages"], spec["storages"])
        own = {name: value for name, value in (found.labels or {}).items() if name.startswith(identity.OURS)}
        labels = dict(wish.labels) | own
        if wish.kind == "server":
            return self._update_server(found, labels, spec, seen, doing)
        if wish.kind == "storage":
            self._storages.grow(found, spec["size_gb"], doing)
        if labels != dict(found.labels or {}):
            self._account.ask(doing, lambda: found.update(labels=labels))
        return self._must_resource(wish.kind, id)

    def power(self, id: str, action: PowerAction) -> Resource:
        server = self._must_get("server", id)
        doing = f"powering server {server.name}: {action}"
        now = self._servers.power(server.id, action, doing)
        if action != "stop":
            self._servers.wait_for_ssh(now)
        return self._must_resource("server", id)

    def unmanaged(self, kind: Kind) -> builtins.list[Resource]:
        parts = Parts(self._account)
        found = self._select(kind, f"!{identity.ID},!{identity.OF}")
        return [self._stranger(kind, each, parts) for each in found]

    def adopt(self, id: str, wish: Wish) -> Resource:
        portable.check_wish(wish, self._named_faults(wish))
        found, doing = self._must_get(wish.kind, id), f"adopting {wish.kind} {id} as {wish.name}"
        whose = identity.read(wish.kind, found.labels or {})
        if whose is not None and whose["key"] != wish.key:
            raise ProviderError(f"{doing}: it is {whose['key']!r}", code="adopted_elsewhere", retryable=False)
        intent = {identity.INTENT: whose["intent"]} if whose else {}
        labels = dict(found.labels or {}) | identity.labels_of(wish) | intent
        if labels != dict(found.labels or {}):
            self._account.ask(doing, lambda: found.update(labels=labels))
        return self._must_resource(wish.kind, id)

    def zones(self) -> builtins.list[str]:
        found = self._account.ask("listing locations", self._account.client.locations.get_all)
        return sorted(str(each.name) for each in found)

    def plans(self, zone: str | None = None) -> builtins.list[PlanInfo]:
        """Net prices: at the zone given; without one at the provider's own, or where else it can be had."""
        found = self._account.ask("listing server types", self._account.client.server_types.get_all)
        infos = []
        for each in found:
            prices = {price["location"]: float(price["price_hourly"]["net"]) for price in each.prices or []}
            if zone is None or zone in prices:
                hour = prices.get(zone or self._setting.zone, next(iter(prices.values()), None))
                sizes = (int(each.cores or 0), float(each.memory or 0), each.disk)
                infos.append(PlanInfo(str(each.name), *sizes, hour, "EUR" if hour is not None else None))
        return sorted(infos, key=lambda info: (info.cpus, info.memory_gb, info.name))

    def images(self) -> builtins.list[str]:
        client = self._account.client.images
        found = self._account.ask("listing images", lambda: client.get_all(type=["system"]))
        return sorted({str(each.name) for each in found})

    # --- inside -----------------------------------------------------------------------------------------------------

    def _named_faults(self, wish: Wish) -> builtins.list[Fault]:
        return [*portable.name_faults(wish), *identity.LABELS.faults(wish.labels)]

    def _create_server(self, wish: Wish, spec: dict[str, Any], announce: Callable[[Resource], None]) -> Created:
        doing = f"creating server {wish.name}"
        server, created = self._find_raw("server", wish.intent, wish.key), False
        if server is None:
            server, created = self._servers.make(wish, spec, self._network_of(wish, spec))
        resource = self._resource("server", server)
        assert resource is not None
        announce(resource)
        making = OPEN in (server.labels or {})
        server = self._servers.finish(server, spec if making else None, doing)
        finished = self._resource("server", server)
        assert finished is not None
        return Created(finished, created, restarted=not making and resource.state == "stopped")

    def _network_of(self, wish: Wish, spec: Mapping[str, Any]) -> Any:
        if spec["network"] is None:
            return None
        found = self._find_raw("network", None, portable.network_key(wish, spec["network"]))
        if found is None:
            raise ProviderError(
                f"creating server {wish.name}: there is no network {spec['network']!r} at Hetzner",
                code="no_network",
                hint="create the network first",
                retry_after_s=5,
            )
        return found

    def _update_server(
        self, server: Any, labels: dict[str, str], spec: dict[str, Any], seen: Mapping[str, Any], doing: str
    ) -> Resource:
        """Labels, firewall and storages while it runs; the plan while it is stopped, and then it runs as before."""
        server = self._servers.relabel(server, labels, doing)
        if spec["firewall"] != seen["firewall"] or spec["storages"] != seen["storages"]:
            self._servers.settle(server.id, doing)
            self._servers.furnish(server, spec)
        if spec["plan"] != seen["plan"]:
            server = self._servers.change_plan(server, spec["plan"], doing)
        if (server.labels or {}).get(OPEN):
            self._servers.finish(server, spec, doing)
        return self._must_resource("server", str(server.id))

    def _find(self, kind: Kind, intent: str | None, key: str | None) -> Resource | None:
        found = self._find_raw(kind, intent, key)
        return None if found is None else self._resource(kind, found)

    def _find_raw(self, kind: Kind, intent: str | None, key: str | None) -> Any:
        """By intent, then by key. Labels are compared with the whole key: a digest alone proves nothing."""
        for field, value in (("intent", intent), ("key", key)):
            if value is None:
                continue
            label = identity.INTENT if field == "intent" else identity.ID
            text = value if field == "intent" else identity.digest(kind, value)
            for each in self._select(kind, f"{label}=={text}"):
                whose = identity.read(kind, each.labels or {})
                if whose is not None and whose[field] == value:
                    return each
        return None

    def _select(self, kind: Kind, selector: str) -> builtins.list[Any]:
        if kind == "server":
            return list(self._servers.select(selector))
        client = self._room(kind).client
        return list(self._account.ask(f"listing {kind}s", lambda: client.get_all(label_selector=selector)))

    def _get(self, kind: Kind, id: str) -> Any:
        if not (id.isascii() and id.isdecimal()):
            return None
        if kind == "server":
            return self._servers.get(int(id))
        client = self._room(kind).client
        return self._account.ask_if_there(f"looking at {kind} {id}", lambda: client.get_by_id(int(id)))

    def _must_get(self, kind: Kind, id: str) -> Any:
        found = self._get(kind, id)
        if found is None:
            raise ProviderError(f"there is no {kind} {id!r} at Hetzner", code="not_found", retryable=False)
        return found

    def _resource(self, kind: Kind, found: Any, parts: Parts | None = None) -> Resource | None:
        if kind == "server":
            return self._servers.resource(found, parts or Parts(self._account))
        resource: Resource | None = self._room(kind).resource(found)
        return resource

    def _must_resource(self, kind: Kind, id: str) -> Resource:
        found = self._resource(kind, self._must_get(kind, id))
        assert found is not None
        return found

    def _stranger(self, kind: Kind, found: Any, parts: Parts) -> Resource:
        if kind == "server":
            return self._servers.stranger(found, parts)
        resource: Resource = self._room(kind).stranger(found)
        return resource

    def _room(self, kind: Kind) -> Any:
        if kind == "server":
            return self._servers
        return self._networks if kind == "network" else self._storages

    @cached_property
    def _account(self) -> Account:
        return Account(self._setting, credentials.token(os.environ))

    @cached_property
    def _servers(self) -> Servers:
        return Servers(self._account, self._setting, self.workspace)

    @cached_property
    def _networks(self) -> Networks:
        return Networks(self._account)

    @cached_property
    def _storages(self) -> Storages:
        return Storages(self._account)
