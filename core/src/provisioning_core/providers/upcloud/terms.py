"""A spec in UpCloud's terms: its plans, zones, images and tiers. Pure: no call, no SDK."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from ...names import PLAN_WORDS
from ...provider import Kind
from ...yamlfile import shown
from .. import portable
from ..portable import bad_spec, check_spec
from .setting import Setting

PLANS: Mapping[tuple[int, float], str] = {  # cpus, GiB of memory
    (1, 1): "1xCPU-1GB",
    (1, 2): "1xCPU-2GB",
    (2, 4): "2xCPU-4GB",
    (4, 8): "4xCPU-8GB",
    (6, 16): "6xCPU-16GB",
    (8, 32): "8xCPU-32GB",
    (12, 48): "12xCPU-48GB",
    (16, 64): "16xCPU-64GB",
    (20, 96): "20xCPU-96GB",
    (20, 128): "20xCPU-128GB",
}
TIERS = ("maxiops", "standard", "hdd")
IMAGES = {
    "debian-12": "Debian GNU/Linux 12 (Bookworm)",
    "debian-13": "Debian GNU/Linux 13 (Trixie)",
    "ubuntu-22.04": "Ubuntu Server 22.04 LTS (Jammy Jellyfish)",
    "ubuntu-24.04": "Ubuntu Server 24.04 LTS (Noble Numbat)",
    "rocky-9": "Rocky Linux 9",
}
"""Portable names; any title or uuid of UpCloud's is accepted too."""
CUSTOM_CPUS_MAX, CUSTOM_MEMORY_MAX_GB = 20, 128
DISK_LEAST_GB, DISK_MOST_GB = 10, 4096
_NATIVE = re.compile(r"([A-Z0-9]+-)*[1-9][0-9]*xCPU-[1-9][0-9]*GB(-[A-Za-z0-9]+)*")
_ZONE = re.compile(r"[a-z]{2}-[a-z]{3}[0-9]")


def normalize(kind: Kind, spec: Mapping[str, Any], setting: Setting) -> dict[str, Any]:
    """Raises ProviderError (`bad_spec`) with all that UpCloud would not take."""
    given = check_spec(kind, spec)
    faults: list[str] = []
    zone = str(given.get("zone", setting.zone))
    if not _ZONE.fullmatch(zone):
        faults.append(f"zone: {shown(zone)} is none of UpCloud's; they look like fi-hel1")
    normal = _FIELDS[kind](given, setting, faults) | {"zone": zone}
    if faults:
        raise bad_spec(kind, faults)
    return normal


def custom_size(plan: str) -> tuple[int, int] | None:
    """cpus and GiB of a size that is no plan of UpCloud's; None for a plan."""
    size = portable.wanted_size({"plan": plan})
    return None if size is None else (size.cpus, int(size.memory_gb))


def observed_plan(plan: str, cores: str, memory_mib: str) -> str:
    return f"{cores}cpu-{int(memory_mib) // 1024}gb" if plan == "custom" else plan


def _network(given: Mapping[str, Any], _: Setting, faults: list[str]) -> dict[str, Any]:
    try:
        network = ipaddress.IPv4Network(given["cidr"])
        if not network.is_private or network.prefixlen > 29:
            faults.append(f"cidr: {shown(given['cidr'])} is not accepted; accepted: private networks up to /29")
    except ValueError as error:
        faults.append(f"cidr: {error}")
    return {"cidr": given["cidr"]}


def _storage(given: Mapping[str, Any], _: Setting, faults: list[str]) -> dict[str, Any]:
    return _disk("storage", given, faults)


def _server(given: Mapping[str, Any], setting: Setting, faults: list[str]) -> dict[str, Any]:
    given = {"firewall": [], "storages": [], **given}
    plan = _plan(given, faults)
    # Not the plan's own disk: a disk never shrinks, so that a larger plan could not be left again.
    disk = _disk("disk_gb", {"size_gb": given.get("disk_gb", setting.disk_gb)}, faults)
    keys = sorted({key.strip() for key in given.get("ssh_keys", ())})
    faults += portable.key_faults(keys)
    image = str(given.get("image", setting.image))
    return {
        "plan": plan,
        "disk_gb": disk["size_gb"],
        "image": IMAGES.get(image, image),
        "network": given.get("network"),
        "ssh_keys": keys,
        "user_data": given.get("user_data"),
        "firewall": portable.firewall(given),
        "storages": portable.storages(
            given, lambda each: {"name": each["name"]} | _disk(f"storage {each['name']}", each, faults)
        ),
    }


def _plan(given: Mapping[str, Any], faults: list[str]) -> str:
    """UpCloud's plan of exactly that size, else the size itself: it is made to measure."""
    size = portable.wanted_size(given)
    if size is None:
        plan = str(given["plan"])
        if not _NATIVE.fullmatch(plan):
            faults.append(f"plan: {shown(plan)} is none of UpCloud's, like 2xCPU-4GB, nor {PLAN_WORDS}")
        return plan
    if (size.cpus, size.memory_gb) in PLANS:
        return PLANS[size.cpus, size.memory_gb]
    if size.cpus > CUSTOM_CPUS_MAX or size.memory_gb > CUSTOM_MEMORY_MAX_GB:
        most = f"at most {CUSTOM_CPUS_MAX} cpus and {CUSTOM_MEMORY_MAX_GB} GiB"
        faults.append(f"plan: UpCloud has no server of {size.cpus} cpus and {size.memory_gb:g} GiB; accepted: {most}")
    return f"{size.cpus}cpu-{size.memory_gb:g}gb"


def _disk(what: str, given: Mapping[str, Any], faults: list[str]) -> dict[str, Any]:
    """At least 10 GiB: what is smaller is made that large."""
    tier = given.get("tier") or TIERS[0]
    if tier not in TIERS:
        faults.append(f"{what}: the tier {shown(tier)} is not accepted; accepted: {', '.join(TIERS)}")
    if given["size_gb"] > DISK_MOST_GB:
        faults.append(f"{what}: {given['size_gb']} GiB; accepted: at most {DISK_MOST_GB}")
    return {"size_gb": max(DISK_LEAST_GB, given["size_gb"]), "tier": tier}


_FIELDS = {"network": _network, "storage": _storage, "server": _server}
