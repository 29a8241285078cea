"""One scenario, four clouds: the example's infrastructure on local servers and on the doubles of three clouds.

Behind the doubles' servers are local ones: SSH, services and health checks are real; only the cloud's API is a double.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from acceptance.conftest import Cli
from acceptance.daemon import Daemon
from acceptance.kill.storm import write_credentials
from provisioning_core.providers.local.provider import destroy
from provisioning_core.workspace import load_workspace

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("ssh") is None, reason="no OpenSSH client")]
CREATE_S = 240.0


class Scenario:
    """A workspace on one cloud, its daemon, and the command line as a person has it."""

    def __init__(self, workspace: Path, cloud: str, cli: Cli, double: Any) -> None:
        self.workspace, self.cloud, self.cli, self.double = workspace, cloud, cli, double
        self.definition = workspace / "infra" / "wuji.yaml"

    def ended(self, arguments: Sequence[str], code: int) -> subprocess.CompletedProcess[str]:
        ended = self.cli(*arguments, timeout_s=CREATE_S)
        assert ended.returncode == code, f"{arguments}: exit {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
        return ended

    def done(self, *arguments: str, code: int = 0) -> str:
        """All that it said."""
        ended = self.ended(arguments, code)
        return ended.stdout + ended.stderr

    def document(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.ended([*arguments, "-o", "json"], code).stdout)

    def create(self) -> str:
        return self.done("infra", "create", "wuji", "--orchestrated", "--yes")

    def edit(self, old: str, new: str) -> None:
        text = self.definition.read_text("utf-8")
        assert old in text
        self.definition.write_text(text.replace(old, new), "utf-8")

    def servers(self) -> dict[str, Any]:
        return {each["name"]: each for each in self.document("server", "list", "wuji")["items"]}

    def page(self, server: str) -> str:
        read = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080').read().decode())"
        return self.done("server", "ssh", f"wuji/{server}", "--", f'python3 -c "{read}"')

    def made(self, kind: str) -> int:
        """How many of that kind the cloud has ever made."""
        assert self.double is not None
        return len(self.double.ledger.created(kind))


@pytest.fixture(params=["local", "upcloud", "aws", "hetzner"])
def scenario(
    request: pytest.FixtureRequest,
    new_daemon: Callable[..., Daemon],
    workspace: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Scenario]:
    cloud = request.param
    home = tmp_path / "home"
    write_credentials(home)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    with ExitStack() as stack:
        double = stack.enter_context(_double(cloud, tmp_path)) if cloud != "local" else None
        if double is not None:
            settings = {cloud: {"url": double.url, "poll_s": 0.1}}
            about = {"name": "wuji-example", "provider": cloud, "providers": settings}
            (workspace / "provisioning.yaml").write_text(json.dumps(about))
        daemon = new_daemon(HOME=str(home), XDG_CONFIG_HOME=str(home / ".config")).start()
        try:
            yield Scenario(workspace, cloud, _OwnHome(daemon, home), double)
        finally:
            destroy(workspace)


class _OwnHome(Cli):
    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {"XDG_CONFIG_HOME": str(self.home / ".config")}


def _double(cloud: str, directory: Path) -> Any:
    from provisioning_core.doubles.aws import AwsDouble
    from provisioning_core.doubles.hetzner import HetznerDouble
    from provisioning_core.doubles.upcloud import UpCloudDouble

    makers: dict[str, Any] = {"upcloud": UpCloudDouble, "aws": AwsDouble, "hetzner": HetznerDouble}
    return makers[cloud](directory / "double", backed="local")


def test_an_infrastructure_comes_up_changes_is_healed_and_goes(scenario: Scenario) -> None:
    # Everything, once.
    planned = scenario.document("infra", "plan", "wuji", "--exit-code", code=10)
    assert {change["action"] for change in planned["changes"]} == {"create"}
    scenario.create()
    before = scenario.servers()
    assert sorted(before) == ["db-1", "web-1", "web-2"]
    assert all(server["state"] == "started" for server in before.values())
    assert "welcome to the shop, says web-1" in scenario.page("web-1")
    assert "look, and leave it as you found it" in scenario.done("server", "ssh", "wuji/db-1", "--", "cat", "/etc/motd")

    # Again: nothing.
    assert scenario.document("infra", "plan", "wuji", "--exit-code")["changes"] is not None
    assert "no drift" in scenario.done("infra", "drift", "wuji", "--exit-code")
    assert "6 taskservs of wuji there already, 2 checks asked again and good" in scenario.create()
    assert {name: each["id"] for name, each in scenario.servers().items()} == {n: b["id"] for n, b in before.items()}

    # A changed definition: planned per field, applied in place.
    scenario.edit("welcome to the shop", "the shop is open")
    scenario.edit("labels: {role: database}", "labels: {role: database, tier: back}")
    changes = scenario.document("infra", "plan", "wuji", "--exit-code", code=10)["changes"]
    changed = {change["name"] for change in changes if change["action"] != "exists"}
    assert changed == {"db-1", "pages.web-1", "pages.web-2"}
    scenario.create()
    assert scenario.document("infra", "plan", "wuji", "--exit-code")
    assert "the shop is open, says web-2" in scenario.page("web-2")
    after = scenario.servers()
    assert after["db-1"]["id"] == before["db-1"]["id"] and after["db-1"]["labels"]["tier"] == "back"

    # Deleted behind our back: found, and healed, and nothing else is touched.
    provider = load_workspace(scenario.workspace).load_provider()
    assert provider.delete("server", before["web-2"]["id"])
    drift = scenario.done("infra", "drift", "wuji", "--exit-code", code=10)
    assert re.search(r"gone\s+server web-2", drift)
    scenario.create()
    assert "no drift" in scenario.done("infra", "drift", "wuji", "--exit-code")
    assert "the shop is open, says web-2" in scenario.page("web-2")
    healed = scenario.servers()
    assert healed["web-2"]["id"] != before["web-2"]["id"]
    assert {name for name, each in healed.items() if each["id"] == before[name]["id"]} == {"db-1", "web-1"}

    # Power.
    scenario.done("server", "stop", "wuji/web-1", "--yes")
    assert scenario.servers()["web-1"]["state"] == "stopped"
    scenario.create()
    assert scenario.servers()["web-1"]["state"] == "started"

    # Gone, all of it.
    scenario.done("infra", "delete", "wuji", "--orchestrated", "--confirm=wuji")
    assert scenario.servers() == {}
    assert provider.list("network") == []
    if scenario.double is not None:
        assert scenario.made("server") == 4, "three, and the one that was made again"
        assert not scenario.double.ledger.existing("server")


@pytest.mark.parametrize("scenario", ["upcloud"], indirect=True)
def test_one_infrastructure_may_be_on_two_clouds(scenario: Scenario) -> None:
    scenario.definition.write_text(
        "servers:\n"
        "  - {name: here, plan: 1cpu-1gb, provider: local}\n"
        "  - {name: there, plan: 1cpu-1gb}\n"
        "taskservs:\n"
        "  - {name: pages, on: [here, there]}\n"
        "checks:\n"
        "  - {name: both-answer, on: [here, there], http: ':8080/', needs: [pages]}\n"
    )
    scenario.create()
    servers = scenario.servers()
    assert sorted(servers) == ["here", "there"]
    assert "says there" in scenario.page("there") and "says here" in scenario.page("here")
    scenario.done("infra", "delete", "wuji", "--orchestrated", "--confirm=wuji")
    assert scenario.servers() == {}
