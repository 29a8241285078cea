"""Storages: disks of servers, disks of their own, public templates."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ..http import Answer, Request
from . import catalogue
from .account import Account, Record, check_labels, matches, number
from .refusal import Refused

_SIZE_MAX = 4096
_ADDRESSES_MAX = 16


class Storages:
    def __init__(self, account: Account) -> None:
        self._account = account

    def index(self, request: Request) -> Answer:
        """`GET /storage`, `/storage/{access or type}`, with `label` filters, `limit` and `offset`."""
        which = request.parts.get("which")
        rows = [*catalogue.templates(), *map(_row, self._account.listed("storage"))]
        if which is not None:
            if which not in ("public", "private", "normal", "template", "backup", "cdrom", "favorite"):
                return self.show(request)
            rows = [row for row in rows if which in (row["access"], row["type"])]
        rows = [row for row in rows if matches(row, request.all("label"))]
        return Answer(200, {"storages": {"storage": paged(rows, request)}})

    def show(self, request: Request) -> Answer:
        uuid = request.parts["which"]
        for template in catalogue.templates():
            if template["uuid"] == uuid:
                return Answer(200, {"storage": template | {"servers": {"server": []}, "backups": {"backup": []}}})
        return Answer(200, {"storage": self._details(self._account.get("storage", uuid))})

    def create(self, request: Request) -> Answer:
        fields = body_of(request, "storage")
        zone = fields.get("zone")
        if not zone:
            raise Refused(400, "ZONE_MISSING", "The required attribute zone is missing.")
        if "size" not in fields:
            raise Refused(400, "SIZE_MISSING", "The required attribute size is missing.")
        if not fields.get("title"):
            raise Refused(400, "TITLE_MISSING", "The required attribute title is missing.")
        record = self.make(fields, str(zone), str(fields["title"]))
        return Answer(201, {"storage": self._details(record)})

    def make(self, fields: Mapping[str, Any], zone: str, title: str, size: int = 10) -> Record:
        """A disk, not attached yet. Raises Refused."""
        if zone not in catalogue.ZONES:
            raise Refused(404, "ZONE_NOT_FOUND", f"The zone {zone} does not exist.")
        if (tier := fields.get("tier", "maxiops")) not in catalogue.TIERS:
            raise Refused(400, "TIER_INVALID", f"The storage tier {tier} is invalid.")
        gib = number(fields, "size", size, lambda given: 1 <= given <= _SIZE_MAX, "SIZE_INVALID")
        record: Record = {
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "labels": check_labels(fields.get("labels", [])),
            "size": gib,
            "state": "online",
            "tier": tier,
            "title": title,
            "zone": zone,
        }
        return self._account.add("storage", record)

    def modify(self, request: Request) -> Answer:
        record = self._account.get("storage", request.parts["uuid"])
        fields = body_of(request, "storage")
        if "size" in fields:
            size = number(fields, "size", 0, lambda given: record["size"] <= given <= _SIZE_MAX, "SIZE_INVALID")
            server = self._server_of(record)
            if size > record["size"] and server is not None and server["state"] != "stopped":
                raise Refused(409, "SERVER_STATE_ILLEGAL", f"The server {server['uuid']} is not stopped.")
            record["size"] = size
        if "labels" in fields:
            record["labels"] = check_labels(fields["labels"])
        record["title"] = fields.get("title", record["title"])
        self._account.save("storage", record)
        return Answer(202, {"storage": self._details(record)})

    def delete(self, request: Request) -> Answer:
        record = self._account.get("storage", request.parts["uuid"])
        if self._server_of(record) is not None:
            raise Refused(409, "STORAGE_ATTACHED", f"The storage {record['uuid']} is attached to a server.")
        self._account.remove("storage", record["uuid"])
        return Answer(204)

    def attach(self, server: Record, fields: Mapping[str, Any]) -> None:
        """Raises Refused. Without an address: the first free one of the bus."""
        record = self._account.get("storage", str(fields.get("storage", "")))
        if self._server_of(record) is not None:
            raise Refused(409, "STORAGE_ATTACHED", f"The storage {record['uuid']} is attached already.")
        if record["zone"] != server["zone"]:
            raise Refused(409, "ZONE_MISMATCH", "The storage and the server are in different zones.")
        if server["state"] == "maintenance":
            raise Refused(409, "SERVER_STATE_ILLEGAL", f"The server {server['uuid']} is in maintenance.")
        taken = {device["address"] for device in server["_devices"]}
        bus = str(fields.get("address") or "virtio").partition(":")[0]
        free = [f"{bus}:{at}" for at in range(_ADDRESSES_MAX) if f"{bus}:{at}" not in taken]
        wanted = str(fields.get("address", ""))
        address = wanted if ":" in wanted else next(iter(free), None)
        if address is None or address in taken:
            raise Refused(409, "DEVICE_ADDRESS_IN_USE", f"The address {address} is in use.")
        server["_devices"].append({"address": address, "storage": record["uuid"]})

    def device(self, device: Mapping[str, Any]) -> dict[str, Any]:
        record = self._account.get("storage", device["storage"])
        return {
            "address": device["address"],
            "boot_disk": "0",
            "labels": record["labels"],
            "storage": record["uuid"],
            "storage_size": record["size"],
            "storage_tier": record["tier"],
            "storage_title": record["title"],
            "type": "disk",
        }

    def _server_of(self, record: Record) -> Record | None:
        for server in self._account.all("server"):
            if any(device["storage"] == record["uuid"] for device in server["_devices"]):
                return server
        return None

    def _details(self, record: Record) -> dict[str, Any]:
        server = self._server_of(record)
        servers = [] if server is None else [server["uuid"]]
        return _row(record) | {"servers": {"server": servers}, "backup_rule": {}, "backups": {"backup": []}}


def _row(record: Record) -> dict[str, Any]:
    shown = {name: value for name, value in record.items() if not name.startswith("_")}
    return {"access": "private", "license": 0, "type": "normal"} | shown


def body_of(request: Request, name: str) -> dict[str, Any]:
    """The object under that name. Raises Refused."""
    try:
        body = request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict) or not isinstance(body.get(name), dict):
        raise Refused(400, "REQUEST_INVALID", f"The request body has no object {name}.")
    return dict(body[name])


def paged(rows: list[dict[str, Any]], request: Request) -> list[dict[str, Any]]:
    offset = number(dict(request.query), "offset", 0, lambda given: given >= 0, "INVALID_OPTIONS")
    limit = number(dict(request.query), "limit", len(rows), lambda given: given >= 0, "INVALID_OPTIONS")
    return rows[offset : offset + limit]
