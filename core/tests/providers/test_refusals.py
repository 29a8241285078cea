"""What each cloud would refuse at a create is known before: no call, no credentials, no SDK, and all of it at once."""

from __future__ import annotations

import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.capabilities import Checking, faults_of
from provisioning_core.errors import ProviderError
from provisioning_core.provider import Kind, Wish
from provisioning_core.providers.aws import AwsProvider
from provisioning_core.providers.hetzner import HetznerProvider
from provisioning_core.providers.local import LocalProvider
from provisioning_core.providers.upcloud import UpCloudProvider

CLOUDS: dict[str, Any] = {"aws": AwsProvider, "hetzner": HetznerProvider, "upcloud": UpCloudProvider}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE1hZGVVcEZvckFUZXN0QW5kT2ZOb1VzZUF0QWxsISEh me"
LONG = "x" * 64


def wish(kind: Kind = "server", labels: dict[str, str] | None = None, name: str = "web-1", **spec: Any) -> Wish:
    spec = {"plan": "1cpu-1gb"} | spec if kind == "server" else spec
    return Wish(kind, f"ws/wuji/{kind}/{name}", str(uuid.uuid4()), "wuji", name, spec, labels or {})


def paths(cloud: str, wanted: Wish, network: dict[str, Any] | None = None, **settings: Any) -> list[str]:
    return [fault.path for fault in CLOUDS[cloud](Path("/nowhere"), settings).faults(wanted, network)]


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_good_wish_has_no_faults(cloud: str) -> None:
    whole = wish(
        labels={"role": "web", "tier": ""},
        ssh_keys=[KEY],
        user_data="#!/bin/sh\ntrue\n",
        firewall=[{"protocol": "tcp", "ports": [80, 90], "source": "10.0.0.0/8"}, {"protocol": "icmp"}],
        storages=[{"name": "data", "size_gb": 10}],
        network="net",
    )
    assert paths(cloud, whole, {"cidr": "10.77.0.0/24"}) == []
    assert paths(cloud, wish("network", cidr="10.77.0.0/24")) == []
    assert paths(cloud, wish("storage", size_gb=10)) == []


@pytest.mark.parametrize(
    ("cloud", "labels", "bad"),
    [
        ("upcloud", {"a": "x", "_ab": "x", "a" * 33: "x", "höh": "x"}, {"a", "_ab", "a" * 33, "höh"}),
        ("upcloud", {"provisioning-key": "x", "Provisioning-X": "x", "long": "x" * 256, "good": "x" * 255},
         {"provisioning-key", "Provisioning-X", "long"}),
        ("hetzner", {"-a": "x", "a b": "x", LONG: "x", "ok": "no blanks", "fine": LONG[:63]},
         {"-a", "a b", LONG, "ok"}),
        ("hetzner", {"provisioning-id": "x", "hetzner.cloud/x": "x", "example.org/x": "x"},
         {"provisioning-id", "hetzner.cloud/x"}),
        ("aws", {"aws:x": "x", "AWS:x": "x", "provisioning:key": "x", "Name": "x", "name": "x", "k" * 129: "x",
                 "long": "x" * 257, "k": ""},
         {"aws:x", "AWS:x", "provisioning:key", "Name", "k" * 129, "long"}),
    ],
)  # fmt: skip
def test_labels_that_a_cloud_does_not_take_are_each_named(cloud: str, labels: dict[str, str], bad: set[str]) -> None:
    faults = CLOUDS[cloud](Path("/nowhere")).faults(wish(labels=labels))
    assert {fault.path.removeprefix("labels.") for fault in faults} == bad
    assert all(fault.code == "bad_labels" and "accepted" in fault.message for fault in faults)


def test_aws_counts_the_tags_that_are_ours() -> None:
    labels = {f"l{number}": "x" for number in range(43)}
    storages = [{"name": f"s{number}", "size_gb": 10} for number in range(3)]
    assert paths("aws", wish(labels=labels)) == ["labels"]
    assert paths("aws", wish(labels=dict(list(labels.items())[:42]))) == []
    assert paths("aws", wish(labels=dict(list(labels.items())[:42]), storages=storages)) == ["labels"]


