"""A server's firewall at EC2: one security group, named after the server's key, in its VPC.

An instance starts in its VPC's default group, which lets nobody in, and is moved into its own as soon as that is made.
What comes from its own network is always let in, as at clouds whose firewalls look at public addresses only; a server
without rules lets everything in, as there. SSH is let in from `ssh_from`, unless the rules say who may use port 22.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ...errors import ProviderError
from .. import portable
from . import identity
from .account import Account, is_said
from .identity import OF

Raw = dict[str, Any]
# protocol, first port, last port, network, note
Hole = tuple[str, int, int, str, str]
_SSH_NOTE, _NETWORK_NOTE, _OPEN_NOTE = "provisioning: SSH", "provisioning: own network", "provisioning: no rules"
_TRIES_MAX = 4


def ensure(
    account: Account, instance: Raw, key: str, rules: Sequence[Raw], ssh_from: str | None, inside: str | None
) -> None:
    """Make it so, whatever there is. inside: the range of its network, where that is ours."""
    doing = f"making the firewall of {key}"
    group = _find(account, instance, key) or _make(account, instance, key, doing)
    wanted = set(_wanted(rules, ssh_from, inside))
    for _ in range(_TRIES_MAX):  # somebody else may be doing the same
        there = set(_holes(group))
        if there == wanted:
            break
        _change(account, group["GroupId"], wanted - there, there - wanted, doing)
        group = _find(account, instance, key) or group
    if [each["GroupId"] for each in instance["SecurityGroups"]] != [group["GroupId"]]:
        _move(account, instance, group["GroupId"], doing)


def remove(account: Account, instance: Raw, key: str) -> None:
    """Move the instance back into the default group, and delete its own."""
    doing = f"removing the firewall of {key}"
    group = _find(account, instance, key)
    if group is None:
        return
    filters = [{"Name": "vpc-id", "Values": [instance["VpcId"]]}, {"Name": "group-name", "Values": ["default"]}]
    default = next(iter(account.every(doing, "describe_security_groups", Filters=filters)))
    if [each["GroupId"] for each in instance["SecurityGroups"]] != [default["GroupId"]]:
        _move(account, instance, default["GroupId"], doing)
    try:
        account.patiently(doing, ("in_use",), account.ec2.delete_security_group, GroupId=group["GroupId"])
    except ProviderError as error:
        if error.code != "not_found":
            raise


def observed(group: Raw) -> list[dict[str, Any]]:
    """Its rules as `normalize` says them, without those that are ours."""
    own = (_SSH_NOTE, _NETWORK_NOTE, _OPEN_NOTE)
    return portable.sorted_rules(
        portable.rule("icmp" if protocol == "icmpv6" else protocol, None if first < 0 else (first, last), source)
        for protocol, first, last, source, note in _holes(group)
        if note not in own and protocol != "-1"
    )


def _wanted(rules: Sequence[Raw], ssh_from: str | None, inside: str | None) -> Iterable[Hole]:
    if inside:
        yield "-1", -1, -1, inside, _NETWORK_NOTE
    if not rules:
        yield from (("-1", -1, -1, source, _OPEN_NOTE) for source in portable.ANYWHERE)
        return
    for rule in rules:
        yield from _written(rule, "")
    if not portable.opens_ssh(rules):
        yield from _written(portable.rule("tcp", [portable.SSH_PORT], ssh_from), _SSH_NOTE)


def _written(rule: Raw, note: str) -> Iterable[Hole]:
    for source in [rule["source"]] if "source" in rule else portable.ANYWHERE:
        if rule["protocol"] == "icmp":
            yield "icmpv6" if ":" in source else "icmp", -1, -1, source, note
        else:
            first, last = rule.get("ports", (0, 65_535))
            yield rule["protocol"], first, last, source, note


def _holes(group: Raw) -> Iterable[Hole]:
    for permission in group["IpPermissions"]:
        protocol = {"58": "icmpv6"}.get(permission["IpProtocol"], permission["IpProtocol"])
        ports = permission.get("FromPort", -1), permission.get("ToPort", -1)
        for each in permission.get("IpRanges", []):
            yield protocol, *ports, each["CidrIp"], each.get("Description", "")
        for each in permission.get("Ipv6Ranges", []):
            yield protocol, *ports, each["CidrIpv6"], each.get("Description", "")


def _change(account: Account, group: str, missing: set[Hole], surplus: set[Hole], doing: str) -> None:
    for holes, call in (
        (surplus, account.ec2.revoke_security_group_ingress),
        (missing, account.ec2.authorize_security_group_ingress),
    ):
        if not holes:
            continue
        try:
            account.patiently(doing, ("not_found",), call, GroupId=group, IpPermissions=list(map(_permission, holes)))
        except ProviderError as error:
            if not is_said(error, "InvalidPermission.Duplicate", "InvalidPermission.NotFound"):
                raise


def _permission(hole: Hole) -> Raw:
    protocol, first, last, source, note = hole
    described = {"Description": note} if note else {}
    ranges = {"Ipv6Ranges": [{"CidrIpv6": source} | described]} if ":" in source else {}
    ranges = ranges or {"IpRanges": [{"CidrIp": source} | described]}
    ports = {} if protocol == "-1" else {"FromPort": first, "ToPort": last}
    return {"IpProtocol": protocol} | ports | ranges


def _find(account: Account, instance: Raw, key: str) -> Raw | None:
    filters = [{"Name": "vpc-id", "Values": [instance["VpcId"]]}, {"Name": "group-name", "Values": [_name(key)]}]
    found = account.every(f"looking for the firewall of {key}", "describe_security_groups", Filters=filters)
    return next(iter(found), None)


def _make(account: Account, instance: Raw, key: str, doing: str) -> Raw:
    """Its name can be taken once only in a VPC."""
    asked = {"GroupName": _name(key), "Description": f"of {key}"[:255], "VpcId": instance["VpcId"]}
    tags = identity.specification("security-group", {OF: key})
    try:
        account.ask(doing, account.ec2.create_security_group, TagSpecifications=tags, **asked)
    except ProviderError as error:
        if not is_said(error, "InvalidGroup.Duplicate"):
            raise
    account.until(doing, lambda: _find(account, instance, key) is not None)
    found = _find(account, instance, key)
    assert found is not None
    return found


def _move(account: Account, instance: Raw, group: str, doing: str) -> None:
    asked = {"InstanceId": instance["InstanceId"], "Groups": [group]}
    account.patiently(doing, ("not_found", "busy"), account.ec2.modify_instance_attribute, **asked)


def _name(key: str) -> str:
    return f"provisioning-{identity.digest(key)}"
