"""Networks of the double: one range, its subnets, and which servers have an address in it."""

from __future__ import annotations

import ipaddress
from typing import Any

from .labels import check_labels
from .refusal import Refusal, invalid
from .world import Thing, World, outward

_ZONES = ("eu-central", "us-east", "us-west", "ap-southeast")


def create(world: World, body: Thing) -> Thing:
    if not body.get("name"):
        raise invalid("name", "missing")
    whole = _range(body.get("ip_range"), "ip_range")
    if whole.prefixlen > 24 or not whole.is_private:
        raise invalid("ip_range", "must be private, and /24 or larger")
    subnets = [_subnet(each, whole) for each in body.get("subnets") or []]
    fields = {
        "name": body["name"],
        "ip_range": str(whole),
        "subnets": subnets,
        "routes": [],
        "servers": [],
        "load_balancers": [],
        "protection": {"delete": False},
        "labels": check_labels(body.get("labels")),
        "expose_routes_to_vswitch": False,
    }
    return {"network": show(world, world.add("network", fields))}


def show(world: World, network: Thing) -> Thing:
    ids = [each["id"] for each in world.every("server") if str(network["id"]) in each["_addresses"]]
    return outward(network) | {"servers": ids}


def delete(world: World, network: Thing) -> None:
    """Whatever is in it loses its address, as at the real one."""
    for server in world.every("server"):
        if str(network["id"]) in server["_addresses"]:
            rest = {id: ip for id, ip in server["_addresses"].items() if id != str(network["id"])}
            world.change("server", server, _addresses=rest)
    world.drop("network", network)


def free_address(world: World, network: Thing) -> str:
    """The next one in its subnets. Raises Refusal (`no_subnet_available`)."""
    id = str(network["id"])
    taken = {each["_addresses"].get(id) for each in world.every("server")}
    for subnet in network["subnets"]:
        for host in ipaddress.IPv4Network(subnet["ip_range"]).hosts():
            if str(host) not in taken and str(host) != subnet["gateway"]:
                return str(host)
    raise Refusal("no_subnet_available", "no subnet or IP available within the network")


def _subnet(given: Any, whole: ipaddress.IPv4Network) -> Thing:
    part = _range(given.get("ip_range"), "subnets.ip_range")
    if not part.subnet_of(whole):
        raise invalid("subnets.ip_range", f"not in {whole}")
    if given.get("network_zone") not in _ZONES:
        raise invalid("subnets.network_zone", f"one of {', '.join(_ZONES)}")
    gateway = str(next(whole.hosts()))
    return {"type": given.get("type", "cloud"), "ip_range": str(part), "network_zone": given["network_zone"]} | {
        "gateway": gateway
    }


def _range(given: Any, field: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(given)
    except (ValueError, TypeError) as error:
        raise invalid(field, str(error)) from error
