"""EBS volumes that are storages of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import ProviderError
from ...provider import Resource, Wish
from . import disks, identity
from .account import Account

Raw = dict[str, Any]
_LIVING = ("creating", "available", "in-use")


class Volumes:
    def __init__(self, account: Account) -> None:
        self._account = account

    def make(self, wish: Wish, spec: Mapping[str, Any]) -> Raw:
        doing = f"creating storage {wish.name}"
        asked = {"Size": spec["size_gb"], "VolumeType": spec["tier"], "AvailabilityZone": spec["zone"]}
        return disks.make_volume(self._account, "storage", wish.key, asked, identity.tags_of(wish), doing)

    def finish(self, id: str, doing: str) -> Raw:
        self._account.until(doing, lambda: self.get(id) is not None)
        self._account.until(doing, lambda: (self.get(id) or {}).get("State") != "creating")
        found = self.get(id)
        if found is None:
            raise ProviderError(f"{doing}: it was deleted meanwhile", code="not_found", retry_after_s=1)
        return found

    def change(self, volume: Raw, spec: Mapping[str, Any], doing: str) -> None:
        """Raises ProviderError (`needs_replacement`) where it would become smaller."""
        if volume["Size"] > spec["size_gb"]:
            raise ProviderError(f"{doing}: it can't become smaller", code="needs_replacement", retryable=False)
        disks.grow(self._account, volume["VolumeId"], spec["size_gb"], doing)

    def delete(self, volume: Raw) -> None:
        id, ec2 = volume["VolumeId"], self._account.ec2
        doing = f"deleting storage {identity.from_list(volume.get('Tags')).get(identity.NAME, id)}"
        if volume["State"] == "in-use":
            self._account.ask(doing, ec2.detach_volume, VolumeId=id)
        self._account.patiently(doing, ("busy",), ec2.delete_volume, VolumeId=id)
        self._account.until(doing, lambda: self.get(id) is None)

    def get(self, id: str) -> Raw | None:
        return next(iter(self.living([{"Name": "volume-id", "Values": [id]}])), None)

    def living(self, filters: list[Raw]) -> list[Raw]:
        found = self._account.every("looking at storages", "describe_volumes", Filters=filters)
        return [each for each in found if each["State"] in _LIVING]

    def resource(self, volume: Raw) -> Resource:
        """key, intent and infra of one that is not ours are empty."""
        tags = identity.from_list(volume.get("Tags"))
        name = {"name": tags.get(identity.CONSOLE, volume["VolumeId"])}
        whose: dict[str, Any] = name | (identity.read(tags) or {"key": "", "intent": "", "infra": ""})
        zone = volume["AvailabilityZone"]
        spec = {"size_gb": volume["Size"], "zone": zone, "tier": volume["VolumeType"]}
        seen = {"zone": zone, "labels": identity.users(tags), "spec": spec}
        state: Any = "creating" if volume["State"] == "creating" else "started"
        return Resource("storage", volume["VolumeId"], **whose, state=state, attributes=seen)
