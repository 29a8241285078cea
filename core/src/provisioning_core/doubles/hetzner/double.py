"""A double of Hetzner's cloud, on loopback: hcloud's clients work on it unchanged, given its URL as their endpoint.

    with HetznerDouble(directory) as double:
        hcloud.Client("any token", api_endpoint=double.url)

It answers what the provider and a curious user need: servers and their power, type, network and label changes;
networks with subnets; volumes; firewalls; SSH keys; actions; locations, server types, images; pages, label selectors.
Names are unique per kind, what an action runs on is locked, deleting a server detaches. There are no floating or
primary IPs, load balancers, snapshots, certificates or DNS, and no datacenters (the API has dropped them). Firewalls
are kept, not enforced.

Words for faults: `create` (anything), `list`, `get`, `delete`, `update` (labels, rules, sizes, attachments), `power`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ..admin import admin_routes
from ..backing import Backed, Backing
from ..faults import Fault, Faults
from ..http import Answer, Request, Route, Server
from ..mishap import befall
from ..running import Running
from . import firewall, key, network, server, volume
from .catalogue import IMAGES, LOCATIONS, SERVER_TYPES
from .labels import check_labels, matches
from .refusal import Refusal, not_found
from .world import Thing, World

PER_PAGE, PER_PAGE_MAX = 25, 50
REQUESTS_PER_HOUR = 3600
_KINDS: dict[str, tuple[str, Any]] = {
    "servers": ("server", server),
    "networks": ("network", network),
    "volumes": ("volume", volume),
    "firewalls": ("firewall", firewall),
    "ssh_keys": ("ssh_key", key),
}
_OFFERS = {"locations": LOCATIONS, "server_types": SERVER_TYPES, "images": IMAGES}
_ACTIONS: dict[tuple[str, str], Callable[[World, Thing, Thing], Thing]] = {
    ("servers", "change_type"): server.change_type,
    ("servers", "attach_to_network"): server.attach,
    ("volumes", "attach"): volume.attach,
    ("volumes", "detach"): volume.detach,
    ("volumes", "resize"): volume.resize,
    ("firewalls", "set_rules"): firewall.set_rules,
    ("firewalls", "apply_to_resources"): firewall.apply,
    ("firewalls", "remove_from_resources"): firewall.remove,
}
_REFUSED: dict[Fault, Refusal] = {
    "error": Refusal("server_error", "an error occurred in the API backend"),
    "throttle": Refusal("rate_limit_exceeded", f"limit of {REQUESTS_PER_HOUR} requests per hour reached"),
    "stock": Refusal("resource_unavailable", "server location disabled: there is no room for it now"),
}
_POWER = ("poweron", "poweroff", "shutdown", "reboot", "reset")


class HetznerDouble(Running):
    """One project. directory: of its ledger; what is in it already exists again. token: the only one that is accepted;
    None: any is. backed: what is behind the servers. pace_s: how long each action takes, a boot included. Raises
    OSError where the port is taken, ConflictError where another double uses the directory.
    """

    name = "hetzner"

    def __init__(
        self,
        directory: Path,
        *,
        faults: Faults | None = None,
        port: int = 0,
        token: str | None = None,
        backed: Backed = "none",
        pace_s: float = 0.05,
    ) -> None:
        super().__init__(directory, faults)
        self.behind = backing = Backing(Path(directory), backed)
        self._world = World(self.ledger, pace_s, backing)
        self._token = token
        server.go_on(self._world)
        admin = admin_routes(self.ledger, self.faults, server.Support(self._world))
        routes = [*admin, backing.route(), *self._routes()]
        self.server = Server(routes, missing=_missing, port=port)
        self.url = f"{self.server.url}/v1"
        self.port = self.server.port

    def _routes(self) -> list[Route]:
        routes = [self._route("get", "GET", "/v1/actions/{id}", self._action)]
        for path, offers in _OFFERS.items():
            routes.append(self._route("list", "GET", f"/v1/{path}", _offers_page(path, offers)))
            routes.append(self._route("get", "GET", f"/v1/{path}/{{id}}", _offer(path, offers)))
        for path, (kind, module) in _KINDS.items():
            routes += self._routes_of(path, kind, module)
        for (path, word), act in _ACTIONS.items():
            handler = self._acting(_KINDS[path][0], act)
            routes.append(self._route("update", "POST", f"/v1/{path}/{{id}}/actions/{word}", handler, 201))
        for word in _POWER:
            handler = self._acting("server", partial(_power, word))
            routes.append(self._route("power", "POST", f"/v1/servers/{{id}}/actions/{word}", handler, 201))
        return routes

    def _routes_of(self, path: str, kind: str, module: Any) -> list[Route]:
        world = self._world

        def create(request: Request) -> Thing:
            quota = self.faults.quota
            if kind == "server" and quota is not None and len(world.every("server")) >= quota:
                raise Refusal("resource_limit_exceeded", "server limit exceeded")
            made: Thing = module.create(world, _body(request))
            return made

        def listing(request: Request) -> Thing:
            selector, name = request.first("label_selector"), request.first("name")
            fingerprint = request.first("fingerprint")
            found = [
                module.show(world, each)
                for each in world.listed(kind)
                if name in (None, each["name"])
                and fingerprint in (None, each.get("fingerprint"))
                and (not selector or matches(each["labels"], selector))
            ]
            return _page(path, found, request)

        def get(request: Request) -> Thing:
            return {kind: module.show(world, world.get(kind, request.parts["id"]))}

        def update(request: Request) -> Thing:
            thing = world.get(kind, request.parts["id"])
            server.update(world, thing, _body(request)) if kind == "server" else _relabel(world, kind, thing, request)
            return {kind: module.show(world, thing)}

        def delete(request: Request) -> Thing | None:
            gone: Thing | None = module.delete(world, world.get(kind, request.parts["id"]))
            return gone

        one = f"/v1/{path}/{{id}}"
        return [
            self._route("create", "POST", f"/v1/{path}", create, 201),
            self._route("list", "GET", f"/v1/{path}", listing),
            self._route("get", "GET", one, get),
            self._route("update", "PUT", one, update),
            self._route("delete", "DELETE", one, delete, 200 if kind == "server" else 204),
        ]

    def _acting(self, kind: str, act: Callable[[World, Thing, Thing], Thing]) -> Callable[[Request], Thing]:
        return lambda request: act(self._world, self._world.get(kind, request.parts["id"]), _body(request))

    def _action(self, request: Request) -> Thing:
        return {"action": self._world.shown_action(request.parts["id"])}

    def _route(
        self, verb: str, method: str, pattern: str, handler: Callable[[Request], Thing | None], status: int = 200
    ) -> Route:
        """The handler, with what may befall a request around it."""

        def answer(request: Request) -> Answer:
            fault, waits = self.faults.draw(verb), self.faults.waits

            def do() -> Answer:
                try:
                    self._check_token(request)
                    with self._world.lock:
                        self._world.stuck = fault == "stuck"
                        self._world.lag_s = waits.lag_s
                        return Answer(status, handler(request), _limits(REQUESTS_PER_HOUR - 1))
                except Refusal as refusal:
                    return refusal.answer(_limits(REQUESTS_PER_HOUR - 1))

            def refuse(fault: Fault) -> Answer:
                throttled = fault == "throttle"
                headers = _limits(0 if throttled else REQUESTS_PER_HOUR - 1)
                retry = {"Retry-After": str(waits.retry_after_s)} if throttled else {}
                return _REFUSED[fault].answer(headers | retry)

            return befall(fault, waits, do=do, refuse=refuse, pause=self.server.pause)

        return Route(method, pattern, answer)

    def _check_token(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not token or self._token not in (None, token):
            raise Refusal("unauthorized", "unable to authenticate")


def _power(word: str, world: World, thing: Thing, _: Thing) -> Thing:
    return server.power(world, thing, word)


def _missing(request: Request) -> Answer:
    return not_found("path", request.path).answer()


def _limits(remaining: int) -> dict[str, str]:
    reset = int(time.time()) + REQUESTS_PER_HOUR - remaining
    limits = {"Limit": REQUESTS_PER_HOUR, "Remaining": remaining, "Reset": reset}
    return {f"RateLimit-{name}": str(value) for name, value in limits.items()} | {"X-Correlation-Id": "double"}


def _body(request: Request) -> Thing:
    try:
        body = request.json() or {}
    except ValueError as error:
        raise Refusal("json_error", f"invalid JSON: {error}") from error
    if not isinstance(body, dict):
        raise Refusal("json_error", "not an object")
    return body


def _relabel(world: World, kind: str, thing: Thing, request: Request) -> None:
    body = _body(request)
    fields: Thing = {"labels": check_labels(body["labels"])} if "labels" in body else {}
    world.change(kind, thing, **fields)


def _offers_page(path: str, offers: tuple[Thing, ...]) -> Callable[[Request], Thing]:
    def page(request: Request) -> Thing:
        names, kinds = request.all("name"), request.all("type")
        found = [
            each for each in offers if (not names or each["name"] in names) and (not kinds or each.get("type") in kinds)
        ]
        return _page(path, found, request)

    return page


def _offer(path: str, offers: tuple[Thing, ...]) -> Callable[[Request], Thing]:
    kind = path.removesuffix("s")

    def one(request: Request) -> Thing:
        for each in offers:
            if str(each["id"]) == request.parts["id"]:
                return {kind: each}
        raise not_found(kind, request.parts["id"])

    return one


def _page(path: str, found: list[Thing], request: Request) -> Thing:
    page = int(request.first("page") or 1)
    size = min(int(request.first("per_page") or PER_PAGE), PER_PAGE_MAX)
    last = max(1, math.ceil(len(found) / size))
    meta = {
        "page": page,
        "per_page": size,
        "previous_page": page - 1 if page > 1 else None,
        "next_page": page + 1 if page < last else None,
        "last_page": last,
        "total_entries": len(found),
    }
    return {path: found[(page - 1) * size : page * size], "meta": {"pagination": meta}}
