"""Each fault on its own, at each request of a create: whoever repeats what may be repeated ends with one of each."""

from __future__ import annotations

import uuid
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.doubles.hetzner import HetznerDouble
from provisioning_core.errors import ProviderError
from provisioning_core.provider import Kind, Wish
from provisioning_core.providers.hetzner import HetznerProvider

from ..doubled import ATTEMPTS_MAX, made_in_the_end
from .doubled_hetzner import provider as at_the_double

WHOLE: dict[str, Any] = {
    "plan": "1cpu-1gb",
    "firewall": [{"protocol": "tcp", "ports": [80, 80]}],
    "storages": [{"name": "data", "size_gb": 10}],
}
IN_ORDER = ("ssh_key", "server", "firewall", "volume")


def wish(kind: Kind = "server", name: str = "web-1", **spec: Any) -> Wish:
    return Wish(kind, f"ws/wuji/{kind}/{name}", str(uuid.uuid4()), "wuji", name, spec or WHOLE)


@pytest.mark.slow
@pytest.mark.parametrize("place", range(len(IN_ORDER)), ids=IN_ORDER)
@pytest.mark.parametrize("fault", ["lost", "error", "throttle", "stall", "late", "stock"])
def test_a_fault_never_makes_two(double: HetznerDouble, tmp_path: Path, fault: str, place: int) -> None:
    quick = {"stall_s": 3, "late_s": 1, "next": {"create": ["none"] * place + [fault]}}
    double.faults.change(quick)
    provider = at_the_double(tmp_path, http_timeout_s=0.5)
    made = made_in_the_end(provider, wish())
    assert made.state == "started"
    assert made.attributes["spec"]["storages"] == WHOLE["storages"]
    assert made.attributes["spec"]["firewall"] == WHOLE["firewall"]
    assert Counter(entry.kind for entry in double.ledger.created()) == Counter(IN_ORDER)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["lost", "late"])
def test_a_network_is_made_once_also_where_the_answer_is_lost_or_late(
    double: HetznerDouble, tmp_path: Path, fault: str
) -> None:
    double.faults.change({"late_s": 1, "next": {"create": [fault]}})
    made_in_the_end(at_the_double(tmp_path, http_timeout_s=0.5), wish("network", "net", cidr="10.0.0.0/24"))
    assert Counter(entry.kind for entry in double.ledger.created()) == {"network": 1}


def test_what_lists_do_not_show_yet_is_not_made_again(double: HetznerDouble, tmp_path: Path) -> None:
    double.faults.change({"lag_s": 0.5})
    provider = at_the_double(tmp_path)
    ids = {provider.create(wish()).resource.id for _ in range(3)}
    assert len(ids) == 1
    assert Counter(entry.kind for entry in double.ledger.created()) == Counter(IN_ORDER)


def test_faults_of_other_requests_are_survived(double: HetznerDouble, tmp_path: Path) -> None:
    provider = at_the_double(tmp_path)
    double.faults.change({"verbs": {"*": {"lost": 0.1, "error": 0.1}}, "seed": 7})
    for number in range(5):
        made = made_in_the_end(provider, wish(name=f"w-{number}"))
        for _ in range(ATTEMPTS_MAX):
            with suppress(ProviderError):
                provider.delete("server", made.id)
    left = {entry.kind for entry in double.ledger.existing()}
    assert left == {"ssh_key"}


def test_a_wrong_token_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HCLOUD_TOKEN", "wrong")
    with HetznerDouble(tmp_path / "other", token="right") as strict:
        provider = HetznerProvider(tmp_path, {"url": strict.url})
        with pytest.raises(ProviderError) as refusal:
            provider.list("server")
    assert (refusal.value.code, refusal.value.retryable) == ("auth_failed", False)


def test_a_server_of_somebody_else_with_our_name_is_not_taken(double: HetznerDouble, tmp_path: Path) -> None:
    import hcloud

    provider = at_the_double(tmp_path)
    made = provider.create(wish()).resource
    client = hcloud.Client("a-token-of-the-tests", api_endpoint=double.url)
    client.request("PUT", f"/servers/{made.id}", json={"labels": {"of": "somebody-else"}})
    with pytest.raises(ProviderError) as refusal:
        provider.create(wish())
    assert (refusal.value.code, refusal.value.retryable) == ("name_taken", False)
    assert len(double.ledger.created("server")) == 1


def test_a_double_that_starts_again_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HCLOUD_TOKEN", "any")
    spec = {"wait_for_ssh": False, "poll_s": 0.02}
    with HetznerDouble(tmp_path / "state") as first:
        made = HetznerProvider(tmp_path, spec | {"url": first.url}).create(wish()).resource
    with HetznerDouble(tmp_path / "state") as second:
        provider = HetznerProvider(tmp_path, spec | {"url": second.url})
        again = provider.create(wish())
        assert (again.created, again.resource.id) == (False, made.id)
        assert provider.delete("server", made.id)
