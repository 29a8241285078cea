"""A spec in EC2's terms: instance types, zones of one region, images. Pure: no call, no SDK."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from ...capabilities import Fault, RefusedError
from ...names import PLAN_WORDS
from ...provider import Kind
from ...yamlfile import shown
from .. import portable
from ..portable import Size, check_spec, guess
from ..sshkeys import read_keys
from . import disks
from .images import AMI, IMAGES
from .setting import Setting
from .userdata import BYTES_MAX, length

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
_FAMILY = re.compile(r"[a-z]{1,4}[0-9]{1,2}[a-z0-9-]{0,8}|(u|mac|hpc|dl|vt|inf|trn)[a-z0-9-]{1,12}")
_PLAN_SIZES = ("nano", "micro", "small", "medium", "large", "xlarge", "metal")
_MULTIPLE = re.compile(r"[1-9][0-9]{0,2}xlarge|metal-[1-9][0-9]{0,2}xl")
HOLES_MAX = 60
"""Rules of a security group, of IPv4 and of IPv6 each, where the account has no other quota."""


def normalize(kind: Kind, spec: Mapping[str, Any], setting: Setting) -> dict[str, Any]:
    """Raises RefusedError (`bad_spec`) with all that EC2 would not take."""
    given = check_spec(kind, spec)
    faults: list[Fault] = []
    zone = _zone(given, setting, faults)
    if kind == "network":
        normal: dict[str, Any] = {"cidr": _cidr(given, faults), "zone": zone}
    elif kind == "storage":
        volume = _volume("", {"name": "", **given}, faults)
        normal = {"size_gb": volume["size_gb"], "zone": zone, "tier": volume["tier"]}
    else:
        given = {"firewall": [], "storages": [], **given}
        keys = read_keys(given.get("ssh_keys", ()), faults)
        normal = {
            "plan": _plan(given, setting, faults),
            "disk_gb": _disk(given, setting, faults),
            "zone": zone,
            "image": _image(given, setting, faults),
            "network": given.get("network"),
            "ssh_keys": keys,
            "user_data": given.get("user_data"),
            "firewall": portable.firewall(given, faults),
            "storages": portable.storages(
                given, lambda storage: _volume(f"storages.{storage['name']}", storage, faults)
            ),
        }
        faults += _limits(normal)
    if faults:
        raise RefusedError(kind, faults)
    return normal


def _limits(normal: Mapping[str, Any]) -> list[Fault]:
    """What is too much of something that is good in itself."""
    found = []
    if (size := length(normal["ssh_keys"], normal["user_data"])) > BYTES_MAX:
        words = (
            f"with ssh_keys and our part it has {size} bytes; accepted: at most {BYTES_MAX}. Let it fetch what is long"
        )
        found.append(Fault("user_data", words))
    if len(normal["firewall"]) + 2 > HOLES_MAX:  # and SSH, and the server's own network
        words = f"{len(normal['firewall'])} rules; accepted: at most {HOLES_MAX - 2} in one security group"
        found.append(Fault("firewall", words))
    if len(normal["storages"]) > len(disks.DEVICES):
        words = f"{len(normal['storages'])} of them; accepted: at most {len(disks.DEVICES)}"
        found.append(Fault("storages", words))
    return found


def _zone(given: Mapping[str, Any], setting: Setting, faults: list[Fault]) -> str:
    zone = str(given.get("zone", setting.zone))
    if zone == setting.region:
        return f"{zone}a"
    if not re.fullmatch(rf"{re.escape(setting.region)}[a-f]", zone):
        region = setting.region
        words = f"{shown(zone)} is none of region {region}; accepted: {region}a, {region}b and so on to f"
        faults.append(Fault("zone", words))
    return zone


def _cidr(given: Mapping[str, Any], faults: list[Fault]) -> str:
    try:
        if not 16 <= ipaddress.IPv4Network(given["cidr"]).prefixlen <= 28:
            faults.append(Fault("cidr", f"{shown(given['cidr'])} is not accepted; accepted: /16 to /28"))
    except ValueError as error:
        faults.append(Fault("cidr", str(error)))
    return str(given["cidr"])


def _plan(given: Mapping[str, Any], setting: Setting, faults: list[Fault]) -> str:
    """The one that was named, or the smallest that is enough."""
    plan = given.get("plan")
    if plan in setting.plans:
        return setting.plans[str(plan)]
    wanted = portable.wanted_size(given)
    if wanted is None:
        if wrong := _wrong_plan(str(plan), setting):
            faults.append(Fault("plan", f"{shown(plan)} is no instance type{wrong}"))
        return str(plan)
    for name, size in _SIZES:
        if size.cpus >= wanted.cpus and size.memory_gb >= wanted.memory_gb:
            return name
    words = f"no instance type with {wanted.cpus} cpus and {wanted.memory_gb:g} GiB is known; name one"
    faults.append(Fault("plan" if plan else "cpus", words))
    return ""


def _wrong_plan(plan: str, setting: Setting) -> str | None:
    """There are hundreds, and more each month: only what can be none is refused. None: it can be one."""
    family, _, size = plan.partition(".")
    if plan in setting.plans.values() or (_FAMILY.fullmatch(family) and _is_size(size)):
        return None
    if _FAMILY.fullmatch(family) and size:
        known = [f"{family}.{each}" for each in (*_PLAN_SIZES, "2xlarge", "4xlarge", "8xlarge", "16xlarge")]
        return f"; sizes are {', '.join(_PLAN_SIZES)} and 2xlarge to 112xlarge{guess(plan, known)}"
    return f"; accepted: those, or {PLAN_WORDS}{guess(plan, [name for name, _ in _SIZES])}"


def _is_size(size: str) -> bool:
    return size in _PLAN_SIZES or bool(_MULTIPLE.fullmatch(size))


def _disk(given: Mapping[str, Any], setting: Setting, faults: list[Fault]) -> int:
    size_gb = int(given.get("disk_gb", setting.disk_gb))
    if size_gb > VOLUME_MOST_GB:
        faults.append(Fault("disk_gb", f"{size_gb}; accepted: at most {VOLUME_MOST_GB}"))
    return max(DISK_LEAST_GB, size_gb)


def _image(given: Mapping[str, Any], setting: Setting, faults: list[Fault]) -> str:
    image = str(given.get("image", setting.image))
    if image not in IMAGES and not AMI.fullmatch(image):
        words = f"{shown(image)} is not known; accepted: {', '.join(IMAGES)}, or an AMI's id{guess(image, IMAGES)}"
        faults.append(Fault("image", words))
    return image


def _volume(path: str, storage: Mapping[str, Any], faults: list[Fault]) -> dict[str, Any]:
    """At least as large as its type has to be: what is smaller is made that large."""
    tier = storage.get("tier") or "gp3"
    if tier not in VOLUME_TYPES:
        words = f"{shown(tier)} is none of {', '.join(VOLUME_TYPES)}{guess(str(tier), VOLUME_TYPES)}"
        faults.append(Fault(f"{path}.tier".lstrip("."), words))
    if storage["size_gb"] > VOLUME_MOST_GB:
        words = f"{storage['size_gb']}; accepted: at most {VOLUME_MOST_GB}"
        faults.append(Fault(f"{path}.size_gb".lstrip("."), words))
    least_gb = VOLUME_TYPES.get(tier, 1)
    return {"name": storage["name"], "size_gb": max(least_gb, storage["size_gb"]), "tier": tier}
