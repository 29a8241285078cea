"""The conformance suite over the provider `aws`, at its double."""

from __future__ import annotations

from base64 import b64decode
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.doubles.aws import AwsDouble
from provisioning_core.doubles.aws.keys import keys_of
from provisioning_core.provider import Kind, Provider, Resource
from provisioning_core.testing.provider_suite import ProviderSuite


class TestAws(ProviderSuite):
    factory = f"{Path(__file__).parent / 'doubled_aws.py'}:provider"
    server_spec = {  # noqa: RUF012
        "plan": "1cpu-1gb",
        "firewall": [{"protocol": "tcp", "ports": [80, 80]}],
        "storages": [{"name": "data", "size_gb": 10}],
    }
    network_spec = {"cidr": "10.77.0.0/24"}  # noqa: RUF012
    storage_spec = {"size_gb": 10}  # noqa: RUF012
    # They grow only: tested apart.
    updates = {"server": {"plan": "t3.small", "disk_gb": None, "storages": None}, "storage": {"size_gb": None}}  # noqa: RUF012
    kills = 8

    @pytest.fixture(autouse=True)
    def at_the_double(self, double: AwsDouble) -> None:
        self.double = double

    def told(self, provider: Provider, resource: Resource, name: str) -> Any:
        if name not in ("ssh_keys", "user_data"):
            return super().told(provider, resource, name)
        import boto3

        client: Any = boto3.client("ec2", endpoint_url=self.double.url, region_name="eu-central-1")
        asked = client.describe_instance_attribute(InstanceId=resource.id, Attribute="userData")["UserData"]["Value"]
        if name == "ssh_keys":
            return keys_of(None, asked)
        parts = message_from_bytes(b64decode(asked)).walk()
        return "\n".join(str(part.get_payload(decode=True)) for part in parts)

    def make_unmanaged(self, provider: Provider, kind: Kind) -> str:
        import boto3

        client: Any = boto3.client("ec2", endpoint_url=self.double.url, region_name="eu-central-1")
        if kind == "network":
            return str(client.create_vpc(CidrBlock="10.1.0.0/24")["Vpc"]["VpcId"])
        if kind == "storage":
            return str(client.create_volume(AvailabilityZone="eu-central-1a", Size=10)["VolumeId"])
        image = client.describe_images(Owners=["136693071363"])["Images"][0]["ImageId"]
        made = client.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1)
        return str(made["Instances"][0]["InstanceId"])

    def clean(self, workspace: Path) -> None:
        left = [entry for entry in self.double.ledger.existing() if entry.kind != "key_pair"]
        assert left == [], "a part of something was left behind"
