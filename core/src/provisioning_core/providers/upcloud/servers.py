"""Servers: what a create asks for, waiting for them, starting, stopping, deleting."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from ...errors import ProviderError
from ...provider import Wish
from ...yamlfile import shown, suggestion
from .. import portable
from ..access import forget_host, wait_for_ssh, workspace_key
from . import walls
from .account import Account, Raw, labels_of, written_labels
from .disks import title_of
from .identity import IMAGE, INFRA, MAKING, OF, OPEN, labels_for, written_key
from .once import Once
from .terms import custom_size
from .view import View, is_paper

_SOFT_S = 30
"""How long UpCloud itself waits for a shutdown."""


class Servers:
    def __init__(self, workspace: Path, account: Account, once: Once, view: View) -> None:
        self._workspace = workspace
        self._account = account
        self._once = once
        self._view = view

    # --- making ------------------------------------------------------------------------------------------------------

    def body(self, wish: Wish, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Of the one request that makes all of it: server, disks, interfaces. spec: normal. Raises ProviderError."""
        image, network = self._image(spec["image"]), self._network(wish, spec["network"])
        of = written_labels("storage", {OF: written_key(wish.key)})
        boot = {"action": "clone", "storage": image, "title": title_of(wish, "boot"), "size": spec["disk_gb"]}
        disks = [boot | {"tier": "maxiops", "labels": of}]
        for each in spec["storages"]:
            disk = {"action": "create", "title": title_of(wish, each["name"]), "size": each["size_gb"]}
            disks.append(disk | {"tier": each["tier"], "labels": of})
        address = {"ip_addresses": {"ip_address": [{"family": "IPv4"}]}}
        interfaces: list[dict[str, Any]] = [{"type": "public"} | address, {"type": "utility"} | address]
        if network:
            interfaces.append({"type": "private", "network": network} | address)
        keys = [workspace_key(self._workspace), *spec["ssh_keys"]]
        login = {"username": self._account.setting.username, "create_password": "no", "ssh_keys": {"ssh_key": keys}}
        server = size_of(spec["plan"]) | {
            "hostname": wish.name,
            "title": title_of(wish),
            "zone": spec["zone"],
            "labels": written_labels("server", labels_for(wish) | {IMAGE: spec["image"], OPEN: MAKING}),
            "firewall": "on" if spec["firewall"] else "off",
            "metadata": "yes",  # cloud-init in the image reads it; without it there is no key in the server
            "password_delivery": "none",
            "login_user": login,
            "storage_devices": {"storage_device": disks},
            "networking": {"interfaces": {"interface": interfaces}},
        }
        return {"server": server | ({"user_data": spec["user_data"]} if spec["user_data"] else {})}

    def finish(self, raw: Raw, spec: Mapping[str, Any]) -> tuple[Raw, bool]:
        """Usable, whatever state it was found in; whether it was stopped and has been started."""
        raw = self.wait(raw["uuid"], lambda state: state in ("started", "stopped"), "become ready")
        stopped = raw["state"] == "stopped"
        if stopped:
            raw = self.start(raw)
        if spec["firewall"] and not walls.observed(self._account, raw):
            walls.ensure(self._account, raw, spec["firewall"])
            raw = self.get(raw["uuid"])
        self.wait_for_login(raw)
        # Only now: until somebody was let in, whoever comes by has to find that it is not done.
        return (self.close(raw["uuid"]) if labels_of(raw).get(OPEN) == MAKING else raw), stopped

    def close(self, id: str) -> Raw:
        """Take the mark off: it is made, or started again."""
        left = {name: value for name, value in labels_of(self.get(id)).items() if name != OPEN}
        self._account.relabel("server", id, left)
        return self.get(id)

    def wait_for_login(self, raw: Raw) -> None:
        setting = self._account.setting
        if setting.wait_for_ssh and not (self._account.is_double and is_paper(raw)):
            ssh = self._view.ssh(raw)
            wait_for_ssh(ssh, name=raw["hostname"], deadline_s=setting.deadline_s, poll_s=setting.poll_s)

    # --- its life ----------------------------------------------------------------------------------------------------

    def get(self, id: str) -> Raw:
        """Raises ProviderError (`not_found`)."""
        raw = self._account.get("server", id)
        if raw is None:
            raise ProviderError(f"UpCloud has no server {shown(id)}", code="not_found", retryable=False)
        return raw

    def wait(self, id: str, there: Callable[[str], bool], what: str) -> Raw:
        """Until it is in such a state. Raises ProviderError (`not_ready`, `in_error`, `not_found`)."""
        deadline_s = self._account.setting.deadline_s
        ends = time.monotonic() + deadline_s
        while True:
            raw = self.get(id)
            state = raw["state"]
            if there(state):
                return raw
            if state == "error":
                raise ProviderError(
                    f"server {raw['hostname']} ({id}) is in error at UpCloud",
                    code="in_error",
                    hint="it comes back by itself when UpCloud has mended it (ask its support if it does not),"
                    f" or is made again: provisioning infra create {_infra(raw)} --confirm={_infra(raw)}",
                    retry_after_s=60,
                )
            if time.monotonic() > ends:
                raise ProviderError(
                    f"server {raw['hostname']} ({id}) did not {what} within {deadline_s:g} s: it is in {state}",
                    code="not_ready",
                    hint="look at it in the control panel; the same command goes on with it",
                )
            time.sleep(self._account.setting.poll_s)

    def start(self, raw: Raw) -> Raw:
        """Nothing happens to one that runs."""
        self._change_power(raw["uuid"], "start", {"server": {}}, "stopped")
        return self.wait(raw["uuid"], lambda state: state == "started", "start")

    def stop(self, raw: Raw) -> Raw:
        """Shut down, and switched off where that takes too long."""
        id, setting = raw["uuid"], self._account.setting
        self._change_power(id, "stop", _stop("soft", max(_SOFT_S, int(setting.stop_s))), "started")
        ends = time.monotonic() + setting.stop_s
        while time.monotonic() < ends:
            raw = self.get(id)
            if raw["state"] == "stopped":
                return raw
            time.sleep(setting.poll_s)
        return self.switch_off(id)

    def switch_off(self, id: str) -> Raw:
        self._change_power(id, "stop", _stop("hard", 1), "started")
        return self.wait(id, lambda state: state == "stopped", "stop")

    def delete(self, id: str) -> bool:
        """With its disks. True where it existed."""
        raw = self._account.get("server", id)
        if raw is None:
            return False
        ends = time.monotonic() + self._account.setting.deadline_s
        while raw is not None:
            if raw["state"] == "started":
                self._change_power(id, "stop", _stop("hard", 1), "started")
            elif raw["state"] in ("stopped", "error"):
                self._delete_stopped(id)
            if (raw := self._account.get("server", id)) is None:
                break
            if time.monotonic() > ends:
                raise ProviderError(
                    f"server {raw['hostname']} ({id}) could not be deleted in time: it is in {raw['state']}",
                    code="not_deleted",
                    hint="look at it in the control panel; the same command tries again",
                )
            time.sleep(self._account.setting.poll_s)
        forget_host(self._view.ssh({"uuid": id, "networking": {"interfaces": {"interface": []}}}))
        return True

    def _delete_stopped(self, id: str) -> None:
        """Somebody else may have started or deleted it meanwhile."""
        api = self._account.cloud.api
        api.doing = f"deleting server {id}"
        try:
            self._account.cloud.delete_server(id, delete_storages=True)
        except ProviderError as error:
            if error.code not in ("not_found", "busy", "throttled", "no_answer", "cloud_error"):
                raise

    def _change_power(self, id: str, verb: str, body: Any, needed: str) -> None:
        """It may be on its way already, or not yet be where the request needs it: the wait after it decides."""
        try:
            self._account.ask("POST", f"/server/{id}/{verb}", body, doing=f"asking server {id} to {verb}")
        except ProviderError as error:
            if error.code not in ("busy", "not_found"):
                raise

    # --- what a server needs -----------------------------------------------------------------------------------------

    def _image(self, image: str) -> str:
        """The uuid of the template. Raises ProviderError (`unknown_image`)."""
        if _is_uuid(image):
            return image
        titles = {title.lower(): uuid for title, uuid in self._account.templates.items()}
        if image.lower() in titles:
            return titles[image.lower()]
        known = sorted(self._account.templates)
        raise ProviderError(
            f"UpCloud has no image {shown(image)}.{suggestion(image, known)}".removesuffix("."),
            code="unknown_image",
            hint=f"there are: {', '.join(known)}",
            retryable=False,
        )

    def _network(self, wish: Wish, name: str | None) -> str | None:
        if name is None:
            return None
        found = self._once.find("network", key=portable.network_key(wish, name))
        if found is None:
            raise ProviderError(
                f"server {wish.name}: there is no network {shown(name)} yet", code="no_network", hint="create it first"
            )
        return str(found["uuid"])


def _infra(raw: Raw) -> str:
    return labels_of(raw).get(INFRA, "INFRA")


def size_of(plan: str) -> dict[str, str]:
    """A plan of UpCloud's, or a size made to measure."""
    size = custom_size(plan)
    if size is None:
        return {"plan": plan}
    return {"plan": "custom", "core_number": str(size[0]), "memory_amount": str(size[1] * 1024)}


def _stop(kind: str, timeout_s: int) -> dict[str, Any]:
    return {"stop_server": {"stop_type": kind, "timeout": str(timeout_s)}}


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
