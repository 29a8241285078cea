"""One account in moto: how it is called, what it holds, and the images that people have there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

Params = dict[str, str]
_IMAGES = (  # name, owner, when
    ("debian-12-amd64-20250814-2204", "136693071363", "2025-08-14"),
    ("debian-12-amd64-20251006-2257", "136693071363", "2025-10-06"),
    ("debian-13-amd64-20251117-2299", "136693071363", "2025-11-17"),
    ("ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-20251015", "099720109477", "2025-10-15"),
    ("ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20250821", "099720109477", "2025-08-21"),
    ("ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20251022", "099720109477", "2025-10-22"),
)
ROOT_DEVICE = "/dev/xvda"


class Account:
    """moto keeps accounts apart by their number; each double has one of its own. Its state is in memory only."""

    def __init__(self, number: str) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        self.number = number
        self._app = DomainDispatcherApplication(create_backend_app)
        self._begun: set[str] = set()
        self._given: set[tuple[str, str]] = set()

    def call(self, params: Params, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Status and XML, as moto answers."""
        from werkzeug.test import EnvironBuilder, run_wsgi_app

        kept = {name: headers[name] for name in ("authorization", "x-amz-date") if name in headers}
        builder = EnvironBuilder(
            path="/",
            method="POST",
            headers=list((kept | {"x-moto-account-id": self.number}).items()),
            data=urlencode(params).encode(),
            content_type="application/x-www-form-urlencoded; charset=utf-8",
        )
        chunks, status, _ = run_wsgi_app(self._app, builder.get_environ(), buffered=True)
        return int(status.split()[0]), b"".join(chunks)

    def backend(self, region: str) -> Any:
        """moto's own state of a region. What it is born with (a default VPC and so on) is not counted as made."""
        from moto.ec2.models import ec2_backends

        backend = ec2_backends[self.number][region]
        if region not in self._begun:
            self._begun.add(region)
            _look_tags_up(backend)
            self._given |= {each for each, _ in _things(backend)}
            _put_images(backend, region)
        return backend

    def things(self, region: str) -> dict[tuple[str, str], dict[str, Any]]:
        """What was made and is there: (kind, id) to data."""
        found = _things(self.backend(region))
        return {each: data for each, data in found if each not in self._given}

    def default_group(self, region: str, subnet: str) -> str | None:
        """The security group that a VPC has from its birth on."""
        backend = self.backend(region)
        vpcs = [zone[subnet].vpc_id for zone in backend.subnets.values() if subnet in zone]
        groups = [each for vpc in vpcs for each in backend.groups.get(vpc, {}).values() if each.name == "default"]
        return str(groups[0].id) if groups else None

    def state(self, region: str, id: str) -> str | None:
        """moto's word for the state of an instance."""
        for reservation in self.backend(region).reservations.values():
            for instance in reservation.instances:
                if instance.id == id:
                    return str(instance.state)
        return None


def _things(backend: Any) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    for reservation in list(backend.reservations.values()):
        for each in reservation.instances:
            if each.state not in ("terminated", "shutting-down"):
                yield ("server", each.id), {"tags": _tags(each), "type": each.instance_type, "token": each.client_token}
    for volume in list(backend.volumes.values()):
        yield ("volume", volume.id), {"tags": _tags(volume), "size_gb": volume.size}
    for vpc in list(backend.vpcs.values()):
        yield ("vpc", vpc.id), {"tags": _tags(vpc), "cidr": vpc.cidr_block}
    for zone in list(backend.subnets.values()):
        for subnet in list(zone.values()):
            yield ("subnet", subnet.id), {"cidr": subnet.cidr_block, "vpc": subnet.vpc_id}
    for groups in list(backend.groups.values()):
        for group in list(groups.values()):
            if group.name != "default":  # it comes and goes with its VPC
                yield ("security_group", group.id), {"name": group.name, "vpc": group.vpc_id}
    for gateway in list(backend.internet_gateways.values()):
        yield ("internet_gateway", gateway.id), {"tags": _tags(gateway)}
    for pair in list(backend.key_pairs.values()):
        yield ("key_pair", pair.key_name), {}


def _look_tags_up(backend: Any) -> None:
    """moto reads all tags of the account to find those of one thing, and does so for each thing that a filter is asked
    of: with 300 instances that was where the time of thousands of creates went."""
    from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, get_prefix

    scan = backend.describe_tags

    def describe_tags(filters: Mapping[str, Any] | None = None) -> list[dict[str, str]]:
        ids = list((filters or {}).get("resource-id", ()))
        if list(filters or {}) != ["resource-id"] or len(ids) != 1 or not ids[0].replace("-", "").isalnum():
            return list(scan(filters))
        common = {"resource_id": ids[0], "resource_type": EC2_PREFIX_TO_RESOURCE.get(get_prefix(ids[0]), "")}
        return [{"key": key, "value": value, **common} for key, value in backend.tags.get(ids[0], {}).items()]

    backend.describe_tags = describe_tags


def _tags(thing: Any) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in thing.get_tags()}


def _put_images(backend: Any, region: str) -> None:
    """moto's own images are of 2017, and none is a Debian 12 or an Ubuntu 24.04."""
    from datetime import UTC, datetime

    from moto.ec2.models.amis import Ami

    for number, (name, owner, day) in enumerate(_IMAGES):
        id = f"ami-0d0b1e00000000{number:03x}"
        backend.amis[id] = Ami(
            backend,
            id,
            name=name,
            description=name,
            owner_id=owner,
            public=True,
            virtualization_type="hvm",
            architecture="x86_64",
            creation_date=datetime.fromisoformat(day).replace(tzinfo=UTC),
            hypervisor="xen",
            root_device_type="ebs",
            root_device_name="/dev/sda1" if name.startswith("ubuntu") else ROOT_DEVICE,
            region_name=region,
        )
