"""What the ledger provider offers, and a wish in its terms: every field is there, parts in a fixed order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from ..capabilities import Capabilities, Effect, Fault, Flag, PlanInfo
from ..errors import ProviderError, UsageError
from ..names import PLAN, PLAN_WORDS, USER_DATA_MAX
from ..params import (
    FIREWALL_RULE,
    STORAGE,
    Check,
    check_params,
    cidr,
    list_of,
    matching,
    network_name,
    number,
    one_of,
    text,
)
from ..provider import Kind, Wish
from ..yamlfile import shown

ZONES = ("ledger", "fi-hel1", "de-fra1", "us-nyc1")
IMAGES = ("debian-13", "debian-12", "ubuntu-24.04", "alpine-3.22")
SIZES = ((1, 1), (1, 2), (2, 2), (2, 4), (4, 8), (8, 16))
PLANS = tuple(
    PlanInfo(f"{cpus}cpu-{gb}gb", cpus, gb, 10 * cpus, 0.005 * cpus + 0.001 * gb, "EUR") for cpus, gb in SIZES
)
"""Those of the catalogue; any other of that form is accepted too."""
TIERS = ("standard", "fast")

_RESTARTS: dict[str, Effect] = dict.fromkeys(("plan", "disk_gb"), "restart")
_IN_PLACE: dict[str, Effect] = dict.fromkeys(("labels", "firewall", "storages"), "in_place")
CAPABILITIES = Capabilities(
    kinds=("network", "storage", "server"),
    flags=frozenset(get_args(Flag)),
    effects={
        "server": _RESTARTS | _IN_PLACE,
        "network": {"labels": "in_place"},
        "storage": {"labels": "in_place", "size_gb": "in_place"},
    },
)

_ZONE = one_of(*ZONES)
_FIELDS: Mapping[Kind, Mapping[str, Check]] = {
    "network": {"cidr": cidr, "zone": _ZONE},
    "storage": {"size_gb": number(1, 65_536), "zone": _ZONE, "tier": one_of(*TIERS)},
    "server": {
        "plan": matching(PLAN, PLAN_WORDS),
        "cpus": number(1, 999),
        "memory_gb": number(1, 9999),
        "disk_gb": number(1, 65_536),
        "network": network_name,
        "zone": _ZONE,
        "image": one_of(*IMAGES),
        "user_data": text(USER_DATA_MAX),
        "ssh_keys": list_of(text(10_000), 100),
        "firewall": list_of(FIREWALL_RULE, 100),
        "storages": list_of(STORAGE, 20),
    },
}


def normalize(kind: Kind, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Raises ProviderError (`bad_spec`, not retryable) with all that is wrong."""
    try:
        check_params(spec, {}, _FIELDS[kind])
    except UsageError as error:
        raise ProviderError(f"{kind}: {error.message}", code="bad_spec", hint=error.hint, retryable=False) from error
    given = {name: value for name, value in spec.items() if value is not None}
    zone = given.get("zone", ZONES[0])
    if kind == "network":
        return {"cidr": given.get("cidr"), "zone": zone}
    if kind == "storage":
        return {"size_gb": given.get("size_gb", 10), "zone": zone, "tier": given.get("tier", TIERS[0])}
    plan = _plan(given)
    return {
        "plan": plan,
        "disk_gb": given.get("disk_gb", 10),
        "network": given.get("network"),
        "zone": zone,
        "image": given.get("image", IMAGES[0]),
        "user_data": given.get("user_data"),
        "ssh_keys": sorted(set(given.get("ssh_keys", ()))),
        "firewall": sorted((_rule(rule) for rule in given.get("firewall", ())), key=lambda rule: str(rule.values())),
        "storages": sorted((_storage(each) for each in given.get("storages", ())), key=lambda each: str(each["name"])),
    }


def is_name(name: str) -> bool:
    return name.isascii() and name.replace("-", "").isalnum() and len(name) <= 63


def faults(wish: Wish) -> list[Fault]:
    found = [] if is_name(wish.name) else [Fault("name", f"{shown(wish.name)} is no name", "bad_name")]
    try:
        normalize(wish.kind, wish.spec)
    except ProviderError as error:
        found.append(Fault("", error.message))
    return found


def _plan(given: Mapping[str, Any]) -> str:
    """The plan that was named, else the smallest that is enough."""
    cpus, memory_gb = given.get("cpus", 1), given.get("memory_gb", 1)
    if "plan" not in given:
        return next((p.name for p in PLANS if p.cpus >= cpus and p.memory_gb >= memory_gb), f"{cpus}cpu-{memory_gb}gb")
    match = PLAN.fullmatch(given["plan"])
    assert match is not None
    if (given.get("cpus", int(match[1])), given.get("memory_gb", int(match[2]))) != (int(match[1]), int(match[2])):
        raise ProviderError(
            f"server: the plan {given['plan']} has not {cpus} cpus and {memory_gb} GiB",
            code="bad_spec",
            hint="name a plan, or cpus and memory_gb",
            retryable=False,
        )
    return str(given["plan"])


def _rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    ports = list(rule.get("ports") or ()) or None
    return {"protocol": rule["protocol"], "ports": ports and [ports[0], ports[-1]], "source": rule.get("source")}


def _storage(storage: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": storage["name"], "size_gb": storage["size_gb"], "tier": storage.get("tier") or TIERS[0]}
