"""Servers of a double with machines of the provider `local` behind them, at each cloud: SSH and power work."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.plugins import provider_class
from provisioning_core.provider import Kind, Wish

from .doubled import DOUBLES, LARGER, log_in
from .machines import needs_ssh, says

pytestmark = [pytest.mark.slow, needs_ssh, pytest.mark.usefixtures("namespaces")]


@pytest.fixture
def provider(cloud: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    log_in(monkeypatch, tmp_path)
    with DOUBLES[cloud](tmp_path / "double", backed="local") as double:
        settings = {"url": double.url, "poll_s": 0.05, "deadline_s": 60}
        yield provider_class(cloud)(tmp_path / "workspace", settings)
    assert not (tmp_path / "double" / "machines" / ".provisioning").exists(), "a machine is left"


def wish(kind: Kind, name: str, **spec: Any) -> Wish:
    return Wish(kind, f"ws/wuji/{kind}/{name}", str(uuid.uuid4()), "wuji", name, spec)


def test_create_returns_when_one_can_log_in_and_a_new_plan_keeps_what_is_there(cloud: str, provider: Any) -> None:
    provider.create(wish("network", "net", cidr="10.79.0.0/24"))
    made = provider.create(wish("server", "web-1", plan="1cpu-1gb", network="net")).resource
    says(made, "echo kept > /root/file")
    assert made.attributes["address"] == made.attributes["ssh"]["host"]
    assert provider.create(wish("server", "web-1", plan="1cpu-1gb", network="net")).created is False
    other = provider.create(wish("server", "web-2", plan="1cpu-1gb", network="net")).resource
    for each in (made, other):
        assert each.attributes["private_address"] in says(each, "cat /proc/net/fib_trie")
    larger = provider.update(made.id, wish("server", "web-1", plan=LARGER[cloud], network="net"))
    assert (larger.attributes["plan"], larger.state) == (LARGER[cloud], "started")
    assert says(larger, "cat /root/file") == "kept"
    assert provider.delete("server", made.id)
    assert not Path(made.attributes["ssh"]["known_hosts_file"]).exists()


def test_a_key_of_the_definition_gets_in(provider: Any, tmp_path: Path) -> None:
    import asyncssh

    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(tmp_path / "mine")
    (tmp_path / "mine").chmod(0o600)
    line = key.export_public_key().decode().strip()
    server = provider.create(wish("server", "web-1", plan="1cpu-1gb", ssh_keys=[line])).resource
    server.attributes["ssh"]["identity_file"] = str(tmp_path / "mine")
    assert says(server, "echo in") == "in"
