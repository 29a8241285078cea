"""Servers of the double: what they are like, and the actions on them. A status between two ends by the clock."""

from __future__ import annotations

import ipaddress
import re
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from . import network as networks
from .catalogue import IMAGES, LOCATIONS, SERVER_TYPES, lookup
from .labels import check_labels
from .refusal import Refusal, invalid
from .world import FIRST_ID, Thing, World, outward

_HOSTNAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9.-]{0,61}[a-zA-Z0-9])?")
_ADDRESSES = ipaddress.IPv4Network("198.18.0.0/15")  # for tests of devices: routed nowhere
USER_DATA_MAX = 32 * 1024
_NEVER = 1e12
_AT_ONCE = 8


def create(world: World, body: Thing) -> Thing:
    """Raises Refusal; nothing exists then."""
    fields = _checked(world, body)
    attached = [world.get("network", id) for id in body.get("networks") or []]
    firewalls = [world.get("firewall", each["firewall"]) for each in body.get("firewalls") or []]
    volumes = [world.get("volume", id) for id in body.get("volumes") or []]
    if any(each["server"] is not None for each in volumes):
        raise Refusal("volume_already_attached", "volume is already attached to a server")
    if not (body.get("ssh_keys") or body.get("user_data")):
        fields["_password"] = secrets.token_urlsafe(12)
    on = body.get("start_after_create", True)
    fields |= {"_addresses": {}, "_on": on, "_doing": "initializing", "_until": _ends(world)}
    server = world.add("server", fields)
    for each in attached:
        _join(world, server, each)
    inside = (str(attached[0]["id"]), attached[0]["subnets"][0]["ip_range"]) if attached else None
    if real := world.backing.create(str(server["id"]), server["name"], fields["_keys"], inside):
        own = server["_addresses"] | ({inside[0]: real.private} if inside else {})
        world.change("server", server, _ip=real.public, _addresses=own)
    for each in volumes:
        world.change("volume", each, server=server["id"])
    for each in firewalls:
        world.change("firewall", each, _servers=[*each["_servers"], server["id"]])
    action = world.act("create_server", [("server", server)])
    starts = [world.act("start_server", [("server", server)])] if on else []
    shown = {"server": show(world, server), "action": action, "next_actions": starts}
    return shown | {"root_password": fields.get("_password")}


def go_on(world: World) -> None:
    """What an earlier double of this ledger was making: a kill may have cut off the making of any machine."""
    if not world.backing.real:
        return

    def again(server: Thing) -> None:
        attached = [world.get("network", id) for id in server["_addresses"]]
        inside = (str(attached[0]["id"]), attached[0]["subnets"][0]["ip_range"]) if attached else None
        if real := world.backing.go_on(str(server["id"]), server["name"], server["_keys"], inside):
            own = server["_addresses"] | ({inside[0]: real.private} if inside else {})
            with world.lock:
                world.change("server", server, _ip=real.public, _addresses=own)

    # One that has an address had a machine: where that is gone, its double has ended without keeping it.
    wanted = [each for each in world.every("server") if not each.get("_ip") or world.backing.has(str(each["id"]))]
    if wanted:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(again, wanted))


class Support:
    """What Hetzner's support does."""

    def __init__(self, world: World) -> None:
        self._world = world

    def servers(self) -> list[str]:
        with self._world.lock:
            return [str(each["id"]) for each in self._world.every("server")]

    def release(self, id: str) -> bool:
        with self._world.lock:
            server = self._world.get("server", id)
            freed = self._world.free("server", server)
            held = server["_until"] == _NEVER or server.get("_broken", False)
            if held:
                self._world.change("server", server, _until=min(server["_until"], time.time()), _broken=False)
            return freed or held

    def spoil(self, id: str) -> bool:
        with self._world.lock:
            self._world.change("server", self._world.get("server", id), _broken=True)
            return True


def show(world: World, server: Thing) -> Thing:
    volumes = [each["id"] for each in world.every("volume") if each["server"] == server["id"]]
    walls = [each["id"] for each in world.every("firewall") if server["id"] in each["_servers"]]
    number = server["id"] - FIRST_ID
    ip = server.get("_ip") or str(_ADDRESSES[1 + number % (_ADDRESSES.num_addresses - 2)])
    v6 = f"2001:db8:{number % 65536:x}:1::"
    private = [
        {"network": int(id), "ip": own, "alias_ips": [], "mac_address": _mac(own)}
        for id, own in server["_addresses"].items()
    ]
    return outward(server) | {
        "status": _status(world, server),
        "locked": world.busy("server", server),
        "location": lookup(LOCATIONS, server["_location"]),
        "server_type": lookup(SERVER_TYPES, server["_type"]),
        "image": lookup(IMAGES, server["_image"]),
        "public_net": {
            "ipv4": {"id": server["id"] * 2, "ip": ip, "blocked": False, "dns_ptr": f"static.{ip}.example.net"},
            "ipv6": {"id": server["id"] * 2 + 1, "ip": f"{v6}/64", "blocked": False, "dns_ptr": []},
            "floating_ips": [],
            "firewalls": [{"id": id, "status": "applied"} for id in walls],
        },
        "private_net": private,
        "volumes": volumes,
        "iso": None,
        "rescue_enabled": False,
        "backup_window": None,
        "outgoing_traffic": None,
        "ingoing_traffic": None,
        "included_traffic": 20 << 40,
        "protection": {"delete": False, "rebuild": False},
        "placement_group": None,
        "load_balancers": [],
    }


