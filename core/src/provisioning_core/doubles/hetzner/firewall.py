"""Firewalls of the double: rules, and the servers they are applied to. It enforces none: a double has no packets."""

from __future__ import annotations

from typing import Any

from .labels import check_labels
from .refusal import Refusal, invalid
from .world import Thing, World, outward

RULES_MAX = 50
_PROTOCOLS = ("tcp", "udp", "icmp", "esp", "gre")


def create(world: World, body: Thing) -> Thing:
    if not body.get("name"):
        raise invalid("name", "missing")
    servers = [world.get("server", each["server"]["id"])["id"] for each in body.get("apply_to") or []]
    rules = _rules(body.get("rules") or [])
    fields = {"name": body["name"], "labels": check_labels(body.get("labels")), "rules": rules, "_servers": servers}
    firewall = world.add("firewall", fields)
    return {"firewall": show(world, firewall), "actions": _applied(world, "apply_firewall", firewall, servers)}


def show(_: World, firewall: Thing) -> Thing:
    applied = [{"type": "server", "server": {"id": id}} for id in firewall["_servers"]]
    return outward(firewall) | {"applied_to": applied}


def set_rules(world: World, firewall: Thing, body: Thing) -> Thing:
    world.change("firewall", firewall, rules=_rules(body.get("rules") or []))
    actions = [world.act("set_firewall_rules", [("firewall", firewall)], takes_s=0)]
    return {"actions": actions + _applied(world, "apply_firewall", firewall, firewall["_servers"])}


def apply(world: World, firewall: Thing, body: Thing) -> Thing:
    ids = [world.get("server", each["server"]["id"])["id"] for each in body.get("apply_to") or []]
    if set(ids) & set(firewall["_servers"]):
        raise Refusal("firewall_already_applied", "firewall was already applied to the server")
    world.change("firewall", firewall, _servers=firewall["_servers"] + ids)
    return {"actions": _applied(world, "apply_firewall", firewall, ids)}


def remove(world: World, firewall: Thing, body: Thing) -> Thing:
    ids = [each["server"]["id"] for each in body.get("remove_from") or []]
    world.change("firewall", firewall, _servers=[id for id in firewall["_servers"] if id not in ids])
    return {"actions": _applied(world, "remove_firewall", firewall, ids)}


def delete(world: World, firewall: Thing) -> None:
    if firewall["_servers"]:
        raise Refusal("resource_in_use", "firewall is still applied to a resource")
    world.drop("firewall", firewall)


def _applied(world: World, command: str, firewall: Thing, ids: list[int]) -> list[Thing]:
    return [world.act(command, [("firewall", firewall), ("server", {"id": id})], takes_s=0) for id in ids]


def _rules(given: Any) -> list[Thing]:
    if not isinstance(given, list) or len(given) > RULES_MAX:
        raise invalid("rules", f"a list of at most {RULES_MAX}")
    for rule in given:
        if rule.get("direction") not in ("in", "out") or rule.get("protocol") not in (
            "tcp",
            "udp",
            "icmp",
            "esp",
            "gre",
        ):
            raise invalid("rules", "direction and protocol are needed")
        if (rule["protocol"] in ("tcp", "udp")) != bool(rule.get("port")):
            raise invalid("rules.port", "needed for tcp and udp, and for those only")
        if rule["direction"] == "in" and not rule.get("source_ips"):
            raise invalid("rules.source_ips", "needed for a rule of direction in")
    blank: Thing = {"source_ips": [], "destination_ips": [], "port": None, "description": None}
    return [blank | rule for rule in given]
