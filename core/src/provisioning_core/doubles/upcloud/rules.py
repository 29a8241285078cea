"""Firewall rules and tags of servers."""

from __future__ import annotations

from typing import Any

from ..http import Answer, Request
from .account import Account, Record
from .refusal import Refused
from .storages import body_of

_RANGES = ("destination_address", "destination_port", "source_address", "source_port")
_ENDS = tuple(f"{name}_{end}" for name in _RANGES for end in ("start", "end"))


class Rules:
    """Numbered from 1 by their position; the number of a rule changes when one before it goes."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def index(self, request: Request) -> Answer:
        return Answer(200, {"firewall_rules": {"firewall_rule": _numbered(self._server(request))}})

    def show(self, request: Request) -> Answer:
        server = self._server(request)
        return Answer(200, {"firewall_rule": _numbered(server)[self._at(server, request)]})

    def create(self, request: Request) -> Answer:
        server = self._server(request)
        fields = body_of(request, "firewall_rule")
        rule = _checked(fields)
        at = int(fields.get("position") or len(server["_rules"]) + 1) - 1
        server["_rules"].insert(at, rule)
        self._account.save("server", server)
        return Answer(201, {"firewall_rule": rule | {"position": str(at + 1)}})

    def replace(self, request: Request) -> Answer:
        server = self._server(request)
        given = body_of(request, "firewall_rules").get("firewall_rule")
        if not isinstance(given, list):
            raise Refused(400, "REQUEST_INVALID", "The request body has no list firewall_rule.")
        server["_rules"] = [_checked(each) for each in given]
        self._account.save("server", server)
        return Answer(204)

    def delete(self, request: Request) -> Answer:
        server = self._server(request)
        del server["_rules"][self._at(server, request)]
        self._account.save("server", server)
        return Answer(204)

    def _server(self, request: Request) -> Record:
        return self._account.get("server", request.parts["uuid"])

    def _at(self, server: Record, request: Request) -> int:
        position = request.parts["position"]
        if not position.isdecimal() or not 1 <= int(position) <= len(server["_rules"]):
            raise Refused(404, "FIREWALL_RULE_NOT_FOUND", f"The firewall rule {position} does not exist.")
        return int(position) - 1


class Tags:
    def __init__(self, account: Account) -> None:
        self._account = account

    def index(self, _: Request) -> Answer:
        return Answer(200, {"tags": {"tag": [self._row(each) for each in self._account.all("tag")]}})

    def create(self, request: Request) -> Answer:
        fields = body_of(request, "tag")
        tag: Record = {"name": str(fields.get("name", "")), "description": str(fields.get("description", ""))}
        if not tag["name"].replace("_", "").replace("-", "").isalnum() or len(tag["name"]) > 32:
            raise Refused(400, "TAG_INVALID", f"The tag {tag['name']} is invalid.")
        if any(each["name"] == tag["name"] for each in self._account.all("tag")):
            raise Refused(409, "TAG_EXISTS", f"The tag {tag['name']} already exists.")
        self._account.add("tag", tag, tag["name"])
        return Answer(200, {"tag": self._row(tag)})

    def delete(self, request: Request) -> Answer:
        name = request.parts["name"]
        self._account.get("tag", name)
        for server in self._account.all("server"):
            if name in server["_tags"]:
                server["_tags"].remove(name)
                self._account.save("server", server)
        self._account.remove("tag", name)
        return Answer(204)

    def put_on(self, request: Request) -> Answer:
        return self._change(request, lambda tags, names: list(dict.fromkeys([*tags, *names])))

    def take_off(self, request: Request) -> Answer:
        return self._change(request, lambda tags, names: [each for each in tags if each not in names])

    def _change(self, request: Request, changed: Any) -> Answer:
        server = self._account.get("server", request.parts["uuid"])
        names = request.parts["tags"].split(",")
        for name in names:
            self._account.get("tag", name)
        server["_tags"] = changed(server["_tags"], names)
        self._account.save("server", server)
        return Answer(200, {"server": {"uuid": server["uuid"], "tags": {"tag": server["_tags"]}}})

    def _row(self, tag: Record) -> dict[str, Any]:
        servers = [each["uuid"] for each in self._account.all("server") if tag["name"] in each["_tags"]]
        return {"name": tag["name"], "description": tag["description"], "servers": {"server": servers}}


def _numbered(server: Record) -> list[dict[str, Any]]:
    return [rule | {"position": str(at)} for at, rule in enumerate(server["_rules"], start=1)]


def _checked(fields: Any) -> dict[str, Any]:
    if not isinstance(fields, dict) or fields.get("direction") not in ("in", "out"):
        raise Refused(400, "DIRECTION_INVALID", "The value of direction is invalid.")
    if fields.get("action") not in ("accept", "drop"):
        raise Refused(400, "ACTION_INVALID", "The value of action is invalid.")
    if fields.get("protocol", "") not in ("", "tcp", "udp", "icmp"):
        raise Refused(400, "PROTOCOL_INVALID", "The value of protocol is invalid.")
    names = ("action", "comment", "direction", "family", "icmp_type", "protocol", *_ENDS)
    return {name: str(fields.get(name, "")) for name in names}
