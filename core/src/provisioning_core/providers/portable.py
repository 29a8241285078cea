"""The fields of a spec that mean the same at every cloud, in one canonical form: sizes, firewall rules, storages.

For `normalize` of providers: two specs that mean the same give the same, and a cloud's answer read back gives it again.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from ..capabilities import Fault, RefusedError
from ..names import LABEL, LABEL_WORDS, PLAN
from ..params import NETWORK_SPEC, SERVER_SPEC, STORAGE_SPEC, Check
from ..provider import Kind, Wish
from ..yamlfile import shown

ANYWHERE = ("0.0.0.0/0", "::/0")
SSH_PORT = 22
_CHECKS = {"server": SERVER_SPEC, "network": NETWORK_SPEC, "storage": STORAGE_SPEC}


@dataclass(frozen=True, slots=True)
class Size:
    """The least that is wanted. GiB."""

    cpus: int
    memory_gb: float
    disk_gb: int = 0


def check_spec(kind: Kind, spec: Mapping[str, Any]) -> dict[str, Any]:
    """What was given, without nulls. Raises RefusedError (`bad_spec`) with all that no cloud would accept."""
    if fault := _CHECKS[kind](dict(spec)):
        raise RefusedError(kind, [Fault("", fault)])
    return {name: value for name, value in spec.items() if value is not None}


def field_faults(spec: Mapping[str, Any], checks: Mapping[str, Check]) -> list[Fault]:
    """What is wrong with each field, for providers with a table of checks. Null says nothing."""
    known = list(checks)
    unknown = [name for name in spec if name not in checks]
    found = [Fault("", f"unknown field {shown(name)}{guess(name, known)}") for name in unknown]
    for name, check in checks.items():
        if spec.get(name) is not None and (words := check(spec[name])):
            found.append(Fault(name, words))
    return found


def name_faults(wish: Wish) -> list[Fault]:
    """`bad_name` for a name or an infra that can't be part of a hostname."""
    return [
        Fault("name", f"{shown(text)} is no name of a {what}; accepted: {LABEL_WORDS}", "bad_name")
        for what, text in ((wish.kind, wish.name), ("infra", wish.infra))
        if not LABEL.fullmatch(text)
    ]


def spec_faults(
    normalize: Callable[[Kind, Mapping[str, Any]], dict[str, Any]],
    wish: Wish,
    network: Mapping[str, Any] | None,
    apart: Callable[[str, str], bool],
) -> list[Fault]:
    """Those of the spec, and of its zone where the network is in another. apart: whether these two zones, of a server
    and of a network, are, in the provider's terms. network: its spec."""
    found: list[Fault] = []
    try:
        normalize(wish.kind, wish.spec)
    except RefusedError as error:
        found += error.faults
    if network is not None:
        zone, its = _zone(normalize, "server", wish.spec), _zone(normalize, "network", network)
        if zone and its and apart(zone, its):
            where = f"its network {shown(wish.spec.get('network'))} is in {its}"
            found.append(Fault("zone", f"{zone} is not accepted: {where}; give both the same zone"))
    return found


def check_wish(wish: Wish, faults: Sequence[Fault]) -> None:
    """Raises RefusedError where there are any."""
    if faults:
        raise RefusedError(f"{wish.kind} {wish.name}" if LABEL.fullmatch(wish.name) else wish.kind, faults)


def wanted_size(spec: Mapping[str, Any]) -> Size | None:
    """None where a plan of the cloud's own is named."""
    plan, disk_gb = spec.get("plan"), int(spec.get("disk_gb") or 0)
    if plan is None:
        return Size(int(spec["cpus"]), float(spec["memory_gb"]), disk_gb)
    match = PLAN.fullmatch(plan)
    return Size(int(match[1]), float(match[2]), disk_gb) if match else None


def firewall(spec: Mapping[str, Any], faults: list[Fault]) -> list[dict[str, Any]]:
    """Its rules: sorted, each once, no field that says nothing. ports: [first, last]. source: absent for any."""
    read = (_rule(f"firewall[{place}]", each, faults) for place, each in enumerate(spec["firewall"]))
    return sorted_rules(each for each in read if each is not None)


def rule(protocol: str, ports: Iterable[int] | None, source: str | None) -> dict[str, Any]:
    first_last = list(ports or ())
    found: dict[str, Any] = {"protocol": protocol}
    if first_last and protocol != "icmp" and (first_last[0], first_last[-1]) not in ((0, 65_535), (1, 65_535)):
        found["ports"] = [first_last[0], first_last[-1]]
    if source is not None and source not in ANYWHERE:
        found["source"] = str(ipaddress.ip_network(source, strict=False))
    return found


def sorted_rules(rules: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    unique = {_order(each): each for each in rules}
    return [unique[order] for order in sorted(unique)]


def opens_ssh(rules: Iterable[Mapping[str, Any]]) -> bool:
    """Whether they say themselves who may come in by SSH."""
    spans = (each.get("ports", [1, 65_535]) for each in rules if each["protocol"] == "tcp")
    return any(first <= SSH_PORT <= last for first, last in spans)


def storages(spec: Mapping[str, Any], one: Callable[[Mapping[str, Any]], dict[str, Any]]) -> list[dict[str, Any]]:
    """Sorted by name. one: what a storage is at this cloud, at least `name` and `size_gb`."""
    return sorted(map(one, spec["storages"]), key=lambda each: str(each["name"]))


def user_data_faults(user_data: str | None, bytes_max: int) -> list[Fault]:
    size = len((user_data or "").encode(errors="surrogatepass"))
    return [] if size <= bytes_max else [Fault("user_data", f"{size} bytes; accepted: at most {bytes_max}")]


def guess(value: str, known: Iterable[str]) -> str:
    """As `suggestion`, for names with capitals; begins and ends so that it can follow a list."""
    names = {name.lower(): name for name in known}
    close = get_close_matches(value[:100].lower(), names, n=1)
    return f". Did you mean {names[close[0]]!r}?" if close else ""


def network_key(wish: Wish, network: str) -> str:
    """The key of the network that a server's spec names: its sibling in the same infra."""
    return f"{wish.key.removesuffix(f'/{wish.kind}/{wish.name}')}/network/{network}"


def _order(each: Mapping[str, Any]) -> tuple[str, tuple[int, ...], str]:
    return (each["protocol"], tuple(each.get("ports", ())), each.get("source", ""))


def _rule(path: str, given: Mapping[str, Any], faults: list[Fault]) -> dict[str, Any] | None:
    """None where it can mean nothing."""
    ports = list(given.get("ports") or ())
    before = len(faults)
    if ports and ports[0] > ports[-1]:
        faults.append(Fault(f"{path}.ports", f"{ports[0]} to {ports[-1]} is no range; accepted: the lower one first"))
    try:
        return rule(given["protocol"], ports, given.get("source")) if len(faults) == before else None
    except ValueError as error:
        faults.append(Fault(f"{path}.source", f"{error}; accepted: a network like 203.0.113.0/24"))
        return None


def _zone(normalize: Callable[..., dict[str, Any]], kind: Kind, spec: Mapping[str, Any]) -> str | None:
    """As the provider means it, whatever else is wrong; None where it has no such zone."""
    least = {"cpus": 1, "memory_gb": 1} if kind == "server" else {"cidr": "10.0.0.0/24"}
    try:
        return str(normalize(kind, least | ({"zone": spec["zone"]} if spec.get("zone") else {}))["zone"])
    except RefusedError:
        return None
