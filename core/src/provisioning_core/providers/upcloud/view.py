"""UpCloud's resources as ours: what a raw description says, in the terms of `normalize`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...provider import Kind, Resource, ServerState
from ..access import ssh_of
from . import walls
from .account import Account, Raw, labels_of
from .identity import IMAGE, INFRA, INTENT, MAKING, NAME, OPEN, key_of, users
from .terms import observed_plan

SSH_PORT = 22
_STATES: dict[str, ServerState] = {"started": "started", "stopped": "stopped", "maintenance": "creating"}


class View:
    def __init__(self, workspace: Path, account: Account) -> None:
        self._workspace = workspace
        self._account = account

    def resource(self, kind: Kind, raw: Raw) -> Resource:
        """raw: with details. key, intent and infra are empty for what is not ours."""
        labels = labels_of(raw)
        attributes = {"labels": users(labels), "zone": raw["zone"]} | _ATTRIBUTES[kind](self, raw, labels)
        state: ServerState = "started"
        if kind == "server":
            state = _STATES.get(raw["state"], "error")
            if state != "error" and labels.get(OPEN) == MAKING:
                state = "creating"
        name = labels.get(NAME) or raw.get("hostname") or raw.get("title") or raw.get("name") or ""
        ours = (key_of(labels), labels.get(INTENT, ""), labels.get(INFRA, ""))
        return Resource(kind, raw["uuid"], *ours, str(name), state, attributes)

    def ssh(self, raw: Raw) -> dict[str, Any]:
        """How to connect. A double's machines are reached where it says; the real API has no such field."""
        place = machine_place(raw) if self._account.is_double else None
        host, port = address(raw, "public") or address(raw, "utility") or "", SSH_PORT
        if place:
            host, port = place["host"], int(place["port"])
        user = self._account.setting.username
        return ssh_of(self._workspace, "upcloud", raw["uuid"], host=host, port=port, user=user)

    def _network(self, raw: Raw, _: dict[str, str]) -> dict[str, Any]:
        ranges = raw["ip_networks"]["ip_network"]
        spec = {"cidr": ranges[0]["address"] if ranges else None, "zone": raw["zone"]}
        return {"cidr": spec["cidr"], "spec": spec}

    def _storage(self, raw: Raw, _: dict[str, str]) -> dict[str, Any]:
        spec = {"size_gb": raw["size"], "tier": raw["tier"], "zone": raw["zone"]}
        return {"size_gb": raw["size"], "tier": raw["tier"], "spec": spec}

    def _server(self, raw: Raw, labels: dict[str, str]) -> dict[str, Any]:
        plan = observed_plan(raw["plan"], raw["core_number"], raw["memory_amount"])
        disks = devices(raw)
        spec: dict[str, Any] = {
            "plan": plan,
            "zone": raw["zone"],
            "network": self._network_name(raw),
            "firewall": walls.observed(self._account, raw),
            "storages": sorted(map(part_of, disks[1:]), key=lambda part: str(part["name"])),
        }
        spec |= {"disk_gb": disks[0]["storage_size"]} if disks else {}
        spec |= {"image": labels[IMAGE]} if IMAGE in labels else {}
        return {
            "address": address(raw, "public") or address(raw, "utility"),
            "private_address": address(raw, "private"),
            "plan": plan,
            "cpus": int(raw["core_number"]),
            "memory_gb": int(raw["memory_amount"]) / 1024,
            "hostname": raw["hostname"],
            "title": raw["title"],
            "ssh": self.ssh(raw),
            "spec": spec,
        }

    def _network_name(self, raw: Raw) -> str | None:
        """By our label; a network that is not ours has none."""
        for interface in interfaces(raw):
            if interface["type"] == "private":
                return self._account.network_labels(interface["network"]).get(NAME)
        return None


_ATTRIBUTES = {"server": View._server, "network": View._network, "storage": View._storage}


def interfaces(raw: Raw) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = raw["networking"]["interfaces"]["interface"]
    return found


def address(raw: Raw, access: str) -> str | None:
    """The first IPv4 address of that sort."""
    for interface in interfaces(raw):
        for ip in interface["ip_addresses"]["ip_address"]:
            if interface["type"] == access and ip["family"] == "IPv4":
                return str(ip["address"])
    return None


def devices(raw: Raw) -> list[dict[str, Any]]:
    """The disks, in the order of their addresses: the first disk is the one that the server was made with."""
    found = [device for device in raw["storage_devices"]["storage_device"] if device["type"] == "disk"]
    return sorted(found, key=lambda device: [int(part) for part in device["address"].split(":") if part.isdecimal()])


def part_of(device: Raw) -> dict[str, Any]:
    """A storage of a server; its name is the last part of its title."""
    name = str(device["storage_title"]).rpartition("/")[2]
    return {"name": name, "size_gb": device["storage_size"], "tier": device["storage_tier"]}


def machine_place(raw: Raw) -> dict[str, Any] | None:
    """Where the machine behind a double's server is; None: nothing is behind it."""
    place: dict[str, Any] | None = raw.get("_double", {}).get("ssh")
    return place


def is_paper(raw: Raw) -> bool:
    """Whether it is a double's server without a machine: nobody will ever answer."""
    return "_double" in raw and machine_place(raw) is None
