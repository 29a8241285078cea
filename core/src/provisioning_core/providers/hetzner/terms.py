"""A spec in Hetzner's terms: its server types, locations and images. Pure: no call, no SDK."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from ...errors import ProviderError
from ...names import PLAN_WORDS
from ...provider import Kind
from ...yamlfile import shown, suggestion
from .. import portable
from ..portable import Size, bad_spec, check_spec
from .setting import Setting

NETWORK_ZONES = {
    "fsn1": "eu-central",
    "nbg1": "eu-central",
    "hel1": "eu-central",
    "ash": "us-east",
    "hil": "us-west",
    "sin": "ap-southeast",
}
VOLUME_LEAST_GB, VOLUME_MOST_GB = 10, 10_240
_SHARED_EU = (
    ("cx23", Size(2, 4, 40)),
    ("cx33", Size(4, 8, 80)),
    ("cx43", Size(8, 16, 160)),
    ("cx53", Size(16, 32, 320)),
)
_SHARED_ABROAD = (
    ("cpx11", Size(2, 2, 40)),
    ("cpx21", Size(3, 4, 80)),
    ("cpx31", Size(4, 8, 160)),
    ("cpx41", Size(8, 16, 240)),
    ("cpx51", Size(16, 32, 360)),
)
_DEDICATED = (
    ("ccx13", Size(2, 8, 80)),
    ("ccx23", Size(4, 16, 160)),
    ("ccx33", Size(8, 32, 240)),
    ("ccx43", Size(16, 64, 360)),
    ("ccx53", Size(32, 128, 600)),
    ("ccx63", Size(48, 192, 960)),
)
_DISKS = {name: size.disk_gb for name, size in (*_SHARED_EU, *_SHARED_ABROAD, *_DEDICATED)}
_NATIVE = re.compile(r"c[a-z]{1,3}[0-9]{2,3}")


def normalize(kind: Kind, spec: Mapping[str, Any], setting: Setting) -> dict[str, Any]:
    """Raises ProviderError (`bad_spec`) with all that Hetzner would not take."""
    given = check_spec(kind, spec)
    if kind == "network":
        return _network(given, setting)
    faults: list[str] = []
    zone = _zone(given, setting, faults)
    if kind == "storage":
        size_gb = _volume({"name": "", **given}, faults)["size_gb"]
        normal: dict[str, Any] = {"size_gb": size_gb, "zone": zone}
    else:
        given = {"firewall": [], "storages": [], **given}
        keys = sorted({key.strip() for key in given.get("ssh_keys", ())})
        faults += portable.key_faults(keys)
        normal = {
            "plan": _plan(given, zone, setting, faults),
            "zone": zone,
            "image": given.get("image", setting.image),
            "network": given.get("network"),
            "ssh_keys": keys,
            "user_data": given.get("user_data"),
            "firewall": portable.firewall(given),
            "storages": portable.storages(given, lambda storage: _volume(storage, faults)),
        }
    if faults:
        raise bad_spec(kind, faults)
    return normal


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
        faults.append(f"zone: {shown(zone)} is none; accepted: {', '.join(known)}.{suggestion(zone, known)}")
    try:
        if not 8 <= ipaddress.IPv4Network(given["cidr"]).prefixlen <= 30:
            faults.append(f"cidr: {shown(given['cidr'])} is not accepted; accepted: /8 to /30")
    except ValueError as error:
        faults.append(f"cidr: {error}")
    if faults:
        raise bad_spec("network", faults)
    return {"cidr": given["cidr"], "zone": zone}


def _zone(given: Mapping[str, Any], setting: Setting, faults: list[str]) -> str:
    zone = str(given.get("zone", setting.zone))
    if zone not in NETWORK_ZONES:
        guess = suggestion(zone, list(NETWORK_ZONES))
        faults.append(f"zone: {shown(zone)} is none of {', '.join(NETWORK_ZONES)}.{guess}".removesuffix("."))
    return zone


def _plan(given: Mapping[str, Any], zone: str, setting: Setting, faults: list[str]) -> str:
    """The one that was named, or the smallest that is enough."""
    plan, disk_gb = given.get("plan"), given.get("disk_gb", 0)
    wanted = portable.wanted_size(given)
    if plan in setting.plans:
        return setting.plans[str(plan)]
    if wanted is None:
        assert plan is not None
        if not _NATIVE.fullmatch(plan):
            guess = suggestion(plan, list(_DISKS))
            faults.append(f"plan: {shown(plan)} is no server type of Hetzner; accepted: those, or {PLAN_WORDS}.{guess}")
        elif disk_gb > _DISKS.get(plan, disk_gb):
            faults.append(f"disk_gb: {plan} has {_DISKS[plan]} GiB; name a larger plan, or use storages")
        return str(plan)
    shared = _SHARED_EU if NETWORK_ZONES.get(zone, "eu-central") == "eu-central" else _SHARED_ABROAD
    for name, size in (*shared, *_DEDICATED):
        if size.cpus >= wanted.cpus and size.memory_gb >= wanted.memory_gb and size.disk_gb >= wanted.disk_gb:
            return str(name)
    faults.append(
        f"plan: Hetzner has no server with {wanted.cpus} cpus, {wanted.memory_gb:g} GiB, disk {wanted.disk_gb} GiB"
    )
    return ""


def _volume(storage: Mapping[str, Any], faults: list[str]) -> dict[str, Any]:
    """At least 10 GiB: what is smaller is made that large."""
    if storage.get("tier") is not None:
        faults.append(f"storages: tier {shown(storage['tier'])}: Hetzner has only one, leave it out")
    if storage["size_gb"] > VOLUME_MOST_GB:
        faults.append(f"storages: {shown(storage['size_gb'])} GiB; accepted: at most {VOLUME_MOST_GB}")
    return {"name": storage["name"], "size_gb": max(VOLUME_LEAST_GB, storage["size_gb"])}


def too_small(error: ProviderError) -> bool:
    return error.code == "invalid_server_type"