def update(world: World, server: Thing, body: Thing) -> Thing:
    fields: Thing = {}
    if "labels" in body:
        fields["labels"] = check_labels(body["labels"])
    if body.get("name") and body["name"] != server["name"]:
        fields["name"] = _free_name(world, body["name"])
    world.change("server", server, **fields)
    return {"server": show(world, server)}


def power(world: World, server: Thing, command: str) -> Thing:
    """poweron, poweroff, shutdown, reboot, reset; powering what has that power already is no error."""
    world.must_be_free("server", server)
    if command in ("reboot", "reset") and not server["_on"]:
        raise Refusal("server_error", "server is not running")
    on = command in ("poweron", "reboot", "reset")
    if on != server["_on"] or command in ("reboot", "reset"):
        world.change("server", server, _on=on, _doing="starting" if on else "stopping", _until=_ends(world))
        world.backing.power(str(server["id"]), on)
    words = {"poweron": "start_server", "poweroff": "stop_server", "reset": "reset_server"}
    return {"action": world.act(words.get(command, f"{command}_server"), [("server", server)])}


def change_type(world: World, server: Thing, body: Thing) -> Thing:
    world.must_be_free("server", server)
    if server["_on"]:
        raise Refusal("server_not_stopped", "server must be stopped")
    wanted = lookup(SERVER_TYPES, body.get("server_type"))
    old = lookup(SERVER_TYPES, server["_type"])
    if wanted is None or old is None or wanted["architecture"] != old["architecture"]:
        raise Refusal("invalid_server_type", f"server type {body.get('server_type')!r} does not fit")
    if wanted["disk"] < server["primary_disk_size"] or server["_location"] not in _places(wanted):
        raise Refusal("invalid_server_type", "its disk is smaller, or it is not offered in this location")
    disk = wanted["disk"] if body.get("upgrade_disk") else server["primary_disk_size"]
    world.change("server", server, _type=wanted["name"], primary_disk_size=disk)
    world.change("server", server, _doing="migrating", _until=_ends(world))
    return {"action": world.act("change_server_type", [("server", server)])}


def attach(world: World, server: Thing, body: Thing) -> Thing:
    world.must_be_free("server", server)
    network = world.get("network", body.get("network"))
    if str(network["id"]) in server["_addresses"]:
        raise Refusal("server_already_attached", "server is already attached to the network")
    _join(world, server, network)
    return {"action": world.act("attach_to_network", [("server", server), ("network", network)])}


def delete(world: World, server: Thing) -> Thing:
    world.must_be_free("server", server)
    for volume in world.every("volume"):
        if volume["server"] == server["id"]:
            world.change("volume", volume, server=None)
    for firewall in world.every("firewall"):
        if server["id"] in firewall["_servers"]:
            world.change("firewall", firewall, _servers=[id for id in firewall["_servers"] if id != server["id"]])
    world.backing.delete(str(server["id"]))
    world.drop("server", server)
    return {"action": world.act("delete_server", [("server", server)])}


def _checked(world: World, body: Thing) -> Thing:
    server_type, image = lookup(SERVER_TYPES, body.get("server_type")), lookup(IMAGES, body.get("image"))
    location = lookup(LOCATIONS, body.get("location") or "fsn1")
    name = _free_name(world, body.get("name"))
    if server_type is None:
        raise invalid("server_type", f"unknown: {body.get('server_type')!r}")
    if image is None or image["architecture"] != server_type["architecture"]:
        raise invalid("image", f"unknown, or of another architecture: {body.get('image')!r}")
    if location is None:
        raise invalid("location", f"unknown: {body.get('location')!r}")
    if location["name"] not in _places(server_type):
        raise Refusal("invalid_input", f"server type {server_type['name']} is not offered in {location['name']}")
    if len((body.get("user_data") or "").encode()) > USER_DATA_MAX:
        raise invalid("user_data", f"at most {USER_DATA_MAX} bytes")
    known = world.every("ssh_key")
    keys = [_key(known, wanted) for wanted in body.get("ssh_keys") or []]
    return {
        "name": name,
        "labels": check_labels(body.get("labels")),
        "primary_disk_size": server_type["disk"],
        "_type": server_type["name"],
        "_image": image["name"],
        "_location": location["name"],
        "_keys": [key["public_key"] for key in keys],
        "_user_data": body.get("user_data"),
    }


def _key(known: list[Thing], wanted: Any) -> Thing:
    for key in known:
        if str(wanted) in (str(key["id"]), key["name"]):
            return key
    raise Refusal("not_found", f"SSH key {wanted!r} not found")


def _free_name(world: World, name: Any) -> str:
    if not isinstance(name, str) or not _HOSTNAME.fullmatch(name):
        raise invalid("name", "must be a valid hostname")
    if name in {each["name"] for each in world.every("server")}:
        raise Refusal("uniqueness_error", "server name is already used", {"fields": [{"name": "name"}]})
    return name


def _join(world: World, server: Thing, network: Thing) -> None:
    address = networks.free_address(world, network)
    world.change("server", server, _addresses=server["_addresses"] | {str(network["id"]): address})


def _status(world: World, server: Thing) -> str:
    if time.time() < server["_until"] or not world.backing.ready(str(server["id"])):
        return str(server["_doing"])
    if server.get("_broken"):
        return "unknown"
    return "running" if server["_on"] else "off"


def _ends(world: World) -> float:
    return _NEVER if world.stuck else time.time() + world.pace_s


def _places(server_type: Thing) -> list[str]:
    return [each["name"] for each in server_type["locations"]]


def _mac(ip: str) -> str:
    return "86:00:" + ":".join(f"{int(part):02x}" for part in ip.split("."))
