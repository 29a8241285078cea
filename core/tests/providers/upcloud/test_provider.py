"""What UpCloud's own matters mean for the provider: terms, disks, firewall, adoption, errors, credentials, settings."""

from __future__ import annotations

import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.doubles.http import Answer, Request, Route, Server
from provisioning_core.doubles.upcloud import UpCloudDouble
from provisioning_core.errors import AuthError, ProviderError, UsageError
from provisioning_core.provider import Kind, Wish
from provisioning_core.providers.upcloud import UpCloudProvider

from .conftest import QUICK, call

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE1hZGVVcEZvckFUZXN0QW5kT2ZOb1VzZUF0QWxsISEh me"


def wish(kind: Kind = "server", name: str = "web-1", labels: dict[str, str] | None = None, **spec: Any) -> Wish:
    spec = {"plan": "1cpu-1gb"} | spec if kind == "server" else spec
    return Wish(kind, f"ws/wuji/{kind}/{name}", str(uuid.uuid4()), "wuji", name, spec, labels or {})


def provider_at(url: str, workspace: Path, **more: Any) -> UpCloudProvider:
    return UpCloudProvider(workspace, QUICK | {"url": url} | more)


# --- terms ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "plan"),
    [
        ({"plan": "2cpu-4gb"}, "2xCPU-4GB"),
        ({"cpus": 2, "memory_gb": 4}, "2xCPU-4GB"),
        ({"plan": "2xCPU-4GB"}, "2xCPU-4GB"),
        ({"plan": "3cpu-6gb"}, "3cpu-6gb"),
        ({"plan": "DEV-1xCPU-1GB-10GB"}, "DEV-1xCPU-1GB-10GB"),
    ],
)
def test_a_size_is_upclouds_plan_or_made_to_measure(size: dict[str, Any], plan: str, workspace: Path) -> None:
    normal = UpCloudProvider(workspace).normalize("server", size)
    assert normal["plan"] == plan
    assert (normal["image"], normal["zone"], normal["disk_gb"]) == ("Debian GNU/Linux 12 (Bookworm)", "fi-hel1", 25)


def test_a_size_made_to_measure_is_made_and_observed(double: UpCloudDouble, provider: UpCloudProvider) -> None:
    resource = provider.create(wish(plan="3cpu-6gb", image="debian-12")).resource
    raw = call(double, "GET", f"/server/{resource.id}")["server"]
    assert (raw["plan"], raw["core_number"], raw["memory_amount"]) == ("custom", "3", "6144")
    assert resource.attributes["spec"] == {
        name: value
        for name, value in provider.normalize("server", {"plan": "3cpu-6gb"}).items()
        if name not in ("ssh_keys", "user_data")
    }


def test_all_that_upcloud_does_not_have_is_said_at_once(workspace: Path) -> None:
    spec = {"plan": "99cpu-1gb", "zone": "helsinki", "storages": [{"name": "a", "size_gb": 1, "tier": "gold"}]}
    with pytest.raises(ProviderError) as raised:
        UpCloudProvider(workspace).normalize("server", spec)
    assert (raised.value.code, raised.value.retryable) == ("bad_spec", False)
    for word in ("99 cpus", "helsinki", "gold", "maxiops"):
        assert word in raised.value.message


def test_normalizing_and_making_it_import_no_sdk(workspace: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from provisioning_core.providers.upcloud import UpCloudProvider\n"
        "UpCloudProvider(Path(sys.argv[1])).normalize('server', {'plan': '2cpu-4gb'})\n"
        "assert not {'upcloud_api', 'requests', 'asyncssh'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", program, str(workspace)], check=True)


def test_an_unknown_image_is_refused_with_a_guess_and_leaves_no_claim(
    double: UpCloudDouble, provider: UpCloudProvider, workspace: Path
) -> None:
    with pytest.raises(ProviderError) as raised:
        provider.create(wish(image="Debian GNU/Linux 12 (Bookwurm)"))
    assert (raised.value.code, raised.value.retryable) == ("unknown_image", False)
    assert "Did you mean 'Debian GNU/Linux 12 (Bookworm)'" in raised.value.message
    assert double.ledger.created() == []
    assert list((workspace / ".provisioning" / "claims").iterdir()) == []


