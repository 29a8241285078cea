"""A spec in Hetzner's terms: its server types, locations and images. Pure: no call, no SDK."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from ...capabilities import Fault, RefusedError
from ...errors import ProviderError
from ...names import PLAN_WORDS
from ...provider import Kind
from ...yamlfile import shown
from .. import portable
from ..portable import check_spec, guess
from ..sshkeys import read_keys
from .catalogue import (
    DEDICATED,
    DISKS,
    EUROPE,
    NAMES,
    NETWORK_ZONES,
    ONLY_EUROPE,
    RULES_MAX,
    SHARED_ABROAD,
    SHARED_EU,
    VOLUME_LEAST_GB,
    VOLUME_MOST_GB,
    VOLUMES_MAX,
)
from .setting import Setting

USER_DATA_MAX = 32 * 1024


def normalize(kind: Kind, spec: Mapping[str, Any], setting: Setting) -> dict[str, Any]:
    """Raises RefusedError (`bad_spec`) with all that Hetzner would not take."""
    given = check_spec(kind, spec)
    if kind == "network":
        return _network(given, setting)
    faults: list[Fault] = []
    zone = _zone(given, setting, faults)
    if kind == "storage":
        size_gb = _volume("", {"name": "", **given}, faults)["size_gb"]
        normal: dict[str, Any] = {"size_gb": size_gb, "zone": zone}
    else:
        given = {"firewall": [], "storages": [], **given}
        faults += portable.user_data_faults(given.get("user_data"), USER_DATA_MAX)
        normal = {
            "plan": _plan(given, zone, setting, faults),
            "zone": zone,
            "image": given.get("image", setting.image),
            "network": given.get("network"),
            "ssh_keys": read_keys(given.get("ssh_keys", ()), faults),
            "user_data": given.get("user_data"),
            "firewall": portable.firewall(given, faults),
            "storages": portable.storages(
                given, lambda storage: _volume(f"storages.{storage['name']}", storage, faults)
            ),
        }
        most = {"firewall": RULES_MAX - 1, "storages": VOLUMES_MAX}  # one rule is ours, for SSH
        for name, limit in most.items():
            if len(normal[name]) > limit:
                faults.append(Fault(name, f"{len(normal[name])} of them; accepted: at most {limit}"))
    if faults:
        raise RefusedError(kind, faults)
    return normal


def apart(zone: str, network_zone: str) -> bool:
    """Whether a server of this zone can't be in a network of that one."""
    return NETWORK_ZONES.get(zone, network_zone) != network_zone


def network_ranges(cidr: str) -> tuple[str, str]:
    """Of the network and of its one subnet. Hetzner's networks have /24 at least, a subnet may be smaller."""
    subnet = ipaddress.IPv4Network(cidr)
    return str(subnet if subnet.prefixlen <= 24 else subnet.supernet(new_prefix=24)), cidr


def _network(given: Mapping[str, Any], setting: Setting) -> dict[str, Any]:
    zones = sorted(set(NETWORK_ZONES.values()))
    zone = given.get("zone", setting.zone)
    zone = NETWORK_ZONES.get(zone, zone)
    faults = []
    if zone not in zones:
        known = [*NETWORK_ZONES, *zones]
        faults.append(Fault("zone", f"{shown(zone)} is none; accepted: {', '.join(known)}{guess(zone, known)}"))
    try:
        network = ipaddress.IPv4Network(given["cidr"])
        if not network.is_private or not 8 <= network.prefixlen <= 30:
            words = f"{shown(given['cidr'])} is not accepted; accepted: private networks, /8 to /30"
            faults.append(Fault("cidr", words))
    except ValueError as error:
        faults.append(Fault("cidr", str(error)))
    if faults:
        raise RefusedError("network", faults)
    return {"cidr": given["cidr"], "zone": zone}


def _zone(given: Mapping[str, Any], setting: Setting, faults: list[Fault]) -> str:
    zone = str(given.get("zone", setting.zone))
    if zone not in NETWORK_ZONES:
        words = f"{shown(zone)} is none of {', '.join(NETWORK_ZONES)}{guess(zone, NETWORK_ZONES)}"
        faults.append(Fault("zone", words))
    return zone


def _plan(given: Mapping[str, Any], zone: str, setting: Setting, faults: list[Fault]) -> str:
    """The one that was named, or the smallest that is enough."""
    plan = given.get("plan")
    wanted = portable.wanted_size(given)
    if plan in setting.plans:
        return setting.plans[str(plan)]
    in_europe = NETWORK_ZONES.get(zone, EUROPE) == EUROPE
    if wanted is None:
        _check_type(str(plan), given.get("disk_gb", 0), in_europe, setting, faults)
        return str(plan)
    for name, size in (*(SHARED_EU if in_europe else SHARED_ABROAD), *DEDICATED):
        if size.cpus >= wanted.cpus and size.memory_gb >= wanted.memory_gb and size.disk_gb >= wanted.disk_gb:
            return str(name)
    size_words = f"{wanted.cpus} cpus, {wanted.memory_gb:g} GiB, disk {wanted.disk_gb} GiB"
    faults.append(Fault("plan" if plan else "cpus", f"Hetzner has no server with {size_words}"))
    return ""


def _check_type(plan: str, disk_gb: int, in_europe: bool, setting: Setting, faults: list[Fault]) -> None:
    if plan not in NAMES and plan not in setting.plans.values():
        words = f"{shown(plan)} is no server type of Hetzner; accepted: those, or {PLAN_WORDS}{guess(plan, NAMES)}"
        faults.append(Fault("plan", words))
    elif plan in ONLY_EUROPE and not in_europe:
        faults.append(Fault("plan", f"{plan} is to be had in Europe only; name another, like {SHARED_ABROAD[1][0]}"))
    if disk_gb > DISKS.get(plan, disk_gb):
        faults.append(Fault("disk_gb", f"{plan} has {DISKS[plan]} GiB; name a larger plan, or use storages"))


def _volume(path: str, storage: Mapping[str, Any], faults: list[Fault]) -> dict[str, Any]:
    """At least 10 GiB: what is smaller is made that large."""
    if storage.get("tier") is not None:
        words = f"{shown(storage['tier'])}: Hetzner has only one, leave it out"
        faults.append(Fault(f"{path}.tier".lstrip("."), words))
    if storage["size_gb"] > VOLUME_MOST_GB:
        words = f"{shown(storage['size_gb'])} GiB; accepted: at most {VOLUME_MOST_GB}"
        faults.append(Fault(f"{path}.size_gb".lstrip("."), words))
    return {"name": storage["name"], "size_gb": max(VOLUME_LEAST_GB, storage["size_gb"])}


def too_small(error: ProviderError) -> bool:
    return error.code == "invalid_server_type"
