"""Servers of the double with machines of the provider `local` behind them: SSH and power work end to end."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.doubles.hetzner import HetznerDouble
from provisioning_core.provider import Kind, Wish
from provisioning_core.providers.hetzner import HetznerProvider
from provisioning_core.providers.local import LocalProvider

from ..machines import needs_ssh, says

pytestmark = [pytest.mark.slow, needs_ssh, pytest.mark.usefixtures("namespaces")]


@pytest.fixture
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HetznerProvider]:
    credentials = ("HCLOUD_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    for name in credentials:
        monkeypatch.setenv(name, "for-practice-only")
    with HetznerDouble(tmp_path / "double", backed="local") as double:
        yield HetznerProvider(tmp_path / "workspace", {"url": double.url, "poll_s": 0.05, "deadline_s": 60})
    assert not (tmp_path / "double" / "machines" / ".provisioning").exists(), "a machine is left"


def wish(kind: Kind, name: str, **spec: Any) -> Wish:
    return Wish(kind, f"ws/wuji/{kind}/{name}", str(uuid.uuid4()), "wuji", name, spec)


def test_create_returns_when_one_can_log_in_and_a_new_plan_keeps_what_is_there(
    provider: HetznerProvider,
) -> None:
    provider.create(wish("network", "net", cidr="10.79.0.0/24"))
    made = provider.create(wish("server", "web-1", plan="1cpu-1gb", network="net")).resource
    says(made, "echo kept > /root/file")
    assert made.attributes["address"] == made.attributes["ssh"]["host"]
    assert provider.create(wish("server", "web-1", plan="1cpu-1gb", network="net")).created is False
    other = provider.create(wish("server", "web-2", plan="1cpu-1gb", network="net")).resource
    for each in (made, other):
        assert each.attributes["private_address"] in says(each, "cat /proc/net/fib_trie")
    larger = provider.update(made.id, wish("server", "web-1", plan="cx33", network="net"))
    assert (larger.attributes["plan"], larger.state) == ("cx33", "started")
    assert says(larger, "cat /root/file") == "kept"
    assert provider.delete("server", made.id)
    assert not Path(made.attributes["ssh"]["known_hosts_file"]).exists()


def test_a_key_of_the_definition_gets_in(provider: HetznerProvider, tmp_path: Path) -> None:
    import asyncssh

    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(tmp_path / "mine")
    (tmp_path / "mine").chmod(0o600)
    line = key.export_public_key().decode().strip()
    server = provider.create(wish("server", "web-1", plan="1cpu-1gb", ssh_keys=[line])).resource
    server.attributes["ssh"]["identity_file"] = str(tmp_path / "mine")
    assert says(server, "echo in") == "in"


def test_machines_that_outlived_a_double_are_found_again_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HCLOUD_TOKEN", "for-practice-only")
    first = HetznerDouble(tmp_path / "double", backed="local")
    first.start()
    it = wish("server", "a", plan="1cpu-1gb")
    made = HetznerProvider(tmp_path / "workspace", {"url": first.url, "poll_s": 0.05}).create(it).resource
    first.close(remove_machines=False)
    with HetznerDouble(tmp_path / "double", backed="local") as second:
        provider = HetznerProvider(tmp_path / "workspace", {"url": second.url, "poll_s": 0.05})
        found = provider.get("server", made.id)
        assert found is not None and says(found, "true") == ""
        assert provider.delete("server", made.id)
        machines = LocalProvider(tmp_path / "double" / "machines")
        assert machines.list("server") == []


@pytest.mark.parametrize("off", [False, True])
def test_a_double_that_was_killed_before_a_machine_had_its_keys_writes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, off: bool
) -> None:
    """off: the server is switched off meanwhile, as ours are while they are made."""
    monkeypatch.setenv("HCLOUD_TOKEN", "for-practice-only")
    first = HetznerDouble(tmp_path / "double", backed="local")
    first.start()
    settings = {"poll_s": 0.05, "deadline_s": 60}
    it = wish("server", "a", plan="1cpu-1gb")
    provider = HetznerProvider(tmp_path / "workspace", {"url": first.url, **settings})
    made = provider.create(it).resource
    says(made, "rm /root/.ssh/authorized_keys")
    if off:
        provider.power(made.id, "stop")
    first.close(remove_machines=False)
    with HetznerDouble(tmp_path / "double", backed="local") as second:
        provider = HetznerProvider(tmp_path / "workspace", {"url": second.url, **settings})
        again = provider.create(it)
        assert (again.created, again.resource.id, again.restarted) == (False, made.id, off)
        assert says(again.resource, "true") == ""


def test_a_double_that_was_killed_before_a_machine_was_there_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HCLOUD_TOKEN", "for-practice-only")
    it = wish("server", "a", plan="1cpu-1gb")
    settings = {"poll_s": 0.05, "deadline_s": 60}
    with HetznerDouble(tmp_path / "double") as on_paper:
        paper = HetznerProvider(tmp_path / "workspace", {"url": on_paper.url, "wait_for_ssh": False, **settings})
        id = paper.create(it).resource.id
    with HetznerDouble(tmp_path / "double", backed="local") as backed:
        made = HetznerProvider(tmp_path / "workspace", {"url": backed.url, **settings}).create(it)
        assert (made.created, made.resource.id, says(made.resource, "true")) == (False, id, "")
