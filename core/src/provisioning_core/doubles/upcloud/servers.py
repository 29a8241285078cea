"""Servers: created in maintenance, started soon after; what may be done in which state."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from ..http import Answer, Request
from . import birth
from .account import Account, Record, check_labels, matches
from .networks import Networks
from .refusal import Refused
from .storages import Storages, body_of, paged

_FOREVER = float("inf")
_AT_ONCE = 8


class Machines(Protocol):
    """What is behind a server, if anything: see `machines`."""

    def create(self, server: Record) -> dict[str, Any] | None:
        """{"host", "port", "user", "private"} as soon as they are known; the machine itself may take longer."""

    def ready(self, server: Record) -> bool: ...

    def there(self, server: Record) -> bool:
        """Has it a machine, running or not?"""

    def power(self, server: Record, on: bool) -> None: ...

    def delete(self, server: Record) -> None: ...


class Servers:
    def __init__(self, account: Account, storages: Storages, networks: Networks, machines: Machines) -> None:
        self._account = account
        self._storages = storages
        self._networks = networks
        self._machines = machines
        self._go_on()

    # --- reading -----------------------------------------------------------------------------------------------------

    def index(self, request: Request) -> Answer:
        found = [each for each in self._account.listed("server") if matches(each, request.all("label"))]
        if tags := request.parts.get("tags"):
            wanted = set(re.split("[,:]", tags))
            found = [each for each in found if wanted & set(each["_tags"])]
        return Answer(200, {"servers": {"server": paged([self._row(each) for each in found], request)}})

    def show(self, request: Request) -> Answer:
        return Answer(200, {"server": self._details(self._account.get("server", request.parts["uuid"]))})

    def networking(self, request: Request) -> Answer:
        server = self._account.get("server", request.parts["uuid"])
        return Answer(200, {"networking": {"interfaces": {"interface": server["_interfaces"]}}})

    # --- creating and changing ---------------------------------------------------------------------------------------

    def create(self, request: Request, *, stuck: bool) -> Callable[[], Answer]:
        """Made and in the ledger; the answer is another call, because a machine may have to get its address first."""
        with self._account.locked():
            fields = body_of(request, "server")
            server = birth.checked(self._account, fields)
            server["_ready_at"] = _FOREVER if stuck else time.time() + self._account.pace_s
            birth.furnish(self._account, self._storages, self._networks, server, fields)
            self._account.add("server", server)

        def answer() -> Answer:
            self._furnish(server)
            with self._account.locked():
                created = self._details(server) | {"username": server["_username"]}
                return Answer(
                    202,
                    {
                        "server": created
                        | ({"password": secrets.token_hex(8)} if fields.get("login_user") is None else {})
                    },
                )

        return answer

    def _go_on(self) -> None:
        """What an earlier double with this ledger has left: a kill may have cut off the making of any machine.

        A server whose machine was there and is gone (that double ended without --keep) is an `error`.
        """
        wanted = [each for each in self._account.all("server") if "started" in (each["state"], each.get("_next"))]
        cut_off = [each for each in wanted if self._machines.there(each) or not each.get("_ssh")]
        for server in wanted:
            if server not in cut_off:
                server |= {"state": "error", "_next": None}
                self._account.save("server", server)
        if cut_off:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                list(pool.map(self._furnish, cut_off))

    def _furnish(self, server: Record) -> None:
        """A machine behind it, or the one that it has; returns when it is known where that is."""
        place = self._machines.create(server)
        if place is not None:
            with self._account.locked():
                _move(server, place)
                self._account.save("server", server)

    def modify(self, request: Request) -> Answer:
        server = self._current(request)
        fields = body_of(request, "server")
        if {"plan", "core_number", "memory_amount"} & fields.keys():
            self._need(server, "stopped")
            server |= birth.size(fields | {"plan": fields.get("plan", "custom")})
        if "labels" in fields:
            given = fields["labels"]
            server["labels"] = check_labels(given.get("label") if isinstance(given, dict) else given)
        if fields.get("firewall", "on") not in ("on", "off"):
            raise Refused(400, "FIREWALL_INVALID", "The value of firewall is invalid.")
        if "hostname" in fields and not birth.HOSTNAME.fullmatch(str(fields["hostname"])):
            raise Refused(400, "HOSTNAME_INVALID", f"The hostname {fields['hostname']} is invalid.")
        for name in ("title", "hostname", "firewall", "metadata"):
            server[name] = fields.get(name, server[name])
        self._account.save("server", server)
        return Answer(202, {"server": self._details(server)})

    def start(self, request: Request) -> Answer:
        server = self._current(request)
        self._need(server, "stopped")
        self._machines.power(server, True)
        server |= {"state": "maintenance", "_ready_at": time.time() + self._account.pace_s, "_next": "started"}
        self._account.save("server", server)
        return Answer(200, {"server": self._details(server) | {"state": "started"}})

    def stop(self, request: Request) -> Answer:
        """The answer says `started` still, as recorded; a hard stop is over after one pace, a soft one after two."""
        server = self._current(request)
        self._need(server, "started")
        hard = (request.json() or {}).get("stop_server", {}).get("stop_type") == "hard"
        self._machines.power(server, False)
        server |= {"_ready_at": time.time() + self._account.pace_s * (1 if hard else 2), "_next": "stopped"}
        self._account.save("server", server)
        return Answer(200, {"server": self._details(server)})

    def restart(self, request: Request) -> Answer:
        server = self._current(request)
        self._need(server, "started")
        self._machines.power(server, False)
        self._machines.power(server, True)
        server |= {"_ready_at": time.time() + self._account.pace_s, "_next": "started"}
        self._account.save("server", server)
        return Answer(200, {"server": self._details(server)})

    def delete(self, request: Request) -> Answer:
        server = self._current(request)
        self._need(server, "stopped", "error")
        self._machines.delete(server)
        disks = [device["storage"] for device in server["_devices"]]
        self._account.remove("server", server["uuid"])
        if request.first("storages") == "1":
            for disk in disks:
                self._account.remove("storage", disk)
        return Answer(204)

    def attach(self, request: Request) -> Answer:
        server = self._current(request)
        self._storages.attach(server, body_of(request, "storage_device"))
        self._account.save("server", server)
        return Answer(200, {"server": self._details(server)})

    def detach(self, request: Request) -> Answer:
        server = self._current(request)
        fields = body_of(request, "storage_device")
        left = [each for each in server["_devices"] if fields.get("address") != each["address"]]
        if len(left) == len(server["_devices"]):
            raise Refused(409, "DEVICE_ADDRESS_NOT_IN_USE", f"Nothing is at the address {fields.get('address')}.")
        server["_devices"] = left
        self._account.save("server", server)
        return Answer(200, {"server": self._details(server)})

    def add_interface(self, request: Request) -> Answer:
        server = self._current(request)
        index = 1 + max((each["index"] for each in server["_interfaces"]), default=0)
        interface = self._networks.interface(body_of(request, "interface"), server["zone"], index)
        server["_interfaces"].append(interface)
        self._account.save("server", server)
        return Answer(201, {"interface": interface})

    def remove_interface(self, request: Request) -> Answer:
        server = self._current(request)
        left = [each for each in server["_interfaces"] if str(each["index"]) != request.parts["index"]]
        if len(left) == len(server["_interfaces"]):
            raise Refused(404, "INTERFACE_NOT_FOUND", f"The interface {request.parts['index']} does not exist.")
        server["_interfaces"] = left
        self._account.save("server", server)
        return Answer(204)

    # --- what its support does ----------------------------------------------------------------------------------------

    def servers(self) -> list[str]:
        with self._account.locked():
            return [each["uuid"] for each in self._account.all("server")]

    def release(self, id: str) -> bool:
        with self._account.locked():
            server = self._account.get("server", id)
            if server["state"] == "error":
                server |= {"state": "started", "_next": None}
            elif server.get("_next") and server["_ready_at"] == _FOREVER:
                server |= {"_ready_at": time.time()}
            else:
                return False
            self._account.save("server", server)
            return True

    def spoil(self, id: str) -> bool:
        with self._account.locked():
            server = self._account.get("server", id)
            server |= {"state": "error", "_next": None}
            self._account.save("server", server)
            return True

    # --- what they share ----------------------------------------------------------------------------------------------

    def _current(self, request: Request) -> Record:
        server = self._account.get("server", request.parts["uuid"])
        self._proceed(server)
        return server

    def _proceed(self, server: Record) -> None:
        """Time has passed: what was to happen by now has happened."""
        if server.get("_next") and time.time() >= server["_ready_at"] and self._machines.ready(server):
            server |= {"state": server.pop("_next")}

    def _need(self, server: Record, *states: str) -> None:
        if server["state"] not in states or (server.get("_next") and server["state"] == "started"):
            state = server["state"]
            raise Refused(
                409, "SERVER_STATE_ILLEGAL", f"The server {server['uuid']} is {state}, not {' or '.join(states)}."
            )

    def _row(self, server: Record) -> dict[str, Any]:
        self._proceed(server)
        names = (
            "core_number",
            "created",
            "hostname",
            "memory_amount",
            "plan",
            "simple_backup",
            "state",
            "title",
            "uuid",
        )
        row = {name: server[name] for name in (*names, "zone")} | {"license": 0, "plan_ipv4_bytes": "0"}
        return row | {
            "labels": {"label": server["labels"]},
            "tags": {"tag": server["_tags"]},
            "plan_ipv6_bytes": "0",
            "server_group": None,
            **({"progress": "0"} if server["state"] == "maintenance" else {}),
        }

    def _details(self, server: Record) -> dict[str, Any]:
        addresses = [
            {"access": each["type"], "address": ip["address"], "family": ip["family"]}
            for each in server["_interfaces"]
            for ip in each["ip_addresses"]["ip_address"]
        ]
        return self._row(server) | {
            "boot_order": "disk",
            "firewall": server["firewall"],
            "ip_addresses": {"ip_address": [each for each in addresses if each["access"] != "private"]},
            "metadata": server["metadata"],
            "networking": {"interfaces": {"interface": server["_interfaces"]}},
            "nic_model": "virtio",
            "remote_access_enabled": "no",
            "storage_devices": {"storage_device": [self._storages.device(each) for each in server["_devices"]]},
            "timezone": server["timezone"],
            "video_model": "vga",
            "_double": {"ssh": server.get("_ssh")},
        }


def _move(server: Record, place: dict[str, Any]) -> None:
    """Its machine is here: the public address is what SSH reaches, the private one what its neighbours reach."""
    server["_ssh"] = {name: place[name] for name in ("host", "port", "user")}
    for interface in server["_interfaces"]:
        address = {"public": place["host"], "private": place.get("private")}.get(interface["type"])
        if address:
            interface["ip_addresses"]["ip_address"][0]["address"] = address
