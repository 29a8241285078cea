"""A double of UpCloud's API 1.3: an account on loopback with a ledger of all it ever made, and faults on request.

What it answers was written from recorded answers of the real API (the fixtures of upcloud-go-api at f64673e, 2022 to
2025) and from developers.upcloud.com/1.3. How sure each fact is:

    recorded    202 of a create with state `maintenance`, progress "0", addresses and a password; `started` soon
                after; numbers as text in servers; labels as {"label": [...]} in servers, as plain lists in storages
                and networks; filters `label=key`, `label=key=value`, all must hold; PUT of a server and a storage:
                202, of a network: 200; stop: 200 and still `started`; start: 200; delete: 204, also as
                `/server/UUID/?storages=1`; storages, networks, interfaces and firewall rules: 201; PUT of all
                firewall rules: 204; tag: 200; attach and detach: 200 with the server; 400 SERVER_INVALID for what is
                no uuid; 404 *_NOT_FOUND; both shapes of errors
    documented  SERVER_STATE_ILLEGAL and the other error codes; which states there are; a delete needs a stopped
                server; label keys: 2 to 32 printable ASCII characters, no `_` first, compared regardless of case;
                label values: at most 255 characters
    assumed     status 409 of SERVER_STATE_ILLEGAL, SERVER_RESOURCES_UNAVAILABLE, STORAGE_ATTACHED, NETWORK_NOT_EMPTY;
                403 of SERVER_CREATING_LIMIT_REACHED; 401 of AUTHENTICATION_FAILED; 429 with Retry-After and 503 as
                problems (no rate limit is published); `limit` and `offset` of lists, and that without them all is
                listed; that a plan can be changed, and a disk grow, only while the server is stopped; that lists may
                lag behind (`lag_s`)

Not there: IP addresses of their own, routers, load balancers, databases, backups, hosts, server groups, permissions.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from ..admin import admin_routes
from ..faults import Fault, Faults
from ..http import Answer, Request, Route, Server
from ..mishap import befall
from ..running import Running
from . import catalogue
from .account import Account
from .machines import LocalMachines, NoMachines
from .networks import Networks
from .refusal import Refused, problem
from .rules import Rules, Tags
from .servers import Servers
from .storages import Storages

ROOT = "/1.3"
Handle = Callable[[Request], Answer]


class UpCloudDouble(Running):
    """`with UpCloudDouble(directory) as double: double.url`.

    directory: its state; what is in its ledger already exists again. token: the only one that is accepted; None: any
    credentials are. backed: what is behind the servers. pace_s: how long a create, start or stop takes. Raises OSError
    where the port is taken, ConflictError where another double uses the directory.
    """

    def __init__(
        self,
        directory: Path,
        *,
        faults: Faults | None = None,
        port: int = 0,
        token: str | None = None,
        backed: Literal["none", "local"] = "none",
        pace_s: float = 0.05,
    ) -> None:
        self.directory = Path(directory)
        super().__init__(self.directory, faults)
        self._token = token
        self._account = Account(self.ledger, self.faults, pace_s)
        machines = LocalMachines(self.directory, self._account) if backed == "local" else NoMachines()
        self.behind = machines
        self._storages = Storages(self._account)
        self._networks = Networks(self._account)
        self._servers = Servers(self._account, self._storages, self._networks, machines)
        admin = admin_routes(self.ledger, self.faults, self._servers)
        self.server = Server([*admin, *self._routes()], missing=_missing, port=port)
        self.url = self.server.url

    # --- what a request goes through ----------------------------------------------------------------------------------

    def _routes(self) -> list[Route]:
        servers, storages, networks = self._servers, self._storages, self._networks
        rules, tags = Rules(self._account), Tags(self._account)
        table: list[tuple[str, str, str, Handle]] = [
            ("GET", "/account", "get", lambda _: Answer(200, catalogue.account())),
            ("GET", "/zone", "list", lambda _: Answer(200, catalogue.zones())),
            ("GET", "/plan", "list", lambda _: Answer(200, catalogue.plans())),
            ("GET", "/price", "list", lambda _: Answer(200, catalogue.prices())),
            ("GET", "/server", "list", servers.index),
            ("GET", "/server/tag/{tags}", "list", servers.index),
            ("GET", "/server/{uuid}", "get", servers.show),
            ("PUT", "/server/{uuid}", "update", servers.modify),
            ("DELETE", "/server/{uuid}", "delete", servers.delete),
            ("POST", "/server/{uuid}/start", "power", servers.start),
            ("POST", "/server/{uuid}/stop", "power", servers.stop),
            ("POST", "/server/{uuid}/restart", "power", servers.restart),
            ("POST", "/server/{uuid}/storage/attach", "update", servers.attach),
            ("POST", "/server/{uuid}/storage/detach", "update", servers.detach),
            ("GET", "/server/{uuid}/networking", "get", servers.networking),
            ("POST", "/server/{uuid}/networking/interface", "update", servers.add_interface),
            ("DELETE", "/server/{uuid}/networking/interface/{index}", "update", servers.remove_interface),
            ("GET", "/server/{uuid}/firewall_rule", "get", rules.index),
            ("POST", "/server/{uuid}/firewall_rule", "update", rules.create),
            ("PUT", "/server/{uuid}/firewall_rule", "update", rules.replace),
            ("GET", "/server/{uuid}/firewall_rule/{position}", "get", rules.show),
            ("DELETE", "/server/{uuid}/firewall_rule/{position}", "update", rules.delete),
            ("POST", "/server/{uuid}/tag/{tags}", "update", tags.put_on),
            ("POST", "/server/{uuid}/untag/{tags}", "update", tags.take_off),
            ("GET", "/tag", "list", tags.index),
            ("POST", "/tag", "update", tags.create),
            ("DELETE", "/tag/{name}", "delete", tags.delete),
            ("GET", "/storage", "list", storages.index),
            ("GET", "/storage/{which}", "list", storages.index),
            ("POST", "/storage", "create", storages.create),
            ("PUT", "/storage/{uuid}", "update", storages.modify),
            ("DELETE", "/storage/{uuid}", "delete", storages.delete),
            ("GET", "/network", "list", networks.index),
            ("GET", "/network/{uuid}", "get", networks.show),
            ("POST", "/network", "create", networks.create),
            ("PUT", "/network/{uuid}", "update", networks.modify),
            ("DELETE", "/network/{uuid}", "delete", networks.delete),
        ]
        routes = [("POST", "/server", self._guarded("create", self._create_server))]
        routes += [(method, path, self._guarded(verb, self._alone(handle))) for method, path, verb, handle in table]
        return [Route(method, ROOT + path + end, handle) for method, path, handle in routes for end in ("", "/")]

    def _alone(self, handle: Handle) -> Callable[[Request, Fault], Answer]:
        def handle_alone(request: Request, _: Fault) -> Answer:
            with self._account.locked():
                return handle(request)

        return handle_alone

    def _create_server(self, request: Request, fault: Fault) -> Answer:
        return self._servers.create(request, stuck=fault == "stuck")()

    def _guarded(self, verb: str, handle: Callable[[Request, Fault], Answer]) -> Handle:
        """Credentials, then what is to go wrong, then the request itself."""

        def answer(request: Request) -> Answer:
            if not self._accepted(request.headers.get("authorization", "")):
                return Refused(
                    401, "AUTHENTICATION_FAILED", "Authentication failed using the given credentials."
                ).answer()
            fault = self.faults.draw(verb)

            def do() -> Answer:
                try:
                    return handle(request, fault)
                except Refused as refused:
                    return refused.answer()

            return befall(fault, self.faults.waits, do=do, refuse=self._refusal, pause=self.server.pause)

        return answer

    def _accepted(self, authorization: str) -> bool:
        scheme, _, credentials = authorization.partition(" ")
        if self._token is not None:
            return authorization == f"Bearer {self._token}"
        return scheme.lower() in ("bearer", "basic") and bool(credentials)

    def _refusal(self, fault: Fault) -> Answer:
        if fault == "stock":
            return Refused(409, "SERVER_RESOURCES_UNAVAILABLE", "There are not enough resources in the zone.").answer()
        if fault == "throttle":
            after = {"Retry-After": str(self.faults.waits.retry_after_s)}
            return problem(429, "TOO_MANY_REQUESTS", "Too many requests.", after)
        return problem(503, "SERVICE_UNAVAILABLE", "The service is temporarily unavailable.")


def _missing(request: Request) -> Answer:
    return problem(404, "NOT_FOUND", f"There is no {request.method} {request.path}, at least not at this double.")
