"""The networks and servers of a definition."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from ..names import LABEL, PLAN, PLAN_WORDS
from ..yamlfile import Cursor, shown, suggestion
from .files import ssh_keys_of, user_data_of
from .model import FirewallRule, Network, Policy, Server, Storage
from .references import Item, Names, known_words
from .source import Source

SERVERS_MAX = 5_000  # one expansion holds them all, their networks too


def read_networks(source: Source, at: Cursor | None) -> dict[str, Network | None]:
    """By name, None where the rest of it is bad: a server may name it all the same without a second complaint."""
    found: dict[str, Network | None] = {}
    names = Names()
    taken: list[tuple[ipaddress.IPv4Network, str]] = []
    for item in source.items(at, "network"):
        item.require("cidr")
        name, cidr, provider = item.name(), item.get("cidr"), source.provider_of(item)
        if cidr is not None:
            cidr = _private(item.fields["cidr"], cidr, taken, name or "?")
        if name is None or not names.take(item.fields["name"], name, "network"):
            continue
        labels, zone = _labels(item), item.get("zone")
        found[name] = Network(name, cidr, labels, provider, zone, policy_of(item)) if cidr else None
    return found


def read_servers(
    source: Source, at: Cursor | None, networks: Mapping[str, Network | None]
) -> tuple[list[Server], dict[str, tuple[str, ...]]]:
    """The servers, and which of them a name means: one by its own, several by that of their group."""
    servers: list[Server] = []
    groups: dict[str, tuple[str, ...]] = {}
    counts: list[str] = []
    names = Names()
    for item in source.items(at, "server"):
        made = _server(source, item, networks)
        name = item.name()
        if name is None:
            continue
        counted, at_name = item.says("count"), item.fields["name"]
        each = [f"{name}-{number}" for number in range(1, int(item.get("count") or 1) + 1)] if counted else [name]
        if not LABEL.fullmatch(each[-1]):
            at_name.fail(f"{shown(each[-1])} is longer than 63 characters with its number")
        fresh = [one for one in each if names.take(at_name, one, "server")]
        if counted and fresh and name not in groups and names.take(at_name, name, "group of servers"):
            groups[name] = tuple(fresh)
            counts.append(name)
        groups |= {one: (one,) for one in fresh}
        if made is not None:
            servers += [Server(name=one, group=name, **made) for one in fresh]
        if len(names.taken) - len(counts) > SERVERS_MAX:
            item.at.fail(f"more than {SERVERS_MAX} servers in one infrastructure; split it")
            break
    return servers, groups


def policy_of(item: Item) -> Policy:
    policy = item.get("policy") or {}
    retry = {name: value for name, value in (policy.get("retry") or {}).items() if value is not None}
    for name in ("attempts_max",):
        if name in retry:
            retry[name] = int(retry[name])
    return Policy(policy.get("timeout_s"), retry or None)


def _server(source: Source, item: Item, networks: Mapping[str, Network | None]) -> dict[str, Any] | None:
    """All fields but its name; None where something that it cannot be without is not good."""
    provider = source.provider_of(item)
    size = _size(item, provider)
    network = _network(item, networks, provider)
    return None if size is None else {
        **size,
        "network": network,
        "zone": item.get("zone"),
        "labels": _labels(item),
        "provider": provider,
        "disk_gb": _whole(item.get("disk_gb")),
        "image": item.get("image"),
        "ssh_keys": ssh_keys_of(source, item),
        "user_data": user_data_of(source, item),
        "firewall": _firewall(item),
        "storages": _storages(item),
        "policy": policy_of(item),
    }  # fmt: skip


def _size(item: Item, provider: str) -> dict[str, Any] | None:
    """plan, cpus and memory_gb, as far as they are known."""
    plan, cpus, memory = item.get("plan"), _whole(item.get("cpus")), _whole(item.get("memory_gb"))
    parts = [name for name in ("cpus", "memory_gb") if item.says(name)]
    if item.says("plan"):
        if parts:
            item.fields[parts[0]].fail("the size is given twice; accepted: plan, or cpus and memory_gb")
            return None
        return _planned(item.fields["plan"], plan, provider) if plan is not None else None
    if not parts:
        item.require("plan", " (or cpus and memory_gb)")
    for name in ("cpus", "memory_gb") if parts else ():
        item.require(name)
    return {"cpus": cpus, "memory_gb": memory} if cpus and memory else None


def _planned(at: Cursor, plan: str, provider: str) -> dict[str, Any] | None:
    numbers = PLAN.fullmatch(plan)
    if numbers:
        return {"plan": plan, "cpus": int(numbers[1]), "memory_gb": int(numbers[2])}
    if provider == "local":
        words = f"{PLAN_WORDS} (the provider local has no plans of its own)"
        at.fail(f"{shown(plan)} is not a plan; accepted: {words}.{plan_guess(plan)}")
        return None
    return {"plan": plan}


def plan_guess(value: str) -> str:
    """` Did you mean '2cpu-4gb'?` for what holds two numbers, or nothing."""
    numbers = re.fullmatch(r"\s*(\d{1,3})\D{1,20}?(\d{1,4})\D{0,10}", value, re.ASCII)
    meant = f"{int(numbers[1])}cpu-{int(numbers[2])}gb" if numbers else ""
    return f" Did you mean {meant!r}?" if PLAN.fullmatch(meant) else ""


def _network(item: Item, networks: Mapping[str, Network | None], provider: str) -> str | None:
    name: str | None = item.get("network")
    if name is None:
        return None
    at = item.fields["network"]
    if name not in networks:
        at.fail(f"no network {shown(name)}; {known_words(list(networks))}{suggestion(name, list(networks))}")
        return None
    network = networks[name]
    if network is not None and network.provider != provider:
        at.fail(
            f"the network {shown(name)} is one of {network.provider}, the server one of {provider}; "
            "a server can only be in a network of its own provider"
        )
    return name


def _private(at: Cursor, text: str, taken: list[tuple[ipaddress.IPv4Network, str]], name: str) -> str | None:
    network = _cidr(at, text)
    if network is None:
        return None
    if not network.is_private or not 8 <= network.prefixlen <= 29:
        at.fail(f"{shown(text)} is not accepted; accepted: private networks (10/8, 172.16/12, 192.168/16), /8 to /29")
        return None
    for other, other_name in taken:
        if network.overlaps(other):
            at.fail(f"{text} overlaps {other} of network {other_name}")
            return None
    taken.append((network, name))
    return text


def _cidr(at: Cursor, text: str) -> ipaddress.IPv4Network | None:
    try:
        network = ipaddress.IPv4Network(text, strict=False)
    except ValueError as error:
        at.fail(f"{shown(text)} is not a network ({error}); accepted: an IPv4 network like 10.77.0.0/24")
        return None
    if str(network) != text:
        at.fail(f"{shown(text)} has host bits set. Did you mean {str(network)!r}?")
        return None
    return network


def _labels(item: Item) -> dict[str, str]:
    """Without those that are null: that is how an item takes away one of its template's."""
    return {name: value for name, value in (item.get("labels") or {}).items() if value is not None}


