"""Networks: private ones (SDN), and the public and utility networks that every zone has."""

from __future__ import annotations

import ipaddress
from typing import Any

from ..http import Answer, Request
from . import catalogue
from .account import Account, Record, check_labels, matches
from .refusal import Refused
from .storages import body_of, paged


def zone_network(kind: str, zone: str) -> str:
    """The uuid of a zone's own network."""
    at = list(catalogue.ZONES).index(zone)
    return f"03000000-0000-4000-8{0 if kind == 'public' else 1:03d}-{at:012d}"


class Networks:
    def __init__(self, account: Account) -> None:
        self._account = account

    def index(self, request: Request) -> Answer:
        zone = request.first("zone")
        rows = [*_zone_rows(), *map(self._row, self._account.listed("network"))]
        rows = [row for row in rows if zone in (None, row["zone"]) and matches(row, request.all("label"))]
        return Answer(200, {"networks": {"network": paged(rows, request)}})

    def show(self, request: Request) -> Answer:
        for row in _zone_rows():
            if row["uuid"] == request.parts["uuid"]:
                return Answer(200, {"network": row})
        return Answer(200, {"network": self._row(self._account.get("network", request.parts["uuid"]))})

    def create(self, request: Request) -> Answer:
        fields = body_of(request, "network")
        if not fields.get("name"):
            raise Refused(400, "NETWORK_NAME_MISSING", "The required attribute name is missing.")
        if fields.get("zone") not in catalogue.ZONES:
            raise Refused(404, "ZONE_NOT_FOUND", f"The zone {fields.get('zone')} does not exist.")
        first = _ip_network(fields)
        network = _private(str(first.get("address")))
        record: Record = {
            "labels": check_labels(fields.get("labels", [])),
            "name": str(fields["name"]),
            "zone": fields["zone"],
            "_cidr": str(network),
            "_dhcp": first.get("dhcp", "yes"),
            "_gateway": first.get("gateway") or str(network[1]),
            "_leased": 1,
        }
        return Answer(201, {"network": self._row(self._account.add("network", record))})

    def modify(self, request: Request) -> Answer:
        record = self._account.get("network", request.parts["uuid"])
        fields = body_of(request, "network")
        if "labels" in fields:
            record["labels"] = check_labels(fields["labels"])
        record["name"] = fields.get("name", record["name"])
        self._account.save("network", record)
        return Answer(200, {"network": self._row(record)})

    def delete(self, request: Request) -> Answer:
        record = self._account.get("network", request.parts["uuid"])
        if self._servers(record):
            raise Refused(409, "NETWORK_NOT_EMPTY", f"The network {record['uuid']} has servers attached to it.")
        self._account.remove("network", record["uuid"])
        return Answer(204)

    def interface(self, fields: dict[str, Any], zone: str, index: int) -> dict[str, Any]:
        """A new interface of a server. Raises Refused."""
        kind = fields.get("type")
        if kind not in ("public", "utility", "private"):
            raise Refused(400, "NETWORK_TYPE_INVALID", f"The network type {kind} is invalid.")
        if kind == "private":
            record = self._account.get("network", str(fields.get("network", "")))
            if record["zone"] != zone:
                raise Refused(409, "NETWORK_INVALID", "The network and the server are in different zones.")
            record["_leased"] += 1
            address, network = str(ipaddress.ip_network(record["_cidr"])[record["_leased"]]), record["uuid"]
            self._account.save("network", record)
        else:
            address, network = self._account.address(), zone_network(kind, zone)
        leased = {"address": address, "dhcp_provided": "yes", "family": "IPv4", "floating": "no"}
        return {
            "bootable": "no",
            "index": index,
            "ip_addresses": {"ip_address": [leased]},
            "mac": self._account.mac(),
            "network": network,
            "source_ip_filtering": "yes",
            "type": kind,
        }

    def _servers(self, record: Record) -> list[Record]:
        def attached(server: Record) -> bool:
            return any(each["network"] == record["uuid"] for each in server["_interfaces"])

        return [server for server in self._account.all("server") if attached(server)]

    def _row(self, record: Record) -> dict[str, Any]:
        ip_network = {
            "address": record["_cidr"],
            "dhcp": record["_dhcp"],
            "dhcp_default_route": "no",
            "family": "IPv4",
            "gateway": record["_gateway"],
        }
        servers = [{"title": each["title"], "uuid": each["uuid"]} for each in self._servers(record)]
        return {
            "ip_networks": {"ip_network": [ip_network]},
            "labels": record["labels"],
            "name": record["name"],
            "type": "private",
            "uuid": record["uuid"],
            "zone": record["zone"],
        } | ({"servers": {"server": servers}} if servers else {})


def _ip_network(fields: dict[str, Any]) -> dict[str, Any]:
    """The only one: a list of one in the documentation, an object alone as the Python SDK sends it. Raises Refused."""
    given = fields.get("ip_networks")
    found: Any = given.get("ip_network") if isinstance(given, dict) else None
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    if not isinstance(found, dict):
        raise Refused(400, "IP_NETWORKS_MISSING", "The required attribute ip_networks is missing.")
    return found


def _private(address: str) -> ipaddress.IPv4Network:
    try:
        network = ipaddress.IPv4Network(address)
    except ValueError:
        raise Refused(400, "IP_NETWORK_ADDRESS_INVALID", f"The address {address} is invalid.") from None
    if network.prefixlen > 29 or not network.is_private:
        raise Refused(400, "IP_NETWORK_ADDRESS_INVALID", f"The address {address} is no private network.")
    return network


def _zone_rows() -> list[dict[str, Any]]:
    return [
        {
            "ip_networks": {"ip_network": []},
            "labels": [],
            "name": f"{kind} network of {zone}",
            "type": kind,
            "uuid": zone_network(kind, zone),
            "zone": zone,
        }
        for zone in catalogue.ZONES
        for kind in ("public", "utility")
    ]
