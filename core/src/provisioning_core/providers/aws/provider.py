"""The provider `aws`. What makes two creates one is EC2's ClientToken, which is derived from the key; see `servers`."""

from __future__ import annotations

import builtins
import os
import re
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from ...capabilities import Capabilities, Fault, PlanInfo, PowerAction
from ...errors import ProviderError
from ...provider import Created, Kind, Resource, Wish
from .. import portable
from ..claim import claim
from . import disks, identity, images, terms, view, walls
from .account import Account
from .identity import KEY, OPEN
from .servers import Servers
from .setting import Setting, read_setting
from .volumes import Volumes
from .vpcs import Vpcs

Raw = dict[str, Any]
_IDS = {"server": "i", "network": "vpc", "storage": "vol"}


class AwsProvider:
    """settings: see `setting`. boto3 finds the credentials, when the first call is made."""

    name = "aws"
    capabilities = Capabilities(
        kinds=("network", "storage", "server"),
        flags=frozenset(
            {"update", "power", "adopt", "zones", "plans", "images", "ssh_keys", "user_data", "labels"}
            | {"firewall", "storages"}  # type: ignore[arg-type]
        ),
        effects={
            "server": {"plan": "restart"} | dict.fromkeys(("labels", "firewall", "storages", "disk_gb"), "in_place"),  # type: ignore[dict-item]
            "network": {"labels": "in_place"},
            "storage": {"labels": "in_place", "size_gb": "in_place"},
        },
    )

    def __init__(self, workspace: Path, settings: Mapping[str, Any] = {}) -> None:
        self.workspace = Path(workspace)
        self._setting: Setting = read_setting(settings, os.environ)

    # --- the five verbs ---------------------------------------------------------------------------------------------

    def create(self, wish: Wish, *, announce: Callable[[Resource], None] = lambda _: None) -> Created:
        portable.check_wish(wish, self.faults(wish))
        spec = self.normalize(wish.kind, wish.spec)
        with claim(self.workspace, f"aws/{wish.kind}/{wish.key}") as held, self._account.persevering():
            if wish.kind == "server":
                return self._create_server(wish, spec, announce)
            if wish.kind == "network":
                vpc, created = self._find(wish.kind, wish.intent, wish.key), False
                if vpc is None or held.sent_at is not None:
                    vpc, created = self._vpcs.make(wish, spec, held)
                announce(self._must(self._vpcs.resource(vpc)))
                return Created(self._must(self._vpcs.resource(self._vpcs.finish(vpc, spec["zone"]))), created)
            found = self._find(wish.kind, wish.intent, wish.key)
            volume = found or self._volumes.make(wish, spec)
            announce(self._volumes.resource(volume))
            finished = self._volumes.finish(volume["VolumeId"], f"creating storage {wish.name}")
            return Created(self._volumes.resource(finished), found is None)

    def find(self, kind: Kind, *, intent: str | None = None, key: str | None = None) -> Resource | None:
        found = self._find(kind, intent, key)
        return None if found is None else self._resource(kind, found)

    def get(self, kind: Kind, id: str) -> Resource | None:
        found = self._get(kind, id)
        return None if found is None else self._ours(kind, found)

    def list(self, kind: Kind, *, infra: str | None = None) -> list[Resource]:
        found = (
            self._tagged(kind, "tag-key", KEY) if infra is None else self._tagged(kind, f"tag:{identity.INFRA}", infra)
        )
        ours = [each for each in self._resources(kind, found) if each.key and infra in (None, each.infra)]
        return sorted(ours, key=lambda each: each.key)

    def delete(self, kind: Kind, id: str) -> bool:
        found = self._get(kind, id)
        if found is None or identity.read(_tags(found)) is None:
            return False
        delete = {"server": self._servers.delete, "network": self._vpcs.delete, "storage": self._volumes.delete}[kind]
        with self._account.persevering():
            delete(found)
        return True

    # --- what it can do beyond them ---------------------------------------------------------------------------------

    def normalize(self, kind: Kind, spec: Mapping[str, Any]) -> dict[str, Any]:
        return terms.normalize(kind, spec, self._setting)

    def faults(self, wish: Wish, network: Mapping[str, Any] | None = None) -> builtins.list[Fault]:
        spec = portable.spec_faults(self.normalize, wish, network, lambda own, its: own != its)
        return [*self._named_faults(wish), *spec]

    def update(self, id: str, wish: Wish) -> Resource:
        portable.check_wish(wish, self.faults(wish))
        with self._account.persevering():
            return self._updated(id, wish)

    def power(self, id: str, action: PowerAction) -> Resource:
        self._must_get("server", id)
        instance = self._servers.power(id, action, f"powering server {id}: {action}")
        if action != "stop":
            self._servers.wait_for_ssh(instance)
        return self._resource("server", instance)

    def unmanaged(self, kind: Kind) -> builtins.list[Resource]:
        every = self._servers.living([]) if kind == "server" else []
        every = self._vpcs.all() if kind == "network" else every
        every = self._volumes.living([]) if kind == "storage" else every
        strangers = [
            each
            for each in every
            if KEY not in _tags(each)
            and identity.OF not in _tags(each)
            and not each.get("IsDefault")
            and each.get("State") != "in-use"  # a volume that belongs to an instance
        ]
        return self._resources(kind, strangers)

    def adopt(self, id: str, wish: Wish) -> Resource:
        portable.check_wish(wish, self._named_faults(wish))
        found, doing = self._must_get(wish.kind, id), f"adopting {wish.kind} {id} as {wish.name}"
        whose = identity.read(_tags(found))
        if whose is not None and whose["key"] != wish.key:
            raise ProviderError(f"{doing}: it is {whose['key']!r}", code="adopted_elsewhere", retryable=False)
        tags = identity.tags_of(wish) | ({identity.INTENT: whose["intent"]} if whose else {})
        self._servers.retag(id, tags, (), doing)
        return self._resource(wish.kind, self._must_get(wish.kind, id))

    def zones(self) -> builtins.list[str]:
        filters = [{"Name": "zone-type", "Values": ["availability-zone"]}]
        call = self._account.ec2.describe_availability_zones
        found = self._account.ask("listing zones", call, Filters=filters)
        return sorted(each["ZoneName"] for each in found["AvailabilityZones"])

    def plans(self, zone: str | None = None) -> builtins.list[PlanInfo]:
        """Those for our images (x86_64) of the current generation. What they cost EC2's API does not say."""
        offered = self._offered(zone) if zone else None
        filters = [
            {"Name": "current-generation", "Values": ["true"]},
            {"Name": "processor-info.supported-architecture", "Values": ["x86_64"]},
        ]
        infos = [
            PlanInfo(each["InstanceType"], each["VCpuInfo"]["DefaultVCpus"], each["MemoryInfo"]["SizeInMiB"] / 1024)
            for each in self._account.every("listing plans", "describe_instance_types", Filters=filters)
            if offered is None or each["InstanceType"] in offered
        ]
        return sorted(infos, key=lambda info: (info.cpus, info.memory_gb, info.name))

    def images(self) -> builtins.list[str]:
        """Those that have a name here; any AMI's id is accepted too."""
        return sorted(images.IMAGES)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _updated(self, id: str, wish: Wish) -> Resource:
        found, doing = self._must_get(wish.kind, id), f"changing {wish.kind} {wish.name}"
        if _tags(found).get(KEY) != wish.key:
            raise ProviderError(f"{doing}: {id} is not ours by that key", code="not_found", retryable=False)
        spec, seen = self.normalize(wish.kind, wish.spec), self._resource(wish.kind, found).attributes["spec"]
        effect = self.capabilities.effect
        fixed = [name for name in seen if seen[name] != spec[name] and effect(wish.kind, name) == "replace"]
        if fixed:
            raise ProviderError(
                f"{doing}: {', '.join(fixed)} can't be changed in what exists",
                code="needs_replacement",
                retryable=False,
            )
        if wish.kind == "server":
            disks.check(wish.name, seen, spec)
        if wish.kind == "storage":
            self._volumes.change(found, spec, doing)
        self._relabel(id, _tags(found), wish.labels, doing)
        if wish.kind == "server":
            self._update_server(found, spec, seen, doing)
        return self._resource(wish.kind, self._must_get(wish.kind, id))

    def _named_faults(self, wish: Wish) -> builtins.list[Fault]:
        return [*portable.name_faults(wish), *identity.key_faults(wish.key), *identity.label_faults(wish)]

    def _create_server(self, wish: Wish, spec: dict[str, Any], announce: Callable[[Resource], None]) -> Created:
        doing = f"creating server {wish.name}"
        instance, created = self._find("server", wish.intent, wish.key), False
        if instance is None:
            instance, created = self._servers.make(wish, spec, self._subnet_of(wish, spec))
        id = str(instance["InstanceId"])
        # EC2 has said its id, but may deny it for a while to whoever is told of it.
        self._account.until(doing, lambda: self._servers.get(id) is not None)
        instance = self._servers.there(id, doing)
        before = self._resource("server", instance)
        announce(before)
        making = _tags(instance).get(OPEN)
        wanted = spec if making else None
        finished = self._servers.finish(id, wanted, self._inside(instance), doing)
        restarted = not making and before.state == "stopped"
        return Created(self._resource("server", finished), created, restarted=restarted)

    def _subnet_of(self, wish: Wish, spec: Mapping[str, Any]) -> Raw | None:
        if spec["network"] is None:
            return None
        vpc = self._find("network", None, portable.network_key(wish, spec["network"]))
        subnet = self._vpcs.subnet(vpc["VpcId"]) if vpc else None
        doing = f"creating server {wish.name}"
        if subnet is None:
            raise ProviderError(
                f"{doing}: there is no network {spec['network']!r} at EC2",
                code="no_network",
                hint="create the network first",
                retry_after_s=5,
            )
        if subnet["AvailabilityZone"] != spec["zone"]:
            raise ProviderError(
                f"{doing}: network {spec['network']!r} is in {subnet['AvailabilityZone']}, not in {spec['zone']}",
                code="bad_spec",
                hint="give both the same zone",
                retryable=False,
            )
        return subnet

    def _inside(self, instance: Raw) -> str | None:
        """The range of the network that it is in, where that is ours."""
        vpc = self._vpcs.get(instance["VpcId"]) if instance.get("VpcId") else None
        return str(vpc["CidrBlock"]) if vpc and KEY in _tags(vpc) else None

    def _update_server(self, instance: Raw, spec: Mapping[str, Any], seen: Mapping[str, Any], doing: str) -> None:
        """Firewall and disks while it runs; the plan while it is stopped, and then it runs as before."""
        key, id, inside = _tags(instance)[KEY], instance["InstanceId"], self._inside(instance)
        walls.ensure(self._account, instance, key, spec["firewall"], self._setting.ssh_from, inside)
        disks.Disks(self._account, instance, doing).ensure(spec["disk_gb"], spec["storages"])
        if spec["plan"] != seen["plan"]:
            self._servers.change_plan(instance, spec["plan"], doing)
        if OPEN in _tags(self._servers.there(id, doing)):
            self._servers.finish(id, spec, inside, doing)

    def _relabel(self, id: str, tags: Mapping[str, str], labels: Mapping[str, str], doing: str) -> None:
        old = identity.users(tags)
        put = {name: value for name, value in labels.items() if old.get(name) != value}
        self._servers.retag(id, put, sorted(old.keys() - labels.keys()), doing)

    def _find(self, kind: Kind, intent: str | None, key: str | None) -> Raw | None:
        """By intent, then by key. A filter may read wildcards, so what it finds is compared."""
        for tag, value in ((identity.INTENT, intent), (KEY, key)):
            for each in self._tagged(kind, f"tag:{tag}", value) if value else ():
                if _tags(each).get(tag) == value and KEY in _tags(each):
                    return each
        return None

    def _tagged(self, kind: Kind, name: str, value: str) -> builtins.list[Raw]:
        filters = [{"Name": name, "Values": [value]}]
        if kind == "server":
            return self._servers.living(filters)
        if kind == "storage":
            return self._volumes.living(filters)
        return [*self._account.every("looking at networks", "describe_vpcs", Filters=filters)]

    def _get(self, kind: Kind, id: str) -> Raw | None:
        if not re.fullmatch(rf"{_IDS[kind]}-[0-9a-f]{{8,17}}", id):
            return None
        return {"server": self._servers.get, "network": self._vpcs.get, "storage": self._volumes.get}[kind](id)

    def _must_get(self, kind: Kind, id: str) -> Raw:
        found = self._get(kind, id)
        if found is None:
            raise ProviderError(f"there is no {kind} {id!r} at EC2", code="not_found", retryable=False)
        return found

    def _ours(self, kind: Kind, found: Raw) -> Resource | None:
        resource = self._resource(kind, found)
        return resource if resource.key else None

    def _resource(self, kind: Kind, found: Raw) -> Resource:
        return self._resources(kind, [found])[0]

    def _resources(self, kind: Kind, found: builtins.list[Raw]) -> builtins.list[Resource]:
        if kind == "server":
            return view.resources(self._account, self._servers, found)
        if kind == "storage":
            return [self._volumes.resource(each) for each in found]
        return [self._vpcs.resource(each) or self._vpcs.stranger(each) for each in found]

    def _must(self, resource: Resource | None) -> Resource:
        assert resource is not None
        return resource

    def _offered(self, zone: str) -> set[str]:
        asked = {"LocationType": "availability-zone", "Filters": [{"Name": "location", "Values": [zone]}]}
        return {
            each["InstanceType"]
            for each in self._account.every("listing plans", "describe_instance_type_offerings", **asked)
        }

    @cached_property
    def _account(self) -> Account:
        return Account(self._setting)

    @cached_property
    def _servers(self) -> Servers:
        return Servers(self._account, self._setting, self.workspace)

    @cached_property
    def _vpcs(self) -> Vpcs:
        return Vpcs(self._account, self.workspace)

    @cached_property
    def _volumes(self) -> Volumes:
        return Volumes(self._account)


def _tags(found: Raw) -> dict[str, str]:
    return identity.from_list(found.get("Tags"))