def _firewall(item: Item) -> tuple[FirewallRule, ...]:
    rules = []
    for at in item.cursors("firewall"):
        fields = {name: below for name, _, below in at.entries() or []}
        rule = at.plain()
        ports = _ports(fields["ports"], rule["ports"]) if rule.get("ports") is not None else None
        if rule["protocol"] == "icmp" and ports:
            fields["ports"].fail("icmp has no ports; leave them out")
        source = rule.get("source")
        if source is not None:
            _cidr(fields["source"], source)
        rules.append(FirewallRule(rule["protocol"], ports, source))
    return tuple(rules)


def _ports(at: Cursor, value: int | float | str) -> tuple[int, int]:
    first, last = (int(each) for each in value.split("-")) if isinstance(value, str) else (int(value), int(value))
    if not first <= last <= 65_535:
        at.fail(f"{shown(value)} is not a range of ports; accepted: first-last, from 1 to 65535")
    return first, last


def _storages(item: Item) -> tuple[Storage, ...]:
    names = Names()
    storages = []
    for at in item.cursors("storages"):
        fields = {name: below for name, _, below in at.entries() or []}
        storage = at.plain()
        names.take(fields["name"], storage["name"], "storage")
        storages.append(Storage(storage["name"], int(storage["size_gb"]), storage.get("tier")))
    return tuple(storages)


def _whole(value: float | None) -> int | None:
    """A whole number may be written 2.0 in JSON."""
    return None if value is None else int(value)
