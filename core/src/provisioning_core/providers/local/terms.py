"""What a server or network of the provider `local` can be wished to be, and a wish in its own terms.

Sizes are portable plans only, `2cpu-4gb`. What is not the provider's to give (firewall rules, other zones) is said to
be so by `normalize`; `check` is the part of it that every create goes through, also of wishes that no planner has seen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...capabilities import Capabilities, Fault, PlanInfo, RefusedError
from ...names import PLAN, PLAN_WORDS, USER_DATA_MAX
from ...params import (
    FIREWALL_RULE,
    STORAGE,
    Check,
    cidr,
    list_of,
    matching,
    network_name,
    number,
    one_of,
    text,
)
from ...provider import Kind
from ...yamlfile import shown
from ..portable import field_faults

ZONE = "local"
DEFAULT_CIDR = "10.77.0.0/24"
SIZES = ((1, 1), (1, 2), (2, 2), (2, 4), (4, 4), (4, 8), (8, 16))
PLANS = tuple(PlanInfo(f"{cpus}cpu-{memory_gb}gb", cpus, memory_gb) for cpus, memory_gb in SIZES)
"""Those of the catalogue; any other of that form is accepted too."""

CAPABILITIES = Capabilities(
    kinds=("network", "server"),
    flags=frozenset({"update", "power", "zones", "plans", "images", "ssh_keys", "user_data", "labels", "storages"}),
    effects={
        "server": {
            "labels": "in_place",
            "ssh_keys": "in_place",
            "plan": "in_place",
            "cpus": "in_place",
            "memory_gb": "in_place",
            "disk_gb": "in_place",
            "storages": "restart",
        },
        "network": {"labels": "in_place"},
    },
)
_KEY = re.compile(r"(ssh-(ed25519|rsa)|ecdsa-sha2-\S+|sk-\S+) [A-Za-z0-9+/=]+( [^\n]*)?")
_SCRIPT = re.compile(r"#!.*", re.DOTALL)
_SCRIPT_WORDS = "a script that begins with #! (cloud-config is for machines with cloud-init, the level vm)"


def check(kind: Kind, spec: Mapping[str, Any], images: Sequence[str], *, scripts_only: bool = True) -> None:
    """Raises RefusedError (`bad_spec`) with all that is wrong with what is there.

    images: the names that are known. scripts_only: user data is run by us, not by cloud-init.
    """
    fields: dict[str, Check] = {"cidr": cidr, "zone": one_of(ZONE)}
    if kind == "server":
        fields = {
            "plan": _plan,
            "cpus": number(1, 999),
            "memory_gb": number(1, 9999),
            "disk_gb": number(1, 65_536),
            "network": network_name,
            "address": text(15),
            "zone": one_of(ZONE),
            "image": one_of(*images),
            "user_data": matching(_SCRIPT, _SCRIPT_WORDS) if scripts_only else text(USER_DATA_MAX),
            "ssh_keys": list_of(matching(_KEY, "a public key, one line as in authorized_keys"), 100),
            "firewall": list_of(FIREWALL_RULE, 100),
            "storages": list_of(STORAGE, 20),
        }
    faults = field_faults(spec, fields)
    if not faults:
        names = [each["name"] for each in spec.get("storages") or ()]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            faults = [Fault("storages", f"{', '.join(twice)} twice")]
    if faults:
        raise RefusedError(kind, faults)


def normalize(kind: Kind, spec: Mapping[str, Any], *, imaged: bool) -> dict[str, Any]:
    """A spec that `check` lets pass, in our terms. imaged: images mean something at the level that is meant."""
    given = {name: value for name, value in spec.items() if value is not None}
    zone = given.get("zone", ZONE)
    if kind == "network":
        return {"cidr": given.get("cidr") or DEFAULT_CIDR, "zone": zone}
    fields = {
        "plan": given.get("plan") or _sized(given),
        "disk_gb": given.get("disk_gb"),
        "network": given.get("network"),
        "zone": zone,
        "image": given.get("image") if imaged else None,
        "user_data": given.get("user_data"),
    }
    lists = {
        "ssh_keys": sorted({key.strip() for key in given.get("ssh_keys", ())}),
        "storages": sorted(({"name": each["name"], "size_gb": each["size_gb"]} for each in given.get("storages", ())),
                           key=lambda each: str(each["name"])),
    }  # fmt: skip
    sized = _numbers(fields["plan"])
    return {name: value for name, value in (fields | sized).items() if value is not None} | lists


def _plan(value: Any) -> str | None:
    if isinstance(value, str) and not PLAN.fullmatch(value):
        numbers = re.fullmatch(r"\s*(\d{1,3})\D{1,20}?(\d{1,4})\D{0,10}", value, re.ASCII)
        meant = f"{int(numbers[1])}cpu-{int(numbers[2])}gb" if numbers else ""
        if PLAN.fullmatch(meant):
            return f"{shown(value)} is not accepted; accepted: {PLAN_WORDS}. Did you mean {meant!r}?"
    return matching(PLAN, PLAN_WORDS)(value)


def _sized(given: Mapping[str, Any]) -> str | None:
    if "cpus" not in given or "memory_gb" not in given:
        return None
    return f"{given['cpus']}cpu-{given['memory_gb']}gb"


def _numbers(plan: str | None) -> dict[str, int]:
    match = PLAN.fullmatch(plan) if plan else None
    return {"cpus": int(match[1]), "memory_gb": int(match[2])} if match else {}
