"""What is EC2's own: terms, tokens, growth of disks, networks, user data."""

from __future__ import annotations

import uuid
from email import message_from_string
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.doubles.aws import AwsDouble
from provisioning_core.errors import ProviderError
from provisioning_core.provider import Kind, Wish
from provisioning_core.providers.aws import AwsProvider
from provisioning_core.providers.aws.identity import token
from provisioning_core.providers.aws.userdata import user_data

from .doubled_aws import provider as at_the_double

SIZE: dict[str, Any] = {"plan": "1cpu-1gb"}


def wish(kind: Kind, name: str, labels: dict[str, str] | None = None, **spec: Any) -> Wish:
    return Wish(kind, f"ws/wuji/{kind}/{name}", str(uuid.uuid4()), "wuji", name, spec, labels or {})


@pytest.mark.parametrize(
    ("spec", "plan"),
    [
        ({"plan": "1cpu-1gb"}, "t3.micro"),
        ({"cpus": 2, "memory_gb": 3}, "t3.medium"),
        ({"plan": "4cpu-8gb"}, "c7i.xlarge"),
        ({"plan": "64cpu-256gb"}, "m7i.16xlarge"),
        ({"plan": "t4g.nano"}, "t4g.nano"),
    ],
)
def test_a_size_becomes_the_smallest_type_that_is_enough(tmp_path: Path, spec: dict[str, Any], plan: str) -> None:
    assert AwsProvider(tmp_path).normalize("server", spec)["plan"] == plan


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    bad = {"plan": "huge", "zone": "fsn1", "image": "debian-21", "storages": [{"name": "a", "size_gb": 1, "tier": "x"}]}
    with pytest.raises(ProviderError) as refusal:
        AwsProvider(tmp_path, {"region": "eu-central-1"}).normalize("server", bad)
    for word in ("'huge'", "'fsn1'", "eu-central-1a", "'debian-21'", "debian-12", "'x'"):
        assert word in refusal.value.message


def test_the_region_of_the_settings_comes_before_that_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-2")
    assert AwsProvider(tmp_path).normalize("network", {"cidr": "10.0.0.0/24"})["zone"] == "us-east-2a"
    chosen = AwsProvider(tmp_path, {"region": "eu-west-1"})
    assert chosen.normalize("network", {"cidr": "10.0.0.0/24"})["zone"] == "eu-west-1a"


def test_a_token_fits_and_differs_by_key_kind_and_generation() -> None:
    tokens = {token(kind, key, number) for kind in ("a", "b") for key in ("k" * 256, "ws/x") for number in range(3)}
    assert len(tokens) == 12
    assert all(len(each) <= 64 and each.isascii() for each in tokens)


def test_user_data_is_the_same_for_the_same_spec_and_carries_both_parts() -> None:
    text = user_data(["ssh-ed25519 AAAA one"], "#!/bin/sh\necho höher\n")
    assert text == user_data(["ssh-ed25519 AAAA one"], "#!/bin/sh\necho höher\n")
    parts = {part.get_content_type(): part.get_payload(decode=True) for part in message_from_string(text).walk()}
    assert b"ssh-ed25519 AAAA one" in bytes(parts["text/cloud-config"])
    assert bytes(parts["text/x-shellscript"]).decode() == "#!/bin/sh\necho höher\n"
    with pytest.raises(ProviderError, match="16384"):
        user_data([], "#" * 16_384)


def test_disks_grow_storages_are_added_and_nothing_shrinks_or_goes_away(double: AwsDouble, tmp_path: Path) -> None:
    provider = at_the_double(tmp_path)

    def of(disk_gb: int, **sizes: int) -> Wish:
        storages = [{"name": name, "size_gb": size_gb} for name, size_gb in sizes.items()]
        return wish("server", "web-1", **SIZE, disk_gb=disk_gb, storages=storages)

    id = provider.create(of(20, data=10)).resource.id
    for disk_gb, sizes in ((30, {"data": 10}), (30, {"data": 20, "more": 5}), (30, {"data": 20, "more": 6, "z": 1})):
        seen = provider.update(id, of(disk_gb, **sizes)).attributes["spec"]
        assert (seen["disk_gb"], {each["name"]: each["size_gb"] for each in seen["storages"]}) == (disk_gb, sizes)
    whole: dict[str, int] = {"data": 20, "more": 6, "z": 1}
    for less_gb, less in ((20, whole), (30, {"data": 20, "more": 6}), (30, whole | {"data": 10})):
        with pytest.raises(ProviderError) as refusal:
            provider.update(id, of(less_gb, **less))
        assert (refusal.value.code, refusal.value.retryable) == ("needs_replacement", False)
    assert len(double.ledger.created("volume")) == 4
    assert provider.delete("server", id)
    assert double.ledger.existing("volume") == []


def test_the_own_network_and_ssh_are_let_in_and_not_shown_as_rules(double: AwsDouble, tmp_path: Path) -> None:
    import boto3

    provider = at_the_double(tmp_path, ssh_from="203.0.113.0/24")
    rules = [{"protocol": "tcp", "ports": [80, 81], "source": "10.0.0.0/8"}, {"protocol": "icmp"}]
    provider.create(wish("network", "net", cidr="10.20.0.0/24"))
    made = provider.create(wish("server", "web-1", **SIZE, network="net", firewall=rules)).resource
    assert made.attributes["spec"]["firewall"] == [{"protocol": "icmp"}, rules[0]]
    client = boto3.client("ec2", endpoint_url=double.url, region_name="eu-central-1")
    instance = client.describe_instances(InstanceIds=[made.id])["Reservations"][0]["Instances"][0]
    (group,) = instance["SecurityGroups"]
    (described,) = client.describe_security_groups(GroupIds=[group["GroupId"]])["SecurityGroups"]
    holes = {
        (each["IpProtocol"], each.get("FromPort"), source.get("CidrIp") or source.get("CidrIpv6"))
        for each in described["IpPermissions"]
        for source in [*each.get("IpRanges", []), *each.get("Ipv6Ranges", [])]
    }
    assert {("-1", None, "10.20.0.0/24"), ("tcp", 22, "203.0.113.0/24"), ("tcp", 80, "10.0.0.0/8")} < holes
    assert not [hole for hole in holes if hole[0] in ("-1", "tcp") and hole[2] in ("0.0.0.0/0", "::/0")]
