"""Servers of the double with machines of the provider `local` behind them: SSH and power work end to end."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning_core.doubles.upcloud import UpCloudDouble
from provisioning_core.errors import ProviderError
from provisioning_core.provider import Wish
from provisioning_core.providers.local import LocalProvider
from provisioning_core.providers.upcloud import UpCloudProvider

from ..machines import needs_ssh, says, ssh
from .conftest import QUICK

pytestmark = [pytest.mark.slow, needs_ssh]


@pytest.fixture
def backed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UpCloudDouble]:
    with UpCloudDouble(tmp_path / "double", backed="local", pace_s=0.05) as double:
        monkeypatch.setenv("UPCLOUD_TOKEN", "ucat_practice_only")
        yield double
    assert not (tmp_path / "double" / "machines" / ".provisioning").exists(), "a machine is left"


@pytest.fixture
def provider(backed: UpCloudDouble, workspace: Path) -> UpCloudProvider:
    return UpCloudProvider(workspace, QUICK | {"url": backed.url})


def wish(kind: str, name: str, **spec: object) -> Wish:
    return Wish(kind, f"ws/wuji/{kind}/{name}", str(uuid.uuid4()), "wuji", name, spec)  # type: ignore[arg-type]


def test_create_returns_when_one_can_log_in_and_servers_of_a_network_reach_each_other(
    provider: UpCloudProvider, workspace: Path
) -> None:
    provider.create(wish("network", "net", cidr="10.78.0.0/24"))
    one, two = (provider.create(wish("server", name, plan="1cpu-1gb", network="net")).resource for name in ("a", "b"))
    assert says(one, "hostname") == "a"
    assert one.attributes["spec"]["network"] == "net"
    assert one.attributes["address"] == one.attributes["ssh"]["host"]
    addresses = [each.attributes["private_address"] for each in (one, two)]
    assert all(address.startswith("10.78.0.") for address in addresses)
    assert len(set(addresses)) == 2
    known = Path(one.attributes["ssh"]["known_hosts_file"]).read_text()
    assert one.attributes["ssh"]["host"] in known
    identity = Path(one.attributes["ssh"]["identity_file"])
    assert identity.is_relative_to(workspace)
    assert identity.stat().st_mode & 0o077 == 0


def test_another_key_of_the_definition_gets_in_and_a_strange_one_does_not(
    provider: UpCloudProvider, tmp_path: Path
) -> None:
    import asyncssh

    for name in ("mine", "strange"):
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(tmp_path / name)
        key.write_public_key(tmp_path / f"{name}.pub")
    line = (tmp_path / "mine.pub").read_text().strip()
    server = provider.create(wish("server", "a", plan="1cpu-1gb", ssh_keys=[line])).resource
    assert ssh(server, "true", flags=("-o", f"IdentityFile={tmp_path / 'mine'}"))[0] == 0
    server.attributes["ssh"]["identity_file"] = str(tmp_path / "strange")
    assert ssh(server, "true")[0] != 0


def test_a_resize_keeps_the_machine_and_a_delete_ends_it(provider: UpCloudProvider, backed: UpCloudDouble) -> None:
    it = wish("server", "a", plan="1cpu-1gb")
    server = provider.create(it).resource
    says(server, "echo kept > /root/file")
    larger = provider.update(server.id, wish("server", "a", plan="2cpu-4gb"))
    assert (larger.attributes["plan"], larger.state) == ("2xCPU-4GB", "started")
    assert says(larger, "cat /root/file") == "kept"
    assert provider.delete("server", server.id)
    assert not Path(server.attributes["ssh"]["known_hosts_file"]).exists()
    assert LocalProvider(backed.directory / "machines").list("server") == []


def test_a_double_that_was_killed_while_a_machine_was_made_makes_it_to_the_end(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its ledger has a server in maintenance, and there is no machine, or one that lets nobody in yet."""
    monkeypatch.setenv("UPCLOUD_TOKEN", "ucat_practice_only")
    with UpCloudDouble(tmp_path / "double", pace_s=3) as on_paper:
        provider = UpCloudProvider(workspace, QUICK | {"url": on_paper.url, "deadline_s": 0.5})
        with pytest.raises(ProviderError, match="maintenance"):
            provider.create(wish("server", "a", plan="1cpu-1gb"))
    with UpCloudDouble(tmp_path / "double", backed="local") as backed:
        provider = UpCloudProvider(workspace, QUICK | {"url": backed.url, "wait_for_ssh": True})
        made = provider.create(wish("server", "a", plan="1cpu-1gb"))
        assert (made.created, says(made.resource, "hostname")) == (False, "a")


def test_a_server_whose_machine_did_not_outlive_the_double_is_an_error_and_can_be_made_anew(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UPCLOUD_TOKEN", "ucat_practice_only")
    with UpCloudDouble(tmp_path / "double", backed="local") as first:
        it = UpCloudProvider(workspace, QUICK | {"url": first.url}).create(wish("server", "a", plan="1cpu-1gb"))
    with UpCloudDouble(tmp_path / "double", backed="local") as second:
        provider = UpCloudProvider(workspace, QUICK | {"url": second.url})
        assert [each.state for each in provider.list("server")] == ["error"]
        assert "wuji/a: its machine is gone" in capfd.readouterr().err
        assert provider.delete("server", it.resource.id)
        assert says(provider.create(wish("server", "a", plan="1cpu-1gb")).resource, "hostname") == "a"
