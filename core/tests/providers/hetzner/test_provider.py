"""What is Hetzner's own: terms, growth of disks, moves of plans, prices."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.doubles.hetzner import HetznerDouble
from provisioning_core.errors import ProviderError, UsageError
from provisioning_core.provider import Kind, Wish
from provisioning_core.providers.hetzner import HetznerProvider

from .doubled_hetzner import provider as at_the_double

SIZE: dict[str, Any] = {"plan": "1cpu-1gb"}


def wish(kind: Kind, name: str, labels: dict[str, str] | None = None, **spec: Any) -> Wish:
    return Wish(kind, f"ws/wuji/{kind}/{name}", str(uuid.uuid4()), "wuji", name, spec, labels or {})


@pytest.mark.parametrize(
    ("spec", "plan"),
    [
        ({"plan": "1cpu-1gb"}, "cx23"),
        ({"cpus": 4, "memory_gb": 8}, "cx33"),
        ({"plan": "2cpu-4gb", "disk_gb": 100}, "cx43"),
        ({"plan": "2cpu-4gb", "zone": "ash"}, "cpx21"),
        ({"plan": "48cpu-192gb"}, "ccx63"),
        ({"plan": "cax11"}, "cax11"),
        ({"plan": "3cpu-5gb"}, "cx33"),
    ],
)
def test_a_size_becomes_the_smallest_plan_that_is_enough(tmp_path: Path, spec: dict[str, Any], plan: str) -> None:
    assert HetznerProvider(tmp_path).normalize("server", spec)["plan"] == plan


def test_a_plan_of_the_settings_comes_first(tmp_path: Path) -> None:
    provider = HetznerProvider(tmp_path, {"plans": {"2cpu-4gb": "cpx22"}})
    assert provider.normalize("server", {"plan": "2cpu-4gb"})["plan"] == "cpx22"


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    bad = {"plan": "huge", "zone": "fsn2", "storages": [{"name": "a", "size_gb": 20_000, "tier": "fast"}]}
    with pytest.raises(ProviderError) as refusal:
        HetznerProvider(tmp_path).normalize("server", bad)
    for word in ("'huge'", "'fsn2'", "fsn1", "20000", "'fast'"):
        assert word in refusal.value.message


def test_an_unknown_setting_is_named_with_what_is_meant(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="zone"):
        HetznerProvider(tmp_path, {"zon": "hel1"})


def test_storages_are_added_and_grow_and_never_shrink_or_go_away(double: HetznerDouble, tmp_path: Path) -> None:
    provider = at_the_double(tmp_path)

    def of(**sizes: int) -> Wish:
        storages = [{"name": name, "size_gb": size_gb} for name, size_gb in sizes.items()]
        return wish("server", "web-1", **SIZE, storages=storages)

    id = provider.create(of(data=10)).resource.id
    for sizes in ({"data": 30}, {"data": 30, "more": 10}, {"data": 30, "more": 20}):
        seen = provider.update(id, of(**sizes)).attributes["spec"]["storages"]
        assert {each["name"]: each["size_gb"] for each in seen} == sizes
    for sizes in ({"data": 20, "more": 20}, {"data": 30}):
        with pytest.raises(ProviderError) as refusal:
            provider.update(id, of(**sizes))
        assert (refusal.value.code, refusal.value.retryable) == ("needs_replacement", False)
    assert len(double.ledger.existing("volume")) == 2
    assert provider.delete("server", id)
    assert double.ledger.existing("volume") == []


def test_ssh_is_let_in_beside_the_rules_and_not_shown_as_one_of_them(double: HetznerDouble, tmp_path: Path) -> None:
    provider = at_the_double(tmp_path, ssh_from="203.0.113.0/24")
    rules = [{"protocol": "tcp", "ports": [80, 81], "source": "10.0.0.0/8"}, {"protocol": "icmp"}]
    made = provider.create(wish("server", "web-1", **SIZE, firewall=rules)).resource
    assert made.attributes["spec"]["firewall"] == [{"protocol": "icmp"}, rules[0]]
    (wall,) = double.ledger.existing("firewall")
    assert {(rule["port"], *rule["source_ips"]) for rule in wall.data["rules"]} == {
        ("22", "203.0.113.0/24"),
        ("80-81", "10.0.0.0/8"),
        (None, "0.0.0.0/0", "::/0"),
    }
    without = provider.update(made.id, wish("server", "web-1", **SIZE))
    assert without.attributes["spec"]["firewall"] == []
    assert double.ledger.existing("firewall") == []


def test_plans_have_the_price_of_the_zone(double: HetznerDouble, tmp_path: Path) -> None:
    plans = {plan.name: plan for plan in at_the_double(tmp_path).plans("ash")}
    assert "cx23" not in plans
    assert (plans["cpx11"].price_hour, plans["cpx11"].currency) == (0.0072, "EUR")
