"""What people are kept waiting for is told as it happens, in the words of the cloud, and what came of it is true."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioning_core.doubles.aws import AwsDouble
from provisioning_core.doubles.hetzner import HetznerDouble
from provisioning_core.doubles.upcloud import UpCloudDouble
from provisioning_core.plugins import provider_class
from provisioning_core.provider import Wish
from provisioning_core.providers.hetzner import account as hetzner
from provisioning_core.resources import create_resource, created_words
from provisioning_core.workspace import load_workspace

pytest.importorskip("botocore.session", reason="the extra `aws` is not installed")


@pytest.fixture(autouse=True)
def logins(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UPCLOUD_TOKEN", "HCLOUD_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "ucat_practice_only")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROVISIONING_EVENTS", str(tmp_path / "events"))
    return tmp_path / "events"


def messages(events: Path) -> list[str]:
    told = [json.loads(line) for line in events.read_text().splitlines()]
    return [each["message"] for each in told if each["type"] == "progress"]


def network() -> Wish:
    return Wish("network", "ws/wuji/network/n", str(uuid.uuid4()), "wuji", "n", {"cidr": "10.1.0.0/24"})


def write(directory: Path, cloud: str, settings: dict[str, Any], infra: str) -> Path:
    (directory / "infra").mkdir(parents=True)
    about = {"name": "ws", "provider": cloud, "providers": {cloud: settings}}
    (directory / "provisioning.yaml").write_text(yaml.safe_dump(about))
    (directory / "infra" / "wuji.yaml").write_text(infra)
    return directory


def test_what_aws_did_not_answer_is_said_and_looked_for(tmp_path: Path, events: Path) -> None:
    with AwsDouble(tmp_path / "double", pace_s=0.01) as double:
        double.faults.change({"next": {"create": ["error"]}})
        settings = {"url": double.url, "poll_s": 0.02, "settle_s": 0.3}
        assert provider_class("aws")(tmp_path, settings).create(network()).created
    (told,) = messages(events)
    assert told.startswith("creating network n: EC2 says ")
    assert "it may have been made all the same: looking for it for up to" in told


def test_what_hetzner_fails_for_long_is_said_once(
    tmp_path: Path, events: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hetzner, "_QUIET_S", 0.0)
    with HetznerDouble(tmp_path / "double", pace_s=0.01) as double:
        double.faults.change({"next": {"create": ["error", "error"]}})
        assert provider_class("hetzner")(tmp_path, {"url": double.url, "poll_s": 0.02}).create(network()).created
    (told,) = messages(events)
    assert told.startswith("creating network n: Hetzner says ")
    assert told.endswith("; asking again")


def test_a_network_whose_answer_was_lost_is_not_said_to_have_been_there(tmp_path: Path) -> None:
    with HetznerDouble(tmp_path / "double", pace_s=0.01) as double:
        workspace = write(
            tmp_path / "ws", "hetzner", {"url": double.url, "poll_s": 0.02}, "servers: [{name: a, plan: 1cpu-1gb}]"
        )
        double.faults.change({"next": {"create": ["lost"]}})
        announced: list[str] = []
        params = {"infra": "wuji", "name": "n", "spec": {"cidr": "10.1.0.0/24"}}
        loaded, intent = load_workspace(workspace), str(uuid.uuid4())
        made = create_resource(
            loaded, "network", params, intent=intent, announce=lambda resource: announced.append(resource.id)
        )
        assert announced == [made["id"]]
        assert created_words(made) == (
            "network n was made by an earlier request, which was not seen to end: complete now"
        )
        assert (
            created_words(create_resource(loaded, "network", params, intent="")) == "network n is there: nothing to do"
        )


@pytest.mark.slow
def test_a_server_in_error_is_named_by_every_command_and_started_by_none(tmp_path: Path) -> None:
    with UpCloudDouble(tmp_path / "double", pace_s=0.01) as double:
        settings = {"url": double.url, "poll_s": 0.02, "deadline_s": 5}
        workspace = write(tmp_path / "ws", "upcloud", settings, "servers: [{name: a, plan: 1cpu-1gb}]")

        def call(*words: str) -> tuple[int, str]:
            argv = [sys.executable, "-m", "provisioning_core", *words, "--workspace", str(workspace)]
            done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
            return done.returncode, done.stdout + done.stderr

        assert call("infra", "create", "wuji", "--yes")[0] == 0
        (id,) = [each.id for each in double.ledger.existing("server")]
        data = json.dumps({"id": id}).encode()
        urllib.request.urlopen(f"{double.url}/_double/break", data, timeout=10).close()
        assert "broken (error at the provider): to be made again (replace)" in call("infra", "plan", "wuji")[1]
        _, drift = call("infra", "drift", "wuji")
        assert "broken" in drift and "infra create wuji --confirm=wuji" in drift and "server start" not in drift
        for words in (("server", "start", "wuji/a", "--check"), ("server", "start", "wuji/a")):
            code, told = call(*words)
            assert code == 5 and "in error at the provider: a" in told and "--confirm=wuji" in told
        for words in (("infra", "create", "wuji", "--yes"), ("server", "create", "wuji", "--yes")):
            code, told = call(*words)
            assert code == 1, told
            assert "left as it is" in told and "console" in told
        code, told = call("infra", "create", "wuji", "--confirm=wuji")
        assert code == 0, told
        assert [each.id for each in double.ledger.existing("server")] != [id]
        assert "Nothing to do" in call("infra", "create", "wuji")[1]
