"""A spec in EC2's terms: instance types, zones of one region, images. Pure: no call, no SDK."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from ...names import PLAN_WORDS
from ...provider import Kind
from ...yamlfile import shown, suggestion
from .. import portable
from ..portable import Size, bad_spec, check_spec
from .images import AMI, IMAGES
from .setting import Setting

_SIZES = (  # from small to large; the first that is enough is taken
    ("t3.micro", Size(2, 1)),
    ("t3.small", Size(2, 2)),
    ("t3.medium", Size(2, 4)),
    ("t3.large", Size(2, 8)),
    ("c7i.xlarge", Size(4, 8)),
    ("t3.xlarge", Size(4, 16)),
    ("c7i.2xlarge", Size(8, 16)),
    ("t3.2xlarge", Size(8, 32)),
    ("c7i.4xlarge", Size(16, 32)),
    ("m7i.4xlarge", Size(16, 64)),
    ("c7i.8xlarge", Size(32, 64)),
    ("m7i.8xlarge", Size(32, 128)),
    ("m7i.12xlarge", Size(48, 192)),
    ("m7i.16xlarge", Size(64, 256)),
    ("m7i.24xlarge", Size(96, 384)),
)
VOLUME_TYPES = {"gp3": 1, "gp2": 1, "io2": 4, "io1": 4, "st1": 125, "sc1": 125}
"""Tiers, with the smallest size of each, GiB."""
VOLUME_MOST_GB, DISK_LEAST_GB = 16_384, 8
_NATIVE = re.compile(r"[a-z][a-z0-9-]{1,14}\.[a-z0-9-]{2,14}")


def normalize(kind: Kind, spec: Mapping[str, Any], setting: Setting) -> dict[str, Any]:
    """Raises ProviderError (`bad_spec`) with all that EC2 would not take."""
    given = check_spec(kind, spec)
    faults: list[str] = []
    zone = _zone(given, setting, faults)
    if kind == "network":
        normal: dict[str, Any] = {"cidr": _cidr(given, faults), "zone": zone}
    elif kind == "storage":
        volume = _volume({"name": "", **given}, faults)
        normal = {"size_gb": volume["size_gb"], "zone": zone, "tier": volume["tier"]}
    else:
        given = {"firewall": [], "storages": [], **given}
        keys = sorted({key.strip() for key in given.get("ssh_keys", ())})
        faults += portable.key_faults(keys)
        normal = {
            "plan": _plan(given, setting, faults),
            "disk_gb": _disk(given, setting, faults),
            "zone": zone,
            "image": _image(given, setting, faults),
            "network": given.get("network"),
            "ssh_keys": keys,
            "user_data": given.get("user_data"),
            "firewall": portable.firewall(given),
            "storages": portable.storages(given, lambda storage: _volume(storage, faults)),
        }
    if faults:
        raise bad_spec(kind, faults)
    return normal


def _zone(given: Mapping[str, Any], setting: Setting, faults: list[str]) -> str:
    zone = str(given.get("zone", setting.zone))
    if zone == setting.region:
        return f"{zone}a"
    if not re.fullmatch(rf"{re.escape(setting.region)}[a-z]", zone):
        region = setting.region
        faults.append(f"zone: {shown(zone)} is none of region {region}; accepted: {region}a, {region}b and so on")
    return zone


def _cidr(given: Mapping[str, Any], faults: list[str]) -> str:
    try:
        if not 16 <= ipaddress.IPv4Network(given["cidr"]).prefixlen <= 28:
            faults.append(f"cidr: {shown(given['cidr'])} is not accepted; accepted: /16 to /28")
    except ValueError as error:
        faults.append(f"cidr: {error}")
    return str(given["cidr"])


def _plan(given: Mapping[str, Any], setting: Setting, faults: list[str]) -> str:
    """The one that was named, or the smallest that is enough."""
    plan = given.get("plan")
    if plan in setting.plans:
        return setting.plans[str(plan)]
    wanted = portable.wanted_size(given)
    if wanted is None:
        if not _NATIVE.fullmatch(str(plan)):
            guess = suggestion(str(plan), [name for name, _ in _SIZES])
            faults.append(f"plan: {shown(plan)} is no instance type; accepted: those, or {PLAN_WORDS}.{guess}")
        return str(plan)
    for name, size in _SIZES:
        if size.cpus >= wanted.cpus and size.memory_gb >= wanted.memory_gb:
            return name
    faults.append(f"plan: no instance type with {wanted.cpus} cpus and {wanted.memory_gb:g} GiB is known; name one")
    return ""


def _disk(given: Mapping[str, Any], setting: Setting, faults: list[str]) -> int:
    size_gb = int(given.get("disk_gb", setting.disk_gb))
    if size_gb > VOLUME_MOST_GB:
        faults.append(f"disk_gb: {size_gb}; accepted: at most {VOLUME_MOST_GB}")
    return max(DISK_LEAST_GB, size_gb)


def _image(given: Mapping[str, Any], setting: Setting, faults: list[str]) -> str:
    image = str(given.get("image", setting.image))
    if image not in IMAGES and not AMI.fullmatch(image):
        guess = suggestion(image, list(IMAGES))
        faults.append(f"image: {shown(image)} is not known; accepted: {', '.join(IMAGES)}, or an AMI's id.{guess}")
    return image


def _volume(storage: Mapping[str, Any], faults: list[str]) -> dict[str, Any]:
    """At least as large as its type has to be: what is smaller is made that large."""
    tier = storage.get("tier") or "gp3"
    if tier not in VOLUME_TYPES:
        guess = suggestion(str(tier), list(VOLUME_TYPES))
        faults.append(f"tier: {shown(tier)} is none of {', '.join(VOLUME_TYPES)}.{guess}".removesuffix("."))
    if storage["size_gb"] > VOLUME_MOST_GB:
        faults.append(f"size_gb: {storage['size_gb']}; accepted: at most {VOLUME_MOST_GB}")
    least_gb = VOLUME_TYPES.get(tier, 1)
    return {"name": storage["name"], "size_gb": max(least_gb, storage["size_gb"]), "tier": tier}