def test_what_is_asked_for_is_what_upcloud_gets(double: UpCloudDouble, provider: UpCloudProvider) -> None:
    provider.create(wish(user_data="#!/bin/sh\ntrue\n", ssh_keys=[KEY], labels={"role": "web"}))
    (entry,) = double.ledger.created("server")
    data = entry.data
    assert data["_user_data"] == "#!/bin/sh\ntrue\n"
    assert data["_ssh_keys"][1:] == [KEY]
    assert data["_ssh_keys"][0].startswith("ssh-ed25519 ")
    assert (data["metadata"], data["_username"], data["title"], data["hostname"]) == (
        "yes",
        "root",
        "wuji/web-1",
        "web-1",
    )
    written = {label["key"]: label["value"] for label in data["labels"]}
    assert written["role"] == "web"
    assert written["provisioning-key"] == "ws/wuji/server/web-1"


# --- changes ----------------------------------------------------------------------------------------------------------


def test_disks_grow_with_a_restart_and_new_ones_are_attached(double: UpCloudDouble, provider: UpCloudProvider) -> None:
    first = provider.create(wish(storages=[{"name": "data", "size_gb": 10}])).resource
    larger = wish(disk_gb=40, storages=[{"name": "data", "size_gb": 20}, {"name": "logs", "size_gb": 10}])
    for _ in range(2):
        updated = provider.update(first.id, larger)
        assert updated.state == "started"
        assert updated.attributes["spec"]["disk_gb"] == 40
        sizes = {each["name"]: each["size_gb"] for each in updated.attributes["spec"]["storages"]}
        assert sizes == {"data": 20, "logs": 10}
    assert len(double.ledger.created("storage")) == 3
    assert [each for each in provider.list("storage") if each.key] == [], "a part of a server is no storage of its own"
    assert provider.delete("server", first.id)
    assert double.ledger.existing() == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"storages": []}, "taken away with its data"),
        ({"storages": [{"name": "data", "size_gb": 10}]}, "would shrink from 20 to 10"),
        ({"disk_gb": 10}, "would shrink from 25 to 10"),
        ({"image": "Rocky Linux 9"}, "image is Debian"),
    ],
)
def test_what_would_lose_data_needs_replacement_and_changes_nothing(
    double: UpCloudDouble, provider: UpCloudProvider, change: dict[str, Any], words: str
) -> None:
    storages = [{"name": "data", "size_gb": 20}]
    first = provider.create(wish(storages=storages)).resource
    with pytest.raises(ProviderError, match=words) as raised:
        provider.update(first.id, wish(**({"storages": storages, "plan": "4cpu-8gb"} | change)))
    assert raised.value.code == "needs_replacement"
    assert provider.get("server", first.id) == first


def test_a_storage_of_its_own_grows(double: UpCloudDouble, provider: UpCloudProvider) -> None:
    made = provider.create(wish("storage", "disk", size_gb=10, tier="hdd")).resource
    updated = provider.update(made.id, wish("storage", "disk", {"use": "backup"}, size_gb=20, tier="hdd"))
    assert (updated.attributes["size_gb"], updated.attributes["labels"]) == (20, {"use": "backup"})
    with pytest.raises(ProviderError, match="shrink"):
        provider.update(made.id, wish("storage", "disk", size_gb=15, tier="hdd"))


def test_a_storage_that_was_made_and_never_attached_is_attached_later_or_goes_with_its_server(
    double: UpCloudDouble, provider: UpCloudProvider
) -> None:
    """The attaching is refused for as long as the first attempt lasts."""
    first = provider.create(wish()).resource
    more = wish(storages=[{"name": "data", "size_gb": 10}])
    double.faults.change({"verbs": {"update": {"error": 1}}})
    with pytest.raises(ProviderError):
        provider.update(first.id, more)
    double.faults.change({"verbs": {}})
    assert len(double.ledger.created("storage")) == 2
    assert provider.update(first.id, more).attributes["spec"]["storages"][0]["name"] == "data"
    assert len(double.ledger.created("storage")) == 2

    double.faults.change({"verbs": {"update": {"error": 1}}})
    with pytest.raises(ProviderError):
        provider.update(first.id, wish(storages=[{"name": "data", "size_gb": 10}, {"name": "logs", "size_gb": 10}]))
    double.faults.change({"verbs": {}})
    assert len(double.ledger.existing("storage")) == 3
    assert provider.delete("server", first.id)
    assert double.ledger.existing() == []


