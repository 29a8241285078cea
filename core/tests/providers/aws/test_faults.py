"""Each fault on its own, at each request of a create: whoever repeats what may be repeated ends with one of each."""

from __future__ import annotations

import uuid
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.doubles.aws import AwsDouble
from provisioning_core.errors import AuthError, ProviderError
from provisioning_core.provider import Kind, Wish
from provisioning_core.providers.aws.account import refusal

from ..doubled import ATTEMPTS_MAX, made_in_the_end
from .doubled_aws import provider as at_the_double

WHOLE: dict[str, Any] = {
    "plan": "1cpu-1gb",
    "firewall": [{"protocol": "tcp", "ports": [80, 80]}],
    "storages": [{"name": "data", "size_gb": 10, "tier": "gp3"}],
}
OF_A_SERVER = ("ImportKeyPair", "RunInstances", "CreateSecurityGroup")
OF_A_NETWORK = ("CreateVpc", "CreateSubnet", "CreateInternetGateway", "CreateRoute")


def wish(kind: Kind = "server", name: str = "web-1", **spec: Any) -> Wish:
    return Wish(kind, f"ws/wuji/{kind}/{name}", str(uuid.uuid4()), "wuji", name, spec or WHOLE)


@pytest.mark.slow
@pytest.mark.parametrize("place", range(len(OF_A_SERVER)), ids=OF_A_SERVER)
@pytest.mark.parametrize("fault", ["lost", "error", "throttle", "stall", "late", "stock"])
def test_a_fault_never_makes_two(double: AwsDouble, tmp_path: Path, fault: str, place: int) -> None:
    double.faults.change({"stall_s": 3, "late_s": 1, "next": {"create": ["none"] * place + [fault]}})
    made = made_in_the_end(at_the_double(tmp_path, http_timeout_s=0.5), wish())
    assert made.state == "started"
    assert made.attributes["spec"]["storages"] == WHOLE["storages"]
    assert made.attributes["spec"]["firewall"] == WHOLE["firewall"]
    counted = Counter(entry.kind for entry in double.ledger.created())
    assert counted == {"key_pair": 1, "server": 1, "volume": 2, "security_group": 1}


@pytest.mark.slow
@pytest.mark.parametrize("place", range(len(OF_A_NETWORK)), ids=OF_A_NETWORK)
@pytest.mark.parametrize("fault", ["lost", "error", "throttle", "stall", "late"])
def test_a_fault_never_makes_two_of_what_has_no_token(
    double: AwsDouble, tmp_path: Path, fault: str, place: int
) -> None:
    double.faults.change({"stall_s": 3, "late_s": 1, "next": {"create": ["none"] * place + [fault]}})
    provider = at_the_double(tmp_path, http_timeout_s=0.5, settle_s=2.5)
    assert made_in_the_end(provider, wish("network", "net", cidr="10.0.0.0/24")).state == "started"
    counted = Counter(entry.kind for entry in double.ledger.created())
    assert counted == {"vpc": 1, "subnet": 1, "internet_gateway": 1}


@pytest.mark.slow
def test_what_can_not_be_seen_yet_is_not_made_again(double: AwsDouble, tmp_path: Path) -> None:
    double.faults.change({"lag_s": 0.6})
    provider = at_the_double(tmp_path, settle_s=3)
    for kind, spec in (("network", {"cidr": "10.0.0.0/24"}), ("server", WHOLE), ("storage", {"size_gb": 10})):
        ids = {provider.create(wish(kind, "one", **spec)).resource.id for _ in range(3)}  # type: ignore[arg-type]
        assert len(ids) == 1
    assert len(double.ledger.created("server")) == len(double.ledger.created("vpc")) == 1


def test_a_wish_in_another_workspace_for_the_same_key_finds_what_no_list_shows(
    double: AwsDouble, tmp_path: Path
) -> None:
    """Neither a lock nor a list can tell: EC2 itself refuses the token of this key with other parameters."""
    double.faults.change({"lag_s": 0.5})
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    first = at_the_double(mine, settle_s=3).create(wish())
    second = at_the_double(theirs, settle_s=3).create(wish())
    assert (second.created, second.resource.id) == (False, first.resource.id)
    assert len(double.ledger.created("server")) == 1


def test_a_key_is_made_again_however_often_it_was_deleted(double: AwsDouble, tmp_path: Path) -> None:
    provider = at_the_double(tmp_path)
    same = wish()
    ids = set()
    for _ in range(3):
        made = provider.create(same)
        assert made.created
        ids.add(made.resource.id)
        assert provider.delete("server", made.resource.id)
    assert len(ids) == 3


@pytest.mark.slow
def test_faults_of_other_requests_are_survived(double: AwsDouble, tmp_path: Path) -> None:
    provider = at_the_double(tmp_path)
    double.faults.change({"verbs": {"*": {"lost": 0.03, "error": 0.03}}, "seed": 7})
    for number in range(3):
        made = made_in_the_end(provider, wish(name=f"w-{number}"))
        for _ in range(ATTEMPTS_MAX):
            with suppress(ProviderError):
                provider.delete("server", made.id)
    assert {entry.kind for entry in double.ledger.existing()} == {"key_pair"}


def test_wrong_and_missing_credentials_are_said(
    double: AwsDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AwsDouble(tmp_path / "other", token="right") as strict:
        with pytest.raises(ProviderError) as refusal:
            at_the_double(tmp_path, url=strict.url).list("server")
        assert (refusal.value.code, refusal.value.retryable) == ("auth_failed", False)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(AuthError) as missing:
        at_the_double(tmp_path).list("server")
    assert missing.value.code == "no_credentials"


@pytest.mark.parametrize(
    ("said", "code", "retryable"),
    [
        ("VpcLimitExceeded", "quota_exceeded", False),
        ("InternetGatewayLimitExceeded", "quota_exceeded", False),
        ("RulesPerSecurityGroupLimitExceeded", "quota_exceeded", False),
        ("RequestLimitExceeded", "rate_limited", True),
        ("InsufficientInstanceCapacity", "out_of_stock", True),
    ],
)
def test_every_quota_of_ec2_is_one_and_a_full_zone_or_too_many_requests_are_none(
    said: str, code: str, retryable: bool
) -> None:
    from botocore.exceptions import ClientError

    error = ClientError({"Error": {"Code": said, "Message": "words"}}, "CreateVpc")
    found = refusal("creating network net", error)
    assert (found.code, found.retryable) == (code, retryable)
    assert said in found.message


def test_what_has_been_waited_for_to_the_deadline_is_not_waited_for_again(double: AwsDouble, tmp_path: Path) -> None:
    """Only what passes is asked again: a deadline is one deadline."""
    double.faults.change({"next": {"create": ["none", "stuck"]}})
    provider = at_the_double(tmp_path, deadline_s=0.3)
    waits: list[str] = []
    ask_once = provider._account.ask_once

    def once(doing: str, call: Any, **arguments: Any) -> Any:
        if "WaiterConfig" in arguments:
            waits.append(doing)
        return ask_once(doing, call, **arguments)

    provider._account.ask_once = once  # type: ignore[method-assign]
    with pytest.raises(ProviderError) as refusal:
        provider.create(wish())
    assert (refusal.value.code, waits) == ("stuck", ["creating server web-1"])
