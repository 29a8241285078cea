"""A server's disks at EC2: its root disk, and its storages as raw EBS volumes that are deleted with it.

Those of a new server are made by the very request that makes it. Which storage is at which device stands in its tags.
Later ones are made with a token of their own, so that a repeated request makes none twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import ProviderError
from . import identity
from .account import Account, is_said
from .identity import OF, STORAGE

Raw = dict[str, Any]
DEVICES = tuple(f"/dev/sd{letter}" for letter in "fghijklmnopqrstuvwxyz")
IOPS = 3000
_GENERATIONS_MAX = 50


def mappings(root: str, disk_gb: int, storages: Sequence[Raw]) -> list[Raw]:
    """BlockDeviceMappings of a new server."""
    disks = [(root, {"size_gb": disk_gb, "tier": "gp3"}), *zip(DEVICES, storages, strict=False)]
    return [
        {
            "DeviceName": device,
            "Ebs": {"VolumeSize": each["size_gb"], "VolumeType": each["tier"], "DeleteOnTermination": True}
            | iops(each["tier"], each["size_gb"]),
        }
        for device, each in disks
    ]


def iops(tier: str, size_gb: int) -> Raw:
    """Two types have to be told how fast they shall be: as gp3 is, as far as their size allows it."""
    return {"Iops": min(IOPS, 50 * size_gb)} if tier in ("io1", "io2") else {}


def device_tags(storages: Sequence[Raw]) -> dict[str, str]:
    return {f"{STORAGE}{each['name']}": device for device, each in zip(DEVICES, storages, strict=False)}


def observed(instance: Raw, volumes: Mapping[str, Raw]) -> tuple[int | None, list[dict[str, Any]]]:
    """The size of the root disk, and the storages. volumes: by id."""
    at = {each["DeviceName"]: volumes.get(each["Ebs"]["VolumeId"]) for each in instance["BlockDeviceMappings"]}
    root = at.get(instance.get("RootDeviceName", ""))
    found = [
        {"name": name, "size_gb": volume["Size"], "tier": volume["VolumeType"]}
        for name, device in _devices(instance).items()
        if (volume := at.get(device)) is not None
    ]
    return (root["Size"] if root else None), sorted(found, key=lambda each: str(each["name"]))


def check(name: str, seen: Mapping[str, Any], spec: Mapping[str, Any]) -> None:
    """Raises ProviderError (`needs_replacement`) where a disk would shrink, go away or be of another type."""
    wanted = {each["name"]: each for each in spec["storages"]}
    bad = [
        each["name"]
        for each in seen["storages"]
        if (want := wanted.get(each["name"])) is None
        or want["size_gb"] < each["size_gb"]
        or want["tier"] != each["tier"]
    ]
    if (seen.get("disk_gb") or 0) > spec["disk_gb"]:
        bad.insert(0, "its root disk")
    if bad:
        raise ProviderError(
            f"server {name}: disks that would shrink, go away or change their tier: {', '.join(bad)}",
            code="needs_replacement",
            hint="keep them in the definition, or detach and delete their volumes at EC2 first",
            retryable=False,
        )


class Disks:
    """Changes at a server that is there."""

    def __init__(self, account: Account, instance: Raw, doing: str) -> None:
        self._account = account
        self._instance = instance
        self._doing = doing
        self._key = identity.from_list(instance["Tags"])[identity.KEY]

    def ensure(self, disk_gb: int, storages: Sequence[Raw]) -> None:
        """Grow and add; what would shrink or go away is refused before, see `check`."""
        at = {each["DeviceName"]: each["Ebs"]["VolumeId"] for each in self._instance["BlockDeviceMappings"]}
        devices = _devices(self._instance)
        if root := at.get(self._instance.get("RootDeviceName", "")):
            self._grow(root, disk_gb)
        for each in storages:
            device = devices.get(each["name"])
            if device is not None and device in at:
                self._grow(at[device], each["size_gb"])
            else:
                self._add(each, device or self._free(devices, at))

    def _free(self, devices: dict[str, str], at: Mapping[str, str]) -> str:
        taken = {*devices.values(), *at}
        return next(device for device in DEVICES if device not in taken)

    def _add(self, storage: Raw, device: str) -> None:
        """The tag first: it keeps the device for this name, whatever is killed after it."""
        id = self._instance["InstanceId"]
        tag = [{"Key": f"{STORAGE}{storage['name']}", "Value": device}]
        self._account.ask(self._doing, self._account.ec2.create_tags, Resources=[id], Tags=tag)
        self._instance["Tags"] += tag
        volume = make_volume(
            self._account,
            "part",
            f"{self._key}\0{id}\0{storage['name']}",
            {"Size": storage["size_gb"], "VolumeType": storage["tier"]}
            | iops(storage["tier"], storage["size_gb"])
            | {"AvailabilityZone": self._instance["Placement"]["AvailabilityZone"]},
            {OF: self._key, identity.CONSOLE: storage["name"]},
            self._doing,
        )
        if volume["State"] == "available" or not volume.get("Attachments"):
            asked = {"VolumeId": volume["VolumeId"], "InstanceId": id, "Device": device}
            try:
                self._account.patiently(self._doing, ("busy", "not_found"), self._account.ec2.attach_volume, **asked)
            except ProviderError as error:
                if not is_said(error, "VolumeInUse"):
                    raise
        self._account.wait(self._doing, "volume_in_use", VolumeIds=[volume["VolumeId"]])
        gone = [{"DeviceName": device, "Ebs": {"DeleteOnTermination": True, "VolumeId": volume["VolumeId"]}}]
        asked = {"InstanceId": id, "BlockDeviceMappings": gone}
        self._account.ask(self._doing, self._account.ec2.modify_instance_attribute, **asked)

    def _grow(self, volume: str, size_gb: int) -> None:
        grow(self._account, volume, size_gb, self._doing)


def grow(account: Account, volume: str, size_gb: int, doing: str) -> None:
    if _size(account, volume, doing) < size_gb:
        account.ask(doing, account.ec2.modify_volume, VolumeId=volume, Size=size_gb)
        account.until(doing, lambda: _size(account, volume, doing) >= size_gb)


def make_volume(
    account: Account, kind: str, key: str, asked: Mapping[str, Any], tags: Mapping[str, str], doing: str
) -> Raw:
    """A volume that exists once for this key; the token of one that is gone is not used again."""
    specification = identity.specification("volume", tags)
    for generation in range(_GENERATIONS_MAX):
        token = identity.token(kind, key, generation)
        try:
            made: Raw = account.ask(
                doing, account.ec2.create_volume, ClientToken=token, TagSpecifications=specification, **asked
            )
        except ProviderError as error:
            if error.code == "not_found" or is_said(error, "IdempotentParameterMismatch"):
                continue
            raise
        if made.get("State") not in ("deleting", "deleted"):
            return made
    raise ProviderError(f"{doing}: made and deleted {_GENERATIONS_MAX} times already", code="too_many", retryable=False)


def _size(account: Account, volume: str, doing: str) -> int:
    found = account.ask(doing, account.ec2.describe_volumes, VolumeIds=[volume])["Volumes"]
    return int(found[0]["Size"])


def _devices(instance: Raw) -> dict[str, str]:
    tags = identity.from_list(instance.get("Tags"))
    return {tag.removeprefix(STORAGE): device for tag, device in tags.items() if tag.startswith(STORAGE)}