@pytest.mark.parametrize(
    ("cloud", "spec", "path", "words"),
    [
        ("upcloud", {"zone": "fi-hel9"}, "zone", "'fi-hel"),
        ("upcloud", {"plan": "HICPU-8xCPU-13GB"}, "plan", "HICPU-8xCPU-1"),
        ("upcloud", {"plan": "2xcpu-4gb"}, "plan", "'2xCPU-4GB'"),
        ("upcloud", {"disk_gb": 5000}, "disk_gb", "4096"),
        ("upcloud", {"storages": [{"name": "d", "size_gb": 5000, "tier": "fast"}]}, "storages.d.tier", "maxiops"),
        ("upcloud", {"storages": [{"name": f"d{n}", "size_gb": 10} for n in range(16)]}, "storages", "15"),
        ("hetzner", {"zone": "fsn2"}, "zone", "'fsn1'"),
        ("hetzner", {"plan": "cx24"}, "plan", "'cx2"),
        ("hetzner", {"plan": "cx23", "zone": "ash"}, "plan", "Europe"),
        ("hetzner", {"plan": "cx23", "disk_gb": 50}, "disk_gb", "40"),
        ("hetzner", {"storages": [{"name": "d", "size_gb": 10, "tier": "x"}]}, "storages.d.tier", "leave it out"),
        ("hetzner", {"storages": [{"name": f"d{n}", "size_gb": 10} for n in range(17)]}, "storages", "16"),
        ("hetzner", {"firewall": [{"protocol": "tcp", "ports": [n, n]} for n in range(1, 51)]}, "firewall", "49"),
        ("aws", {"zone": "eu-central-1g"}, "zone", "eu-central-1a"),
        ("aws", {"plan": "t3.medum"}, "plan", "'t3.medium'"),
        ("aws", {"plan": "t3.3xlage"}, "plan", "xlarge"),
        ("aws", {"image": "debian-21"}, "image", "debian-12"),
        ("aws", {"user_data": "x" * 16_000}, "user_data", "16384"),
        ("aws", {"firewall": [{"protocol": "tcp", "ports": [n, n]} for n in range(1, 60)]}, "firewall", "58"),
        ("aws", {"storages": [{"name": "d", "size_gb": 20_000}]}, "storages.d.size_gb", "16384"),
    ],
)
def test_what_a_cloud_has_not_is_said_with_its_place(cloud: str, spec: dict[str, Any], path: str, words: str) -> None:
    faults = CLOUDS[cloud](Path("/nowhere")).faults(wish(**spec))
    assert path in [fault.path for fault in faults]
    assert any(words in fault.message for fault in faults if fault.path == path), faults


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"ssh_keys": [KEY, KEY[:40]]}, "ssh_keys[1]"),
        ({"ssh_keys": ["ssh-rsa " + KEY.split()[1]]}, "ssh_keys[0]"),
        ({"firewall": [{"protocol": "tcp", "ports": [90, 80]}]}, "firewall[0].ports"),
        ({"firewall": [{"protocol": "icmp"}, {"protocol": "udp", "source": "999.1.1.1/8"}]}, "firewall[1].source"),
        ({"plan": "500cpu-9999gb"}, "plan"),
    ],
)
def test_what_no_cloud_has_is_refused_by_each(cloud: str, spec: dict[str, Any], path: str) -> None:
    assert paths(cloud, wish(**spec)) == [path]


@pytest.mark.parametrize(
    ("cloud", "zone", "other"),
    [("upcloud", "fi-hel1", "fi-hel2"), ("hetzner", "fsn1", "ash"), ("aws", "eu-central-1a", "eu-central-1b")],
)
def test_a_server_in_another_zone_than_its_network_is_refused(cloud: str, zone: str, other: str) -> None:
    server = wish(network="net", zone=zone)
    assert paths(cloud, server, {"cidr": "10.77.0.0/24", "zone": other}) == ["zone"]
    assert paths(cloud, server, {"cidr": "10.77.0.0/24", "zone": zone}) == []
    bad = wish(network="net", zone=zone, ssh_keys=["none"])
    assert paths(cloud, bad, {"cidr": "10.77.0.0/24", "zone": other}) == ["ssh_keys[0]", "zone"]


def test_all_faults_come_at_once_and_in_one_error() -> None:
    bad = wish(labels={"a": "x"}, zone="nowhere", disk_gb=9999, ssh_keys=["none"])
    assert set(paths("upcloud", bad)) == {"labels.a", "zone", "disk_gb", "ssh_keys[0]"}
    with pytest.raises(ProviderError) as refusal:
        UpCloudProvider(Path("/nowhere")).create(bad)
    assert not refusal.value.retryable
    assert all(word in refusal.value.message for word in ("labels.a", "zone", "disk_gb", "ssh_keys[0]"))


def test_what_a_cloud_has_got_since_is_named_in_the_settings() -> None:
    new = wish(zone="xx-new1", plan="99xCPU-999GB")
    assert set(paths("upcloud", new)) == {"zone", "plan"}
    assert paths("upcloud", new, zones=["xx-new1"], plans={"99xCPU-999GB": "99xCPU-999GB"}) == []
    assert paths("hetzner", wish(plan="cx99"), plans={"cx99": "cx99"}) == []


def test_hetzner_takes_32_kib_of_user_data_in_bytes() -> None:
    assert HetznerProvider(Path("/nowhere")).faults(wish(user_data="ö" * 16_000)) == []
    assert paths("hetzner", wish(user_data="€" * 12_000)) == ["user_data"]


def test_a_provider_without_faults_of_its_own_says_those_of_its_terms(tmp_path: Path) -> None:
    local = LocalProvider(tmp_path)
    assert not isinstance(local, Checking)
    faults = faults_of(local, wish(zone="elsewhere", plan="huge"))
    assert {fault.path for fault in faults} == {"plan", "zone"}
    assert faults_of(local, wish()) == []


def test_faults_are_known_without_any_sdk() -> None:
    program = (
        "import sys; from pathlib import Path; from provisioning_core.provider import Wish\n"
        "from provisioning_core.providers.aws import AwsProvider as A\n"
        "from provisioning_core.providers.hetzner import HetznerProvider as H\n"
        "from provisioning_core.providers.upcloud import UpCloudProvider as U\n"
        "wish = Wish('server', 'k', '', 'i', 'n', {'plan': '1cpu-1gb'}, {'a': 'x'})\n"
        "assert [len(cloud(Path('/nowhere')).faults(wish)) for cloud in (A, H, U)] == [0, 0, 1]\n"
        "print(sorted({'boto3', 'hcloud', 'upcloud_api', 'requests', 'asyncssh'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