def test_an_update_that_was_cut_off_while_the_server_was_stopped_starts_it_again(
    double: UpCloudDouble, provider: UpCloudProvider
) -> None:
    first = provider.create(wish()).resource
    double.faults.change({"next": {"power": ["none"] + ["error"] * 8}})
    with pytest.raises(ProviderError):
        provider.update(first.id, wish(plan="2cpu-4gb"))
    stopped = provider.get("server", first.id)
    assert stopped is not None
    assert (stopped.state, stopped.attributes["plan"]) == ("stopped", "2xCPU-4GB")
    assert provider.update(first.id, wish(plan="2cpu-4gb")).state == "started"


def test_a_server_that_somebody_has_stopped_stays_stopped_when_its_labels_change(
    double: UpCloudDouble, provider: UpCloudProvider
) -> None:
    first = provider.create(wish()).resource
    assert provider.power(first.id, "stop").state == "stopped"
    assert provider.update(first.id, wish(labels={"role": "web"})).state == "stopped"


def test_a_firewall_lets_in_what_was_said_ssh_and_answers_and_drops_the_rest(
    double: UpCloudDouble, workspace: Path, provider: UpCloudProvider
) -> None:
    rules = [{"protocol": "tcp", "ports": [443, 443]}, {"protocol": "udp", "ports": [53, 53], "source": "10.0.0.0/8"}]
    careful = UpCloudProvider(workspace, QUICK | {"ssh_from": "203.0.113.0/24"})
    first = careful.create(wish(firewall=rules)).resource

    def written() -> list[tuple[str, str, str, str]]:
        there = call(double, "GET", f"/server/{first.id}/firewall_rule")["firewall_rules"]["firewall_rule"]
        names = ("action", "protocol", "destination_port_start", "source_address_start")
        return [tuple(each[name] for name in names) for each in there]

    assert written() == [
        ("accept", "tcp", "443", ""),
        ("accept", "udp", "53", "10.0.0.0"),
        ("accept", "tcp", "22", "203.0.113.0"),
        ("accept", "tcp", "32768", ""),
        ("accept", "udp", "32768", ""),
        ("drop", "", "", ""),
    ]
    closed = wish(firewall=[{"protocol": "tcp", "ports": [22, 22], "source": "198.51.100.0/24"}])
    updated = careful.update(first.id, closed)
    assert updated.attributes["spec"]["firewall"] == [
        {"protocol": "tcp", "ports": [22, 22], "source": "198.51.100.0/24"}
    ]
    assert [each[3] for each in written() if each[2] == "22"] == ["198.51.100.0"], "no other way in by SSH"
    assert careful.update(first.id, wish()).attributes["spec"]["firewall"] == []
    assert call(double, "GET", f"/server/{first.id}")["server"]["firewall"] == "off"


def test_a_firewall_that_a_killed_create_has_left_without_rules_gets_them(
    double: UpCloudDouble, provider: UpCloudProvider
) -> None:
    it = wish(firewall=[{"protocol": "tcp", "ports": [80, 80]}])
    double.faults.change({"verbs": {"update": {"error": 1}}})
    with pytest.raises(ProviderError):
        provider.create(it)
    double.faults.change({"verbs": {}})
    again = provider.create(it)
    assert again.created is False
    assert again.resource.attributes["spec"]["firewall"] == [{"protocol": "tcp", "ports": [80, 80]}]


# --- whose it is ------------------------------------------------------------------------------------------------------


def test_what_is_not_ours_is_neither_got_nor_listed_nor_deleted(
    double: UpCloudDouble, provider: UpCloudProvider
) -> None:
    disk = {"action": "create", "title": "theirs", "size": 10}
    fields = {"hostname": "theirs", "title": "theirs", "zone": "fi-hel1", "storage_devices": {"storage_device": [disk]}}
    id = call(double, "POST", "/server", {"server": fields})["server"]["uuid"]
    assert provider.get("server", id) is None
    assert provider.list("server") == []
    assert provider.delete("server", id) is False
    assert [each.id for each in provider.unmanaged("server")] == [id]
    assert len(double.ledger.existing("server")) == 1


def test_a_long_list_is_read_to_its_end(double: UpCloudDouble, provider: UpCloudProvider) -> None:
    for number in range(205):
        fields = {"title": f"d{number}", "zone": "fi-hel1", "size": "10", "labels": [{"key": "x1", "value": "y"}]}
        call(double, "POST", "/storage", {"storage": fields})
    assert len(provider._account.rows("storage", ["x1=y"])) == 205


