"""What every cloud does alike, at its double."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.errors import ProviderError, UsageError
from provisioning_core.plugins import provider_class
from provisioning_core.provider import Kind, Wish

from .doubled import DOUBLES, LARGER, log_in

QUICK = {"wait_for_ssh": False, "poll_s": 0.02, "deadline_s": 20}


@pytest.fixture
def double(cloud: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    log_in(monkeypatch, tmp_path)
    with DOUBLES[cloud](tmp_path / "double", pace_s=0.01) as double:
        yield double


@pytest.fixture
def provider(cloud: str, double: Any, tmp_path: Path) -> Any:
    return provider_class(cloud)(tmp_path / "workspace", QUICK | {"url": double.url})


def wish(kind: Kind = "server", name: str = "web-1", **spec: Any) -> Wish:
    spec = {"plan": "1cpu-1gb"} | spec if kind == "server" else spec
    return Wish(kind, f"ws/wuji/{kind}/{name}", str(uuid.uuid4()), "wuji", name, spec)


def test_the_address_of_another_machine_is_no_setting(cloud: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="loopback"):
        provider_class(cloud)(tmp_path, {"url": "https://api.example.com/v1"})


def test_a_storage_of_its_own_grows(provider: Any) -> None:
    id = provider.create(wish("storage", "backup", size_gb=10)).resource.id
    assert provider.update(id, wish("storage", "backup", size_gb=20)).attributes["spec"]["size_gb"] == 20
    with pytest.raises(ProviderError) as refusal:
        provider.update(id, wish("storage", "backup", size_gb=10))
    assert refusal.value.code == "needs_replacement"


def test_a_server_is_in_its_network_and_the_network_stays_while_it_is(provider: Any, double: Any) -> None:
    with pytest.raises(ProviderError) as early:
        provider.create(wish(network="net"))
    assert (early.value.code, early.value.retryable) == ("no_network", True)
    net = provider.create(wish("network", "net", cidr="10.20.0.0/24")).resource
    web = provider.create(wish(network="net")).resource
    assert web.attributes["spec"]["network"] == "net"
    assert web.attributes["private_address"].startswith("10.20.0.")
    with pytest.raises(ProviderError) as refusal:
        provider.delete("network", net.id)
    assert (refusal.value.code, refusal.value.retryable) == ("network_in_use", True)
    assert provider.delete("server", web.id)
    assert provider.delete("network", net.id)
    left = {entry.kind for entry in double.ledger.existing()}
    assert left <= {"key_pair", "ssh_key"}, "the key is the account's"


def test_a_stopped_server_that_gets_another_plan_stays_stopped(cloud: str, provider: Any) -> None:
    id = provider.create(wish()).resource.id
    provider.power(id, "stop")
    changed = provider.update(id, wish(plan=LARGER[cloud]))
    assert (changed.state, changed.attributes["plan"]) == ("stopped", LARGER[cloud])


@pytest.mark.parametrize("cloud", ["aws", "hetzner"], indirect=True)
def test_a_server_that_is_stuck_is_said_and_found_again(cloud: str, double: Any, tmp_path: Path) -> None:
    double.faults.change({"next": {"create": ["none", "stuck"]}})  # the key comes before the server
    hasty = provider_class(cloud)(tmp_path / "workspace", QUICK | {"url": double.url, "deadline_s": 0.5})
    announced: list[str] = []
    with pytest.raises(ProviderError) as refusal:
        hasty.create(wish(), announce=lambda resource: announced.append(resource.id))
    assert (refusal.value.code, refusal.value.retryable) == ("stuck", True)
    found = hasty.find("server", key=wish().key)
    assert found is not None
    assert (found.id, found.state) == (announced[0], "creating")


@pytest.mark.parametrize(
    ("change", "code", "retryable"),
    [
        ({"quota": 0}, "quota_exceeded", False),
        ({"verbs": {"create": {"stock": 1}}}, "out_of_stock", True),
    ],
)
def test_what_the_cloud_refuses_is_said_in_our_words(
    provider: Any, double: Any, change: dict[str, Any], code: str, retryable: bool
) -> None:
    double.faults.change(change)
    with pytest.raises(ProviderError) as refusal:
        provider.create(wish())
    assert (refusal.value.code, refusal.value.retryable) == (code, retryable)
    assert refusal.value.hint
    assert double.ledger.created("server") == []
