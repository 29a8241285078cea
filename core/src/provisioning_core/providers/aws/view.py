"""Servers of EC2 as resources, with what is observed of their parts: each kind of part is asked for once for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ... import provider
from .. import portable
from . import disks, identity, walls
from .account import Account
from .identity import IMAGE, NAME, OF, OPEN
from .servers import MAKING, Servers, address

Raw = dict[str, Any]
_AT_ONCE = 190  # EC2 takes 200 values of a filter
_STATES: Mapping[str, provider.ServerState] = {"running": "started", "stopping": "stopped", "stopped": "stopped"}


def resources(account: Account, servers: Servers, instances: Sequence[Raw]) -> list[provider.Resource]:
    """In the same order; key, intent and infra of those that are not ours are empty."""
    volumes, groups, vpcs = _parts(account, instances)
    found = []
    for each in instances:
        tags = identity.from_list(each["Tags"])
        whose = identity.read(tags) or {"key": "", "intent": "", "infra": ""}
        whose = {"name": tags.get(identity.CONSOLE, each["InstanceId"])} | whose
        making = tags.get(OPEN) == MAKING
        state = "creating" if making else _STATES.get(each["State"]["Name"], "creating")
        seen = _seen(each, tags, servers, volumes, groups, vpcs)
        found.append(provider.Resource("server", each["InstanceId"], **whose, state=state, attributes=seen))
    return found


def _seen(
    instance: Raw,
    tags: Mapping[str, str],
    servers: Servers,
    volumes: Mapping[str, Raw],
    groups: Mapping[str, Raw],
    vpcs: Mapping[str, Raw],
) -> dict[str, Any]:
    disk_gb, storages = disks.observed(instance, volumes)
    own = [groups[each["GroupId"]] for each in instance["SecurityGroups"] if each["GroupId"] in groups]
    of = [each for each in own if identity.from_list(each.get("Tags")).get(OF) == tags.get(identity.KEY, "")]
    network = identity.from_list(vpcs.get(instance.get("VpcId", ""), {}).get("Tags"))
    zone, plan = instance["Placement"]["AvailabilityZone"], instance["InstanceType"]
    spec = {
        "plan": plan,
        "zone": zone,
        "image": tags.get(IMAGE, instance["ImageId"]),
        "network": network.get(NAME),
        "firewall": portable.sorted_rules(rule for each in of for rule in walls.observed(each)),
        "storages": storages,
    } | ({"disk_gb": disk_gb} if disk_gb is not None else {})
    return {
        "address": address(instance),
        "private_address": instance.get("PrivateIpAddress"),
        "zone": zone,
        "plan": plan,
        "created_at": instance["LaunchTime"].isoformat(),
        "ssh": servers.ssh(instance),
        "labels": identity.users(tags),
        "spec": spec,
    }


def _parts(account: Account, instances: Sequence[Raw]) -> tuple[dict[str, Raw], dict[str, Raw], dict[str, Raw]]:
    """Volumes, security groups and VPCs of these instances, by id."""
    volumes = {each["Ebs"]["VolumeId"] for one in instances for each in one["BlockDeviceMappings"]}
    groups = {each["GroupId"] for one in instances for each in one["SecurityGroups"]}
    vpcs = {one["VpcId"] for one in instances if one.get("VpcId")}
    return (
        _by_id(account, "describe_volumes", "volume-id", "VolumeId", volumes),
        _by_id(account, "describe_security_groups", "group-id", "GroupId", groups),
        _by_id(account, "describe_vpcs", "vpc-id", "VpcId", vpcs),
    )


def _by_id(account: Account, method: str, name: str, field: str, ids: set[str]) -> dict[str, Raw]:
    """By a filter: what can't be seen yet is missing, instead of an error."""
    order = sorted(ids)
    found: dict[str, Raw] = {}
    for at in range(0, len(order), _AT_ONCE):
        filters = [{"Name": name, "Values": order[at : at + _AT_ONCE]}]
        found |= {each[field]: each for each in account.every("looking at parts", method, Filters=filters)}
    return found
