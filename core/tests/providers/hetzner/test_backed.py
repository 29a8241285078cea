"""Doubles of Hetzner's cloud that end while there are machines behind their servers: the next one goes on."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.doubles.hetzner import HetznerDouble
from provisioning_core.provider import Kind, Wish
from provisioning_core.providers.hetzner import HetznerProvider
from provisioning_core.providers.local import LocalProvider

from ..machines import needs_ssh, says

pytestmark = [pytest.mark.slow, needs_ssh, pytest.mark.usefixtures("namespaces")]


def wish(kind: Kind, name: str, **spec: Any) -> Wish:
    return Wish(kind, f"ws/wuji/{kind}/{name}", str(uuid.uuid4()), "wuji", name, spec)


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
