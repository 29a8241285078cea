"""Networks and volumes of their own at Hetzner. Each is made by its unique name, so twice at once gives one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ...errors import ProviderError
from ...provider import Resource, Wish
from . import identity
from .account import Account
from .terms import network_ranges


class Networks:
    def __init__(self, account: Account) -> None:
        self._account = account
        self.client = account.client.networks

    def make(self, wish: Wish, spec: Mapping[str, Any]) -> tuple[Any, bool]:
        from hcloud.networks import NetworkSubnet

        whole, part = network_ranges(spec["cidr"])
        subnet = NetworkSubnet(ip_range=part, type="cloud", network_zone=spec["zone"])
        make = partial(self.client.create, ip_range=whole, subnets=[subnet], labels=identity.labels_of(wish))
        return make_named(self._account, wish, make, self.client.get_by_name)

    def delete(self, network: Any) -> None:
        """Raises ProviderError (`network_in_use`): Hetzner itself would take it from under its servers."""
        doing = f"deleting network {network.name}"
        if network.servers:
            raise ProviderError(
                f"{doing}: {len(network.servers)} servers still in it", code="network_in_use", hint="delete them first"
            )
        self._account.ask_if_there(doing, lambda: self.client.delete(network))
        get = partial(self.client.get_by_id, network.id)
        self._account.until(doing, lambda: self._account.ask_if_there(doing, get) is None)

    def resource(self, network: Any) -> Resource | None:
        whose = identity.read("network", network.labels or {})
        return None if whose is None else Resource("network", str(network.id), **whose, **_network_seen(network))

    def stranger(self, network: Any) -> Resource:
        named: dict[str, Any] = {"key": "", "intent": "", "infra": "", "name": str(network.name)}
        return Resource("network", str(network.id), **named, **_network_seen(network))


class Storages:
    def __init__(self, account: Account) -> None:
        self._account = account
        self.client = account.client.volumes

    def make(self, wish: Wish, spec: Mapping[str, Any]) -> tuple[Any, bool]:
        from hcloud.locations import Location

        def make(name: str) -> Any:
            made = self.client.create(
                spec["size_gb"], name, labels=identity.labels_of(wish), location=Location(name=spec["zone"])
            )
            return made.volume

        volume, created = make_named(self._account, wish, make, self.client.get_by_name)
        return volume, created

    def finish(self, id: int, doing: str) -> Any:
        """Also what a killed attempt has begun."""
        self._account.until(doing, lambda: self._now(id, doing).status == "available")
        return self._now(id, doing)

    def grow(self, volume: Any, size_gb: int, doing: str) -> None:
        if int(volume.size or 0) > size_gb:
            raise ProviderError(
                f"{doing}: it has {volume.size} GiB and can't become smaller", code="needs_replacement", retryable=False
            )
        if volume.size != size_gb:
            self._account.finish(doing, self._account.ask(doing, lambda: volume.resize(size_gb)))

    def delete(self, volume: Any) -> None:
        doing = f"deleting volume {volume.name}"
        if volume.server is not None:
            self._account.finish(doing, self._account.ask(doing, volume.detach))
        self._account.ask_if_there(doing, lambda: self.client.delete(volume))
        get = partial(self.client.get_by_id, volume.id)
        self._account.until(doing, lambda: self._account.ask_if_there(doing, get) is None)

    def resource(self, volume: Any) -> Resource | None:
        whose = identity.read("storage", volume.labels or {})
        return None if whose is None else Resource("storage", str(volume.id), **whose, **_volume_seen(volume))

    def stranger(self, volume: Any) -> Resource:
        named: dict[str, Any] = {"key": "", "intent": "", "infra": "", "name": str(volume.name)}
        return Resource("storage", str(volume.id), **named, **_volume_seen(volume))

    def _now(self, id: int, doing: str) -> Any:
        return self._account.ask(doing, lambda: self.client.get_by_id(id))


def make_named(account: Account, wish: Wish, make: Any, by_name: Any) -> tuple[Any, bool]:
    """Make it, or find what has that name: a lost answer's, or another process's. It must be this wish's."""
    doing = f"creating {wish.kind} {wish.name}"
    name = identity.resource_name(wish.infra, wish.name, identity.digest(wish.kind, wish.key))
    try:
        made = account.ask(doing, lambda: make(name))
        return made, True
    except ProviderError as error:
        if error.code != "uniqueness_error":
            raise
    account.until(doing, lambda: by_name(name) is not None)
    found = account.ask(doing, lambda: by_name(name))
    whose = identity.read(wish.kind, found.labels or {})
    if whose is None or whose["key"] != wish.key:
        raise ProviderError(
            f"{doing}: the project has a {wish.kind} {name!r} that is not ours",
            code="name_taken",
            hint="rename it, or use another project",
            retryable=False,
        )
    return found, False


def _network_seen(network: Any) -> dict[str, Any]:
    subnet = next(iter(network.subnets or []), None)
    cidr, zone = (subnet.ip_range, subnet.network_zone) if subnet else (network.ip_range, None)
    seen = {"cidr": cidr, "labels": identity.users(network.labels or {}), "spec": {"cidr": cidr, "zone": zone}}
    return {"state": "started", "attributes": seen}


def _volume_seen(volume: Any) -> dict[str, Any]:
    zone = volume.location.name if volume.location else None
    spec = {"size_gb": volume.size, "zone": zone}
    seen = {"zone": zone, "labels": identity.users(volume.labels or {}), "spec": spec}
    return {"state": "started" if volume.status == "available" else "creating", "attributes": seen}