def test_labels_that_upcloud_would_not_take_are_refused_before_anything_is_made(
    double: UpCloudDouble, provider: UpCloudProvider
) -> None:
    with pytest.raises(ProviderError) as raised:
        provider.create(wish(labels={"x": "too short", "provisioning-key": "ours", "fine": "yes"}))
    assert (raised.value.code, raised.value.retryable) == ("bad_labels", False)
    assert "'x'" in raised.value.message
    assert "fine" not in raised.value.message
    with pytest.raises(ProviderError) as refused:
        provider.create(Wish("server", "ws/" + "é" * 99, str(uuid.uuid4()), "wuji", "a", {"plan": "1cpu-1gb"}))
    assert refused.value.code == "bad_key"
    assert double.ledger.created() == []


# --- the account ------------------------------------------------------------------------------------------------------


def test_prices_are_of_the_zone_and_in_whole_currency(provider: UpCloudProvider) -> None:
    plans = {plan.name: plan for plan in provider.plans("de-fra1")}
    assert plans["2xCPU-4GB"].memory_gb == 4
    assert plans["2xCPU-4GB"].currency == "EUR"
    assert 0 < (plans["2xCPU-4GB"].price_hour or 0) < 1


def test_refused_credentials_are_for_good_and_say_what_to_do(
    tmp_path: Path, double: UpCloudDouble, workspace: Path
) -> None:
    with UpCloudDouble(tmp_path / "strict", token="another") as strict, pytest.raises(ProviderError) as raised:
        provider_at(strict.url, workspace).create(wish())
    assert (raised.value.code, raised.value.retryable) == ("credentials_refused", False)
    assert "UPCLOUD_TOKEN" in (raised.value.hint or "")
    assert "ucat_practice_only" not in str(raised.value)


def test_missing_credentials_are_named(workspace: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("UPCLOUD_TOKEN", "UPCLOUD_USERNAME", "UPCLOUD_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    with pytest.raises(AuthError) as raised:
        provider_at("http://127.0.0.1:1", workspace).create(wish())
    assert raised.value.code == "no_credentials"
    assert "UPCLOUD_TOKEN" in f"{raised.value.message} {raised.value.hint}"


def test_a_name_and_a_password_do_as_well(
    double: UpCloudDouble, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UPCLOUD_TOKEN")
    monkeypatch.setenv("UPCLOUD_USERNAME", "sub-account")
    monkeypatch.setenv("UPCLOUD_PASSWORD", "a-long-password")
    assert provider_at(double.url, workspace).zones()


def test_a_token_follows_no_redirect_and_no_netrc_replaces_it(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setenv("UPCLOUD_TOKEN", "ucat_practice_only")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    def note(request: Request) -> Answer:
        seen.append(f"{request.path} {request.headers.get('authorization')}")
        return Answer(302, None, {"Location": f"{server.url}/elsewhere"})

    with Server([Route("GET", "/1.3/zone", note)], missing=note) as server, pytest.raises(ProviderError):
        provider_at(server.url, workspace).zones()
    assert seen == ["/1.3/zone Bearer ucat_practice_only"]


def test_an_answer_from_something_in_between_is_an_error_with_its_status(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPCLOUD_TOKEN", "ucat_practice_only")
    html = Answer(502, b"<html>bad gateway</html>", {"Content-Type": "text/html"})
    with Server([], missing=lambda _: html) as server, pytest.raises(ProviderError) as raised:
        provider_at(server.url, workspace).zones()
    assert (raised.value.code, raised.value.retryable) == ("cloud_error", True)
    assert "HTTP 502" in raised.value.message


@pytest.mark.parametrize("url", ["https://api.upcloud.com", "http://127.0.0.1.evil.example", "http://10.0.0.1", 7, ""])
def test_a_url_of_another_machine_comes_from_the_environment_only(workspace: Path, url: Any) -> None:
    with pytest.raises(UsageError, match="loopback"):
        UpCloudProvider(workspace, {"url": url})


def test_all_wrong_settings_are_named(workspace: Path) -> None:
    with pytest.raises(UsageError) as raised:
        UpCloudProvider(workspace, {"zon": "x", "settle_s": -1, "wait_for_ssh": "yes", "disk_gb": 1})
    for word in ("'zon'", "Did you mean 'zone'", "settle_s", "wait_for_ssh", "disk_gb"):
        assert word in raised.value.message
