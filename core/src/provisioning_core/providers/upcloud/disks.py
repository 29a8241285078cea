"""The storages of a server: found again by the server's key, made, attached, grown; deleted with it.

Those of a new server are made by the request that makes the server. One that is added later is made first, with the
label `provisioning-of`, and attached then; a kill in between leaves it to be found by that label. A storage is never
shrunk, and never taken away: there may be data on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import ProviderError
from ...provider import Wish
from .account import Account, Raw, written_labels
from .identity import OF, labels_for, written_key
from .once import Once
from .view import devices, part_of


def title_of(wish: Wish, part: str | None = None) -> str:
    return f"{wish.infra}/{wish.name}" + (f"/{part}" if part else "")


def growth(raw: Raw, spec: Mapping[str, Any]) -> dict[str, int]:
    """uuid to new size of the disks that are too small. spec: normal. Raises ProviderError (`needs_replacement`)."""
    found = devices(raw)
    wanted = {each["name"]: each for each in spec["storages"]}
    pairs: list[tuple[Raw, Mapping[str, Any]]] = []
    sizes: dict[str, int] = {}
    faults: list[str] = []
    for at, device in enumerate(found):
        name = part_of(device)["name"]
        if at == 0:
            pairs.append((device, {"name": "disk", "size_gb": spec["disk_gb"], "tier": device["storage_tier"]}))
        elif name in wanted:
            pairs.append((device, wanted[name]))
        else:
            faults.append(f"storage {name} would be taken away with its data")
    for disk, want in pairs:
        if want["size_gb"] < disk["storage_size"]:
            faults.append(f"{want['name']} would shrink from {disk['storage_size']} to {want['size_gb']} GiB")
        elif want["tier"] != disk["storage_tier"]:
            faults.append(f"{want['name']} would move to the tier {want['tier']}")
        elif want["size_gb"] > disk["storage_size"]:
            sizes[disk["storage"]] = want["size_gb"]
    if faults:
        raise needs_replacement("server", raw["hostname"], "; ".join(faults))
    return sizes


def missing(raw: Raw, spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    there = {part_of(device)["name"] for device in devices(raw)[1:]}
    return [each for each in spec["storages"] if each["name"] not in there]


def grow(account: Account, sizes: Mapping[str, int]) -> None:
    """Their server has to be stopped."""
    for id, size_gb in sizes.items():
        account.ask("PUT", f"/storage/{id}", {"storage": {"size": str(size_gb)}}, doing=f"growing storage {id}")


def add(account: Account, once: Once, wish: Wish, raw: Raw, storages: Sequence[Mapping[str, Any]]) -> None:
    """Make and attach them to the server `raw`, which the wish is about."""
    for each in storages:
        key = f"{wish.key}/storage/{each['name']}"
        part = Wish("storage", key, wish.intent, wish.infra, f"{wish.name}-{each['name']}")
        labels = labels_for(part) | {OF: written_key(wish.key)}
        storage = {
            "size": str(each["size_gb"]),
            "tier": each["tier"],
            "title": title_of(wish, each["name"]),
            "zone": raw["zone"],
            "labels": written_labels("storage", labels),
        }
        made, _ = once.create(part, lambda storage=storage: {"storage": storage})  # type: ignore[misc]
        _attach(account, raw, made["uuid"])
        once.confirm("storage", key)


def remove_loose(account: Account, key: str) -> None:
    """Those that were made for a server of that key and were never attached, or no longer are."""
    rows = account.rows("storage", [f"{OF}={written_key(key)}"])
    for raw in account.details("storage", rows):
        if not raw["servers"]["server"]:
            delete(account, raw["uuid"])


def delete(account: Account, id: str) -> bool:
    """True where it existed. Raises ProviderError (`storage_in_use`)."""
    try:
        account.ask("DELETE", f"/storage/{id}", doing=f"deleting storage {id}")
        return True
    except ProviderError as error:
        if error.code == "not_found":
            return False
        raise


def needs_replacement(kind: str, name: str, why: str) -> ProviderError:
    return ProviderError(
        f"{kind} {name} cannot be changed into that: {why}",
        code="needs_replacement",
        hint="replace it, or change the definition back",
        retryable=False,
    )


def _attach(account: Account, server: Raw, storage: str) -> None:
    """The answer may have been lost: who is attached already is not attached again."""
    id = server["uuid"]
    current = account.get("server", id) or server
    if any(device["storage"] == storage for device in devices(current)):
        return
    body = {"storage_device": {"type": "disk", "address": "virtio", "storage": storage}}
    try:
        account.ask("POST", f"/server/{id}/storage/attach", body, doing=f"attaching storage {storage}")
    except ProviderError as error:
        attached = account.get("server", id)
        if attached is None or all(device["storage"] != storage for device in devices(attached)):
            raise error
