"""A server that was made and never entered is not done: each cloud says so itself, until somebody was let in."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioning_core.errors import ProviderError
from provisioning_core.plugins import provider_class
from provisioning_core.provider import Wish

from .doors import Door, program
from .doubled import DOUBLES, log_in

pytestmark = pytest.mark.slow


@pytest.fixture
def door() -> Iterator[Door]:
    door = Door()
    yield door
    door.shut()


@pytest.fixture
def double(cloud: str, tmp_path: Path, door: Door, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    log_in(monkeypatch, tmp_path)
    with DOUBLES[cloud](tmp_path / "double", pace_s=0.01) as double:
        door.behind(double)
        yield double


@pytest.fixture
def settings(cloud: str, double: Any) -> dict[str, Any]:
    return {"url": double.url, "poll_s": 0.02, "deadline_s": 3.0}


def wish() -> Wish:
    return Wish("server", "ws/wuji/server/a", str(uuid.uuid4()), "wuji", "a", {"plan": "1cpu-1gb"})


def test_a_create_that_was_not_let_in_is_not_done_until_one_is(
    cloud: str, double: Any, settings: dict[str, Any], tmp_path: Path, door: Door
) -> None:
    provider = provider_class(cloud)(tmp_path, settings)
    for _ in range(2):
        with pytest.raises(ProviderError) as raised:
            provider.create(wish())
        assert raised.value.code == "no_ssh"
        assert [each.state for each in provider.list("server")] == ["creating"]
    door.open()
    made = provider.create(wish())
    assert (made.created, made.resource.state, door.entered) == (False, "started", 1)
    assert [each.state for each in provider.list("server")] == ["started"]
    assert made.resource.attributes["labels"] == {}
    assert len(double.ledger.created("server")) == 1


def test_a_create_that_was_killed_before_it_was_let_in_is_not_done(
    cloud: str, double: Any, settings: dict[str, Any], tmp_path: Path, door: Door
) -> None:
    named = {"upcloud": "UpCloudProvider", "aws": "AwsProvider", "hetzner": "HetznerProvider"}[cloud]
    text = program(f"provisioning_core.providers.{cloud}:{named}", tmp_path, settings)
    given = json.dumps(asdict(wish()))
    killed = subprocess.run([sys.executable, "-c", text], input=given, text=True, check=False, timeout=120)
    assert killed.returncode == -9
    provider = provider_class(cloud)(tmp_path, settings)
    assert [each.state for each in provider.list("server")] == ["creating"]
    with pytest.raises(ProviderError, match="lets nobody in"):
        provider.create(wish())
    door.open()
    assert provider.create(wish()).resource.state == "started"
    assert len(double.ledger.created("server")) == 1


def call(workspace: Path, *words: str) -> tuple[int, str]:
    argv = [sys.executable, "-m", "provisioning_core", *words, "--workspace", str(workspace)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout + done.stderr


def test_what_was_not_let_in_is_said_and_tried_again_by_the_same_command(
    cloud: str, double: Any, settings: dict[str, Any], tmp_path: Path, door: Door
) -> None:
    (tmp_path / "infra").mkdir()
    about = {"name": "ws", "provider": cloud, "providers": {cloud: settings}}
    (tmp_path / "provisioning.yaml").write_text(yaml.safe_dump(about))
    (tmp_path / "infra" / "wuji.yaml").write_text("servers: [{name: a, plan: 1cpu-1gb}]")
    for _ in range(2):
        code, told = call(tmp_path, "infra", "create", "wuji", "--yes")
        assert code == 1, told
        assert "lets nobody in by SSH" in told
    code, told = call(tmp_path, "infra", "plan", "wuji", "--exit-code")
    assert (code, "server a  unfinished: to be completed" in told, "1 to complete" in told) == (10, True, True), told
    code, told = call(tmp_path, "infra", "drift", "wuji")
    assert "unfinished" in told
    assert "provisioning infra create wuji" in told
    assert "server start" not in told
    door.open()
    code, told = call(tmp_path, "infra", "create", "wuji", "--yes")
    assert code == 0, told
    assert "was made by an earlier request, which was not seen to end: complete now" in told
    code, told = call(tmp_path, "infra", "create", "wuji", "--yes")
    assert (code, "Nothing to do" in told) == (0, True), told
