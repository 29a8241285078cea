"""Volumes of the double."""

from __future__ import annotations

from typing import Any

from .catalogue import LOCATIONS, lookup
from .labels import check_labels
from .refusal import Refusal, invalid
from .world import Thing, World, outward

LEAST_GB, MOST_GB = 10, 10_240


def create(world: World, body: Thing) -> Thing:
    if not body.get("name"):
        raise invalid("name", "missing")
    server = world.get("server", body["server"]) if body.get("server") is not None else None
    where = server["_location"] if server else body.get("location")
    location = lookup(LOCATIONS, where)
    if location is None:
        raise invalid("location", f"unknown: {where!r}")
    fields = {
        "name": body["name"],
        "size": _size(body.get("size")),
        "server": server["id"] if server else None,
        "status": "available",
        "location": location,
        "format": body.get("format"),
        "protection": {"delete": False},
        "labels": check_labels(body.get("labels")),
    }
    volume = world.add("volume", fields)
    action = world.act("create_volume", [("volume", volume)])
    attaches = [world.act("attach_volume", [("volume", volume), ("server", server)])] if server else []
    return {"volume": show(world, volume), "action": action, "next_actions": attaches}


def show(world: World, volume: Thing) -> Thing:
    status = "creating" if world.busy("volume", volume) and volume["server"] is None else "available"
    device = {"linux_device": f"/dev/disk/by-id/scsi-0HC_Volume_{volume['id']}", "status": status}
    return outward(volume) | device


def attach(world: World, volume: Thing, body: Thing) -> Thing:
    world.must_be_free("volume", volume)
    server = world.get("server", body.get("server"))
    if volume["server"] is not None:
        raise Refusal("volume_already_attached", "volume is already attached to a server")
    if server["_location"] != volume["location"]["name"]:
        raise invalid("server", "not in the location of the volume")
    world.change("volume", volume, server=server["id"])
    return {"action": world.act("attach_volume", [("volume", volume), ("server", server)])}


def detach(world: World, volume: Thing, _: Thing) -> Thing:
    world.must_be_free("volume", volume)
    if volume["server"] is None:
        raise Refusal("invalid_input", "volume is not attached")
    world.change("volume", volume, server=None)
    return {"action": world.act("detach_volume", [("volume", volume)])}


def resize(world: World, volume: Thing, body: Thing) -> Thing:
    world.must_be_free("volume", volume)
    size = _size(body.get("size"))
    if size < volume["size"]:
        raise invalid("size", "downsizing is not possible")
    world.change("volume", volume, size=size)
    return {"action": world.act("resize_volume", [("volume", volume)])}


def delete(world: World, volume: Thing) -> None:
    world.must_be_free("volume", volume)
    if volume["server"] is not None:
        raise Refusal("locked", "volume is attached to a server")
    world.drop("volume", volume)


def _size(given: Any) -> int:
    if type(given) is not int or not LEAST_GB <= given <= MOST_GB:
        raise invalid("size", f"a whole number from {LEAST_GB} to {MOST_GB}")
    return given
