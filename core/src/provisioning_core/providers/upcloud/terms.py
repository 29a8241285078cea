"""A spec in UpCloud's terms: its plans, zones, images and tiers. Pure: no call, no SDK."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from ...capabilities import Fault, RefusedError
from ...names import PLAN_WORDS
from ...provider import Kind
from ...yamlfile import shown
from .. import portable
from ..portable import check_spec
from ..sshkeys import read_keys
from .catalogue import (
    CUSTOM_CPUS_MAX,
    CUSTOM_MEMORY_MAX_GB,
    DISK_LEAST_GB,
    DISK_MOST_GB,
    IMAGES,
    NAMES,
    PLANS,
    STORAGES_MAX,
    TIERS,
    ZONES,
    is_plan,
)
from .setting import Setting

USER_DATA_MAX = 64 * 1024
"""Bytes. UpCloud says no limit; more than any other cloud takes is a mistake."""


def normalize(kind: Kind, spec: Mapping[str, Any], setting: Setting) -> dict[str, Any]:
    """Raises RefusedError (`bad_spec`) with all that UpCloud would not take."""
    given = check_spec(kind, spec)
    faults: list[Fault] = []
    zone = str(given.get("zone", setting.zone))
    if zone not in (known := (*ZONES, *setting.zones)):
        words = f"{shown(zone)} is none of UpCloud's; accepted: {', '.join(known)}{portable.guess(zone, known)}"
        faults.append(Fault("zone", words))
    normal = _FIELDS[kind](given, setting, faults) | {"zone": zone}
    if faults:
        raise RefusedError(kind, faults)
    return normal


def custom_size(plan: str) -> tuple[int, int] | None:
    """cpus and GiB of a size that is no plan of UpCloud's; None for a plan."""
    size = portable.wanted_size({"plan": plan})
    return None if size is None else (size.cpus, int(size.memory_gb))


def observed_plan(plan: str, cores: str, memory_mib: str) -> str:
    return f"{cores}cpu-{int(memory_mib) // 1024}gb" if plan == "custom" else plan


def _network(given: Mapping[str, Any], _: Setting, faults: list[Fault]) -> dict[str, Any]:
    try:
        network = ipaddress.IPv4Network(given["cidr"])
        if not network.is_private or network.prefixlen > 29:
            words = f"{shown(given['cidr'])} is not accepted; accepted: private networks up to /29"
            faults.append(Fault("cidr", words))
    except ValueError as error:
        faults.append(Fault("cidr", str(error)))
    return {"cidr": given["cidr"]}


def _storage(given: Mapping[str, Any], _: Setting, faults: list[Fault]) -> dict[str, Any]:
    return _disk("", given, faults)


def _server(given: Mapping[str, Any], setting: Setting, faults: list[Fault]) -> dict[str, Any]:
    given = {"firewall": [], "storages": [], **given}
    plan = _plan(given, setting, faults)
    # Not the plan's own disk: a disk never shrinks, so that a larger plan could not be left again.
    disk = _disk("disk_gb", {"size_gb": given.get("disk_gb", setting.disk_gb)}, faults)
    image = str(given.get("image", setting.image))
    faults += portable.user_data_faults(given.get("user_data"), USER_DATA_MAX)
    if len(given["storages"]) > STORAGES_MAX:
        faults.append(Fault("storages", f"{len(given['storages'])} of them; accepted: at most {STORAGES_MAX}"))
    return {
        "plan": plan,
        "disk_gb": disk["size_gb"],
        "image": IMAGES.get(image, image),
        "network": given.get("network"),
        "ssh_keys": read_keys(given.get("ssh_keys", ()), faults),
        "user_data": given.get("user_data"),
        "firewall": portable.firewall(given, faults),
        "storages": portable.storages(
            given, lambda each: {"name": each["name"]} | _disk(f"storages.{each['name']}", each, faults)
        ),
    }


def _plan(given: Mapping[str, Any], setting: Setting, faults: list[Fault]) -> str:
    """The one that the settings say, UpCloud's of exactly that size, else the size itself: it is made to measure."""
    plan = str(given.get("plan"))
    if plan in setting.plans:
        return setting.plans[plan]
    size = portable.wanted_size(given)
    if size is None:
        if not is_plan(plan) and plan not in setting.plans.values():
            words = f"{shown(plan)} is none of UpCloud's, like 2xCPU-4GB, nor {PLAN_WORDS}"
            faults.append(Fault("plan", words + portable.guess(plan, NAMES)))
        return plan
    if (size.cpus, size.memory_gb) in PLANS:
        return PLANS[size.cpus, size.memory_gb]
    if size.cpus > CUSTOM_CPUS_MAX or size.memory_gb > CUSTOM_MEMORY_MAX_GB:
        most = f"at most {CUSTOM_CPUS_MAX} cpus and {CUSTOM_MEMORY_MAX_GB} GiB, or one of UpCloud's own plans"
        words = f"UpCloud has no server of {size.cpus} cpus and {size.memory_gb:g} GiB; accepted: {most}"
        faults.append(Fault("plan" if "plan" in given else "cpus", words))
    return f"{size.cpus}cpu-{size.memory_gb:g}gb"


def _disk(path: str, given: Mapping[str, Any], faults: list[Fault]) -> dict[str, Any]:
    """At least 10 GiB: what is smaller is made that large. path: of the disk; of its size, for `disk_gb`."""
    tier = given.get("tier") or TIERS[0]
    if tier not in TIERS:
        words = (
            f"the tier {shown(tier)} is not accepted; accepted: {', '.join(TIERS)}{portable.guess(str(tier), TIERS)}"
        )
        faults.append(Fault(f"{path}.tier".lstrip("."), words))
    if given["size_gb"] > DISK_MOST_GB:
        at = path if path == "disk_gb" else f"{path}.size_gb".lstrip(".")
        faults.append(Fault(at, f"{given['size_gb']} GiB; accepted: at most {DISK_MOST_GB}"))
    return {"size_gb": max(DISK_LEAST_GB, given["size_gb"]), "tier": tier}


_FIELDS = {"network": _network, "storage": _storage, "server": _server}
