"""What is told of a network or machine: its attributes, and its spec as it is now."""

from __future__ import annotations

from typing import Any

from ...names import RESERVED_LABELS
from ...provider import Resource, ServerState
from . import processes, volumes
from .registry import Record, Registry
from .terms import ZONE, normalize

_RECORDED, _ENFORCED = "recorded, not enforced", "enforced"


def described(registry: Registry, record: Record, *, imaged: bool) -> Resource:
    """imaged: images mean something to whoever asks, else a spec has none."""
    state: ServerState = "started"
    labels = {name: value for name, value in record.labels.items() if name not in RESERVED_LABELS}
    attributes: dict[str, Any] = {"labels": labels, "created_at": record.created_at}
    if record.kind == "network":
        attributes |= {"cidr": record.cidr, "zone": ZONE, "spec": {"cidr": record.cidr, "zone": ZONE}}
    else:
        running = processes.alive(record.process)
        state = "creating" if not record.ready else "started" if running else "stopped"
        attributes |= _of_server(registry, record, imaged)
    return Resource(
        record.kind, record.id, record.key, record.intent, record.infra, record.name, state, attributes=attributes
    )


def _of_server(registry: Registry, record: Record, imaged: bool) -> dict[str, Any]:
    limited = _ENFORCED if record.isolation == "vm" else _RECORDED
    return {
        "address": record.address,
        "zone": record.spec.get("zone", ZONE),
        "plan": record.spec.get("plan"),
        "hostname": record.name,
        "network": record.spec.get("network"),
        "network_refusal": record.network_refusal,
        "isolation": record.isolation,
        "image": record.image,
        "image_source": record.image_source,
        "limits": dict.fromkeys(("cpus", "memory_gb", "disk_gb", "storages"), limited),
        "shared_with_host": list(record.shared_with_host),
        "spec": _observed(registry, record, imaged),
        "ssh": {
            "host": record.ssh_host,
            "port": record.ssh_port,
            "user": record.user,
            "identity_file": str(registry.root / "keys/id_ed25519"),
            "known_hosts_file": str(registry.root / "known_hosts"),
        },
    }


def _observed(registry: Registry, record: Record, imaged: bool) -> dict[str, Any]:
    """As `normalize` gives it, and what a killed update has not yet brought about as it still is.

    User data can't be seen any more once it has been run. A storage that is not wished any more has size 0.
    """
    spec = normalize("server", record.spec, imaged=imaged)
    sizes = {each["name"]: each["size_gb"] for each in spec["storages"]}
    there = volumes.observed(registry.home("server", record.id))
    spec["storages"] = [{"name": name, "size_gb": sizes.get(name, 0)} for name in there]
    if processes.alive(record.process) and record.isolation != "vm":
        spec["ssh_keys"] = sorted({key.strip() for key in record.told_keys})
    spec.pop("user_data", None)
    return spec
