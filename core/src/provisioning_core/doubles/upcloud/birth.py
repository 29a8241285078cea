"""What a new server is made of: its record checked, its disks and interfaces made, all of them or none."""

from __future__ import annotations

import re
import time
from typing import Any

from . import catalogue
from .account import Account, Record, check_labels, number
from .networks import Networks
from .refusal import Refused
from .storages import Storages

HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,62})?(\.[A-Za-z0-9-]{1,63})*")


def checked(account: Account, fields: dict[str, Any]) -> Record:
    """The new server's record without disks and interfaces. Raises Refused."""
    for name in ("hostname", "title", "zone"):
        if not fields.get(name):
            code = "SERVER_TITLE_MISSING" if name == "title" else f"{name.upper()}_MISSING"
            raise Refused(400, code, f"The required attribute {name} is missing.")
    if not HOSTNAME.fullmatch(str(fields["hostname"])) or len(fields["hostname"]) > 128:
        raise Refused(400, "HOSTNAME_INVALID", f"The hostname {fields['hostname']} is invalid.")
    if len(str(fields["title"])) > 255:
        raise Refused(400, "SERVER_TITLE_INVALID", "The title is too long.")
    if fields["zone"] not in catalogue.ZONES:
        raise Refused(404, "ZONE_NOT_FOUND", f"The zone {fields['zone']} does not exist.")
    quota = account.faults.quota
    if quota is not None and len(account.all("server")) >= quota:
        raise Refused(403, "SERVER_CREATING_LIMIT_REACHED", "The limit of servers has been reached.")
    given = fields.get("labels", {})
    login = fields.get("login_user") or {}
    return size(fields) | {
        "created": int(time.time()),
        "firewall": fields.get("firewall", "off"),
        "hostname": fields["hostname"],
        "labels": check_labels(given.get("label", []) if isinstance(given, dict) else given),
        "metadata": fields.get("metadata", "no"),
        "simple_backup": fields.get("simple_backup", "no"),
        "state": "maintenance",
        "timezone": fields.get("timezone", "UTC"),
        "title": str(fields["title"]),
        "zone": fields["zone"],
        "_next": "started",
        "_rules": [],
        "_ssh_keys": list((login.get("ssh_keys") or {}).get("ssh_key", [])),
        "_tags": [],
        "_user_data": fields.get("user_data", ""),
        "_username": login.get("username", "root"),
    }


def furnish(account: Account, storages: Storages, networks: Networks, server: Record, fields: dict[str, Any]) -> None:
    """Disks and interfaces: all of them, or none. Raises Refused."""
    devices = (fields.get("storage_devices") or {}).get("storage_device") or []
    if not devices:
        raise Refused(400, "STORAGE_DEVICES_MISSING", "The required attribute storage_devices is missing.")
    made: list[Record] = []
    server["_devices"] = []
    try:
        for at, device in enumerate(devices):
            made += _disk(account, storages, server, device, at)
        networking = ((fields.get("networking") or {}).get("interfaces") or {}).get("interface")
        wanted = networking or [{"type": "public"}, {"type": "utility"}]
        server["_interfaces"] = [
            networks.interface(each, server["zone"], at) for at, each in enumerate(wanted, start=1)
        ]
    except Refused:
        for record in made:
            account.remove("storage", record["uuid"])
        raise


def _disk(account: Account, storages: Storages, server: Record, device: dict[str, Any], at: int) -> list[Record]:
    action = device.get("action")
    if action == "attach":
        storages.attach(server | {"state": "stopped"}, device)
        return []
    if action == "clone" and device.get("storage") not in catalogue.TEMPLATES:
        account.get("storage", str(device.get("storage", "")))
    elif action not in ("create", "clone"):
        raise Refused(400, "ACTION_INVALID", f"The action {action} is invalid.")
    if action == "clone" and server["metadata"] != "yes" and device["storage"] in catalogue.TEMPLATES:
        raise Refused(409, "METADATA_DISABLED_ON_CLOUD-INIT", "A cloud-init template needs the metadata service.")
    record = storages.make(device, server["zone"], str(device.get("title") or f"{server['hostname']} disk {at}"))
    server["_devices"].append({"address": f"virtio:{at}", "storage": record["uuid"]})
    return [record]


def size(fields: dict[str, Any]) -> Record:
    """plan, core_number and memory_amount, the numbers as text. Raises Refused."""
    plan = fields.get("plan", "custom")
    if plan == "custom":
        cores = number(fields, "core_number", 1, lambda given: 1 <= given <= catalogue.CORES_MAX, "CORE_NUMBER_INVALID")
        memory = number(
            fields,
            "memory_amount",
            1024,
            lambda given: 1024 <= given <= catalogue.MEMORY_MAX_MIB and given % 1024 == 0,
            "MEMORY_AMOUNT_INVALID",
        )
    elif plan in catalogue.PLANS:
        cores, memory, _ = catalogue.PLANS[plan]
    else:
        raise Refused(404, "PLAN_NOT_FOUND", f"The plan {plan} does not exist.")
    return {"plan": plan, "core_number": str(cores), "memory_amount": str(memory)}
