"""Servers at Hetzner, and what belongs to them.

    POST /servers, powered off, marked open=making     its unique name is what makes two creates one server
    firewall, volumes                                   each found before it is made
    power on                                            so it never runs unprotected, nor before its disks are there
    mark off                                            when it has let somebody in

Whoever finds a server with the mark finishes it, whatever was killed in between. Deleting goes the other way: power
off, volumes, firewall, and the server last, by which the rest is found again. A change that needs a stopped server is
marked open=changing before it is stopped: whoever repeats the change starts it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ...errors import ProviderError
from ...provider import Resource, ServerState, Wish
from .. import access, portable
from ..loopback import is_loopback, ssh_behind
from . import disks, identity, keys, walls
from .account import Account
from .identity import OPEN
from .parts import Parts
from .setting import Setting

MAKING, CHANGING = "making", "changing"
_STATES: Mapping[str, ServerState] = {"running": "started", "off": "stopped", "stopping": "stopped", "unknown": "error"}
USER = "root"


class Servers:
    def __init__(self, account: Account, setting: Setting, workspace: Path) -> None:
        self._account = account
        self._setting = setting
        self._workspace = workspace
        self._client = account.client.servers
        self._on_loopback = is_loopback(setting.url)
        self._places: dict[str, dict[str, Any]] = {}

    # --- making -----------------------------------------------------------------------------------------------------

    def make(self, wish: Wish, spec: Mapping[str, Any], network: Any) -> tuple[Any, bool]:
        """The server and whether it was made now. It is not finished then."""
        from hcloud.images import Image
        from hcloud.locations import Location
        from hcloud.server_types import ServerType

        doing = f"creating server {wish.name}"
        public = [access.workspace_key(self._workspace), *spec["ssh_keys"]]
        ssh_keys = keys.ensure(self._account, public)
        name = identity.resource_name(wish.infra, wish.name, identity.digest("server", wish.key))
        image = Image(id=int(spec["image"])) if spec["image"].isdecimal() else Image(name=spec["image"])
        try:
            made = self._account.ask(
                doing,
                lambda: self._client.create(
                    name,
                    ServerType(name=spec["plan"]),
                    image,
                    ssh_keys=list(ssh_keys),
                    networks=[network] if network else None,
                    user_data=spec["user_data"],
                    labels=identity.labels_of(wish) | {OPEN: MAKING},
                    location=Location(name=spec["zone"]),
                    start_after_create=False,
                ),
            )
            return made.server, True
        except ProviderError as error:
            if error.code != "uniqueness_error":
                raise
        return self._named(wish, name, doing), False

    def _named(self, wish: Wish, name: str, doing: str) -> Any:
        """The one that has our name: made by an attempt whose answer was lost, or by another process, or not ours."""
        self._account.until(doing, lambda: self._client.get_by_name(name) is not None)
        found = self._account.ask(doing, lambda: self._client.get_by_name(name))
        whose = identity.read("server", found.labels or {}) if found else None
        if found is None or whose is None or whose["key"] != wish.key:
            raise ProviderError(
                f"{doing}: the project has a server {name!r} that is not ours",
                code="name_taken",
                hint="rename it, or use another project",
                retryable=False,
            )
        return found

    def finish(self, server: Any, spec: Mapping[str, Any] | None, doing: str) -> Any:
        """Make it whole, running and reachable. spec: None where it only has to run."""
        self.settle(server.id, doing)
        server = self._there(server.id, doing)
        if spec is not None and OPEN in (server.labels or {}):
            self.furnish(server, spec)
        # The mark goes last: until somebody was let in, whoever comes by has to find that it is not done.
        self.wait_for_ssh(self._start(server, doing))
        server = self._there(server.id, doing)
        left = {name: value for name, value in (server.labels or {}).items() if name != OPEN}
        self.relabel(server, left, doing)
        return self._there(server.id, doing)

    def furnish(self, server: Any, spec: Mapping[str, Any]) -> None:
        whose = identity.read("server", server.labels or {})
        assert whose is not None
        of = identity.digest("server", whose["key"])
        walls.ensure(self._account, server, of, spec["firewall"], self._setting.ssh_from)
        disks.ensure(self._account, server, of, whose, spec["storages"])

    def wait_for_ssh(self, server: Any) -> None:
        if self._setting.wait_for_ssh:
            setting = self._setting
            access.wait_for_ssh(
                self._ssh(server), name=str(server.name), deadline_s=setting.deadline_s, poll_s=setting.poll_s
            )

    # --- changing ---------------------------------------------------------------------------------------------------

    def relabel(self, server: Any, labels: Mapping[str, str], doing: str) -> Any:
        if dict(labels) == dict(server.labels or {}):
            return server
        return self._account.ask(doing, lambda: self._client.update(server, labels=dict(labels)))

    def change_plan(self, server: Any, plan: str, doing: str) -> Any:
        """Stopped for it, and marked first where it runs, so that it is started again. The disk keeps its size, so that
        the plan can become smaller again."""
        from hcloud.server_types import ServerType

        self.settle(server.id, doing)
        server = self._there(server.id, doing)
        if server.status != "off":
            server = self.relabel(server, dict(server.labels or {}) | {OPEN: CHANGING}, doing)
            server = self.power(server.id, "stop", doing)
        change = partial(server.change_type, ServerType(name=plan), upgrade_disk=False)
        self._account.finish(doing, self._account.ask(doing, change))
        self.settle(server.id, doing)
        return self._there(server.id, doing)

    def power(self, id: int, action: str, doing: str) -> Any:
        """Stopped: asked to first, and then, where that does not help in half the time, cut off."""
        self.settle(id, doing)
        server = self._there(id, doing)
        if action == "start":
            return self._start(server, doing)
        if action == "reboot" and server.status == "running":
            self._account.finish(doing, self._account.ask(doing, server.reboot))
            self.settle(id, doing)
            return self._start(self._there(id, doing), doing)
        if action == "reboot":
            return self._start(server, doing)
        if server.status != "off":
            self._account.finish(doing, self._account.ask(doing, server.shutdown))
            try:
                self._account.until(doing, lambda: self._there(id, doing).status == "off", share=0.25)
            except ProviderError as error:
                if error.code != "stuck":
                    raise
                self._account.finish(doing, self._account.ask(doing, server.power_off))
                self._account.until(doing, lambda: self._there(id, doing).status == "off")
        return self._there(id, doing)

    def delete(self, server: Any) -> None:
        """Raises ProviderError; what is left then is still found by the server."""
        doing = f"deleting server {server.name}"
        self.settle(server.id, doing)
        whose = identity.read("server", server.labels or {})
        if whose is not None:
            of = identity.digest("server", whose["key"])
            if server.status != "off":
                self._account.finish(doing, self._account.ask(doing, server.power_off))
            disks.remove(self._account, server, of)
            walls.remove(self._account, server, of)
        action = self._account.ask_if_there(doing, partial(self._client.delete, server))
        self._account.finish(doing, action)
        self._account.until(doing, lambda: self.get(server.id) is None)
        access.forget_host(self._ssh(server))

    # --- looking ----------------------------------------------------------------------------------------------------

    def get(self, id: int) -> Any:
        found = self._account.ask_if_there(f"looking at server {id}", lambda: self._client.get_by_id(id))
        return None if found is None or found.status == "deleting" else found

    def select(self, selector: str) -> list[Any]:
        found = self._account.ask("listing servers", lambda: self._client.get_all(label_selector=selector))
        return [each for each in found if each.status != "deleting"]

    def settle(self, id: int, doing: str) -> None:
        """Wait until no action holds it any more. It may be gone then."""

        def is_free() -> bool:
            now = self.get(id)
            return now is None or not (
                now.locked or now.status in ("initializing", "starting", "stopping", "migrating")
            )

        self._account.until(doing, is_free)

    def resource(self, server: Any, parts: Parts) -> Resource | None:
        """None for what is not ours."""
        whose = identity.read("server", server.labels or {})
        if whose is None:
            return None
        return Resource("server", str(server.id), **whose, state=_state(server), attributes=self._seen(server, parts))

    def stranger(self, server: Any, parts: Parts) -> Resource:
        named = {"key": "", "intent": "", "infra": "", "name": str(server.name)}
        return Resource("server", str(server.id), **named, state=_state(server), attributes=self._seen(server, parts))

    def _seen(self, server: Any, parts: Parts) -> dict[str, Any]:
        ssh = self._ssh(server)
        networks = [parts.network(each.network.id) for each in server.private_net or []]
        firewalls = [
            parts.firewall(each.firewall.id)
            for each in (server.public_net.firewalls or [] if server.public_net else [])
        ]
        of = (server.labels or {}).get(identity.ID, "")
        volumes = [each for each in map(parts.volume, (each.id for each in server.volumes or [])) if each is not None]
        rules = [
            rule
            for each in firewalls
            if each is not None and (each.labels or {}).get(identity.OF) == of
            for rule in walls.observed(each)
        ]
        own = [(each.labels or {}).get(identity.NAME, each.name) for each in networks if each is not None]
        image = server.image
        zone, plan = server.location and server.location.name, server.server_type and server.server_type.name
        spec = {
            "plan": plan,
            "zone": zone,
            "image": (image.name or str(image.id)) if image else None,
            "network": own[0] if own else None,
            "firewall": portable.sorted_rules(rules),
            "storages": disks.observed([each for each in volumes if (each.labels or {}).get(identity.OF) == of]),
        }
        private = next((each.ip for each in server.private_net or []), None)
        return {
            "address": ssh["host"],
            "private_address": private,
            "zone": zone,
            "plan": plan,
            "hostname": server.name,
            "created_at": server.created.isoformat() if server.created else None,
            "ssh": ssh,
            "labels": identity.users(server.labels or {}),
            "spec": spec,
        }

    def _ssh(self, server: Any) -> dict[str, Any]:
        ipv4 = server.public_net.ipv4 if server.public_net else None
        place: dict[str, Any] = {
            "host": ipv4.ip if ipv4 is not None else "",
            "port": self._setting.ssh_port,
            "user": USER,
        }
        if self._on_loopback:
            place |= self._behind(str(server.id))
        return access.ssh_of(self._workspace, "hetzner", str(server.id), **place)

    def _behind(self, id: str) -> dict[str, Any]:
        if id not in self._places:
            self._places = ssh_behind(self._setting.url)
        return self._places.get(id, {})

    def _there(self, id: int, doing: str) -> Any:
        found = self.get(id)
        if found is None:
            raise ProviderError(f"{doing}: it was deleted meanwhile", code="not_found", retry_after_s=1)
        return found

    def _start(self, server: Any, doing: str) -> Any:
        if server.status != "running":
            self._account.finish(doing, self._account.ask(doing, server.power_on))
            self._account.until(doing, lambda: self._there(server.id, doing).status == "running")
        return self._there(server.id, doing)


def _state(server: Any) -> ServerState:
    if (server.labels or {}).get(OPEN) == MAKING:
        return "creating"
    return _STATES.get(str(server.status), "creating")
