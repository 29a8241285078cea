"""Networks at EC2. Each is a VPC of its own with one subnet of the same range, an internet gateway and a way to it:

    VPC               found again by its tags: the first to be made, the last to be deleted; marked open=making
    subnet            gives its instances public addresses
    internet gateway  attached to it
    route             0.0.0.0/0 to the gateway, in the VPC's main route table

Whoever finds the mark finishes what is missing. An account has 5 VPCs in a region, if nobody asked for more.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import ProviderError
from ...provider import Resource, Wish
from ..claim import Claim, claim
from . import identity
from .account import Account, is_said
from .identity import KEY, OF, OPEN
from .once import make_once

Raw = dict[str, Any]


class Vpcs:
    def __init__(self, account: Account, workspace: Path) -> None:
        self._account = account
        self._workspace = workspace

    def make(self, wish: Wish, spec: Mapping[str, Any], held: Claim) -> tuple[Raw, bool]:
        """The VPC; not finished. held: the claim of its key."""
        doing = f"creating network {wish.name}"
        tags = identity.specification("vpc", identity.tags_of(wish) | {OPEN: "making"})

        def create() -> Any:
            return self._account.once.create_vpc(CidrBlock=spec["cidr"], TagSpecifications=tags)

        return make_once(self._account, held, lambda: self.find(KEY, wish.key), create, doing)

    def finish(self, vpc: Raw, zone: str) -> Raw:
        """Make what is missing of it."""
        tags = identity.from_list(vpc.get("Tags"))
        if OPEN not in tags:
            return vpc
        id, key, ec2 = vpc["VpcId"], tags[KEY], self._account.ec2
        doing = f"creating network {tags.get(identity.NAME)}"
        subnet = self.subnet(id) or self._make_subnet(vpc, key, zone, doing)
        public = {"SubnetId": subnet["SubnetId"], "MapPublicIpOnLaunch": {"Value": True}}
        self._account.patiently(doing, ("not_found",), ec2.modify_subnet_attribute, **public)
        self._route(id, self._gateway(id, key, doing), doing)
        self._account.patiently(doing, ("not_found",), ec2.delete_tags, Resources=[id], Tags=[{"Key": OPEN}])
        self._account.until(doing, lambda: OPEN not in identity.from_list((self.get(id) or {}).get("Tags")))
        return self.get(id) or vpc

    def delete(self, vpc: Raw) -> None:
        """Raises ProviderError (`network_in_use`)."""
        id, ec2 = vpc["VpcId"], self._account.ec2
        doing = f"deleting network {identity.from_list(vpc.get('Tags')).get(identity.NAME, id)}"
        self._must_be_empty(id, doing)
        for gateway in self._gateways("attachment.vpc-id", id):
            self._gone(doing, ec2.detach_internet_gateway, VpcId=id, InternetGatewayId=gateway["InternetGatewayId"])
        key = identity.from_list(vpc.get("Tags")).get(KEY)
        for gateway in self._gateways(f"tag:{OF}", key) if key else ():
            self._gone(doing, ec2.delete_internet_gateway, InternetGatewayId=gateway["InternetGatewayId"])
        if subnet := self.subnet(id):
            self._gone(doing, ec2.delete_subnet, SubnetId=subnet["SubnetId"])
        for group in self._groups_left(id, doing):
            self._gone(doing, ec2.delete_security_group, GroupId=group)
        self._gone(doing, ec2.delete_vpc, VpcId=id)
        self._account.until(doing, lambda: self.get(id) is None)

    def get(self, id: str) -> Raw | None:
        return next(iter(self._described("vpc-id", id)), None)

    def find(self, tag: str, value: str) -> Raw | None:
        found = self._described(f"tag:{tag}", value)
        return next((each for each in found if identity.from_list(each.get("Tags")).get(tag) == value), None)

    def all(self) -> list[Raw]:
        return list(self._account.every("listing networks", "describe_vpcs"))

    def subnet(self, vpc: str) -> Raw | None:
        filters = [{"Name": "vpc-id", "Values": [vpc]}]
        found = self._account.every("looking at subnets", "describe_subnets", Filters=filters)
        return next(iter(found), None)

    def resource(self, vpc: Raw) -> Resource | None:
        """None for what is not ours."""
        tags = identity.from_list(vpc.get("Tags"))
        whose = identity.read(tags)
        if whose is None:
            return None
        state: Any = "creating" if OPEN in tags else "started"
        return Resource("network", vpc["VpcId"], **whose, state=state, attributes=self._seen(vpc, tags))

    def stranger(self, vpc: Raw) -> Resource:
        tags = identity.from_list(vpc.get("Tags"))
        name = str(tags.get(identity.CONSOLE, vpc["VpcId"]))
        return Resource("network", vpc["VpcId"], "", "", "", name, "started", attributes=self._seen(vpc, tags))

    def _seen(self, vpc: Raw, tags: Mapping[str, str]) -> dict[str, Any]:
        subnet = self.subnet(vpc["VpcId"])
        spec = {"cidr": vpc["CidrBlock"]} | ({"zone": subnet["AvailabilityZone"]} if subnet else {})
        made = {"subnet": subnet["SubnetId"]} if subnet else {}
        return {"cidr": vpc["CidrBlock"], "labels": identity.users(tags), "spec": spec} | made

    def _make_subnet(self, vpc: Raw, key: str, zone: str, doing: str) -> Raw:
        """Its range can be taken once only."""
        id, tags = vpc["VpcId"], identity.specification("subnet", {OF: key})
        asked = {"VpcId": id, "CidrBlock": vpc["CidrBlock"], "AvailabilityZone": zone, "TagSpecifications": tags}
        try:
            self._account.patiently(doing, ("not_found",), self._account.ec2.create_subnet, **asked)
        except ProviderError as error:
            if not is_said(error, "InvalidSubnet.Conflict"):
                raise
        self._account.until(doing, lambda: self.subnet(id) is not None)
        found = self.subnet(id)
        assert found is not None
        return found

    def _gateway(self, vpc: str, key: str, doing: str) -> str:
        """Attached; a VPC has one at most."""
        attached = self._gateways("attachment.vpc-id", vpc)
        if attached:
            return str(attached[0]["InternetGatewayId"])
        tags = identity.specification("internet-gateway", {OF: key})

        def find() -> Raw | None:
            return next(iter(self._gateways(f"tag:{OF}", key)), None)

        def create() -> Any:
            return self._account.once.create_internet_gateway(TagSpecifications=tags)

        with claim(self._workspace, f"aws/gateway/{key}") as held:
            made, _ = make_once(self._account, held, find, create, doing)
        asked = {"VpcId": vpc, "InternetGatewayId": made["InternetGatewayId"]}
        try:
            self._account.patiently(doing, ("not_found",), self._account.ec2.attach_internet_gateway, **asked)
        except ProviderError as error:
            if not is_said(error, "Resource.AlreadyAssociated"):
                raise
        return str(made["InternetGatewayId"])

    def _route(self, vpc: str, gateway: str, doing: str) -> None:
        filters = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "association.main", "Values": ["true"]}]
        tables = list(self._account.every(doing, "describe_route_tables", Filters=filters))
        asked = {"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": gateway}
        try:
            table = tables[0]["RouteTableId"]
            self._account.patiently(doing, ("not_found",), self._account.ec2.create_route, RouteTableId=table, **asked)
        except ProviderError as error:
            if not is_said(error, "RouteAlreadyExists"):
                raise

    def _must_be_empty(self, vpc: str, doing: str) -> None:
        living = ["pending", "running", "stopping", "stopped", "shutting-down"]
        filters = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "instance-state-name", "Values": living}]
        found = list(self._account.every(doing, "describe_instances", Filters=filters))
        if found:
            raise ProviderError(
                f"{doing}: {len(found)} instances still in it", code="network_in_use", hint="delete them first"
            )

    def _groups_left(self, vpc: str, doing: str) -> list[str]:
        filters = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "tag-key", "Values": [OF]}]
        return [each["GroupId"] for each in self._account.every(doing, "describe_security_groups", Filters=filters)]

    def _gateways(self, name: str, value: str) -> list[Raw]:
        filters = [{"Name": name, "Values": [value]}]
        return list(self._account.every("looking at gateways", "describe_internet_gateways", Filters=filters))

    def _described(self, name: str, value: str) -> list[Raw]:
        filters = [{"Name": name, "Values": [value]}]
        return list(self._account.every("looking at networks", "describe_vpcs", Filters=filters))

    def _gone(self, doing: str, call: Any, **arguments: Any) -> None:
        """What depends on it may take a moment to go; what is gone is no error."""
        try:
            self._account.patiently(doing, ("in_use",), call, **arguments)
        except ProviderError as error:
            if error.code != "not_found" and not is_said(error, "Gateway.NotAttached"):
                raise
