"""What only people at a cloud can do: release what is stuck or in error. A double's users are these people."""

from __future__ import annotations

import json
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.errors import ProviderError
from provisioning_core.plugins import provider_class
from provisioning_core.provider import Wish

from ..doubled import DOUBLES, log_in


@pytest.fixture
def double(cloud: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    log_in(monkeypatch, tmp_path)
    with DOUBLES[cloud](tmp_path / "double", pace_s=0.01) as double:
        yield double


@pytest.fixture
def provider(cloud: str, double: Any, tmp_path: Path) -> Any:
    settings = {"url": double.url, "poll_s": 0.02, "deadline_s": 1.0, "wait_for_ssh": False}
    return provider_class(cloud)(tmp_path / "workspace", settings)


def wish(name: str = "a") -> Wish:
    return Wish("server", f"ws/wuji/server/{name}", str(uuid.uuid4()), "wuji", name, {"plan": "1cpu-1gb"})


def ask(double: Any, path: str, body: Any = None) -> tuple[int, Any]:
    data = b"" if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{double.server.url}/_double/{path}", data, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.request.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


def make_stuck(double: Any, provider: Any) -> str:
    double.faults.change({"stuck": 1.0})
    with pytest.raises(ProviderError):
        provider.create(wish())
    double.faults.change({"stuck": 0.0})
    (id,) = [each.id for each in double.ledger.existing("server")]
    return str(id)


@pytest.mark.parametrize("named", [True, False])
def test_what_is_stuck_goes_on_when_it_is_released(double: Any, provider: Any, named: bool) -> None:
    id = make_stuck(double, provider)
    assert ask(double, "release", {"id": id} if named else None) == (200, {"released": [id]})
    made = provider.create(wish())
    assert (made.created, made.resource.id, made.resource.state) == (False, id, "started")
    assert ask(double, "release") == (200, {"released": []})
    assert provider.delete("server", id)
    assert double.ledger.existing("server") == []


def test_what_is_stuck_can_be_deleted_after_it_was_released(double: Any, provider: Any, cloud: str) -> None:
    id = make_stuck(double, provider)
    if cloud != "aws":  # which lets what is pending be terminated
        with pytest.raises(ProviderError):
            provider.delete("server", id)
        ask(double, "release")
    assert provider.delete("server", id)
    assert double.ledger.existing("server") == []


def test_what_is_broken_is_in_error_until_it_is_released(double: Any, provider: Any, cloud: str) -> None:
    made = provider.create(wish()).resource
    provider.create(wish("b"))
    status, answer = ask(double, "break", {"id": made.id})
    if cloud == "aws":
        assert (status, answer["error"]["message"]) == (400, "servers of this cloud are never in error")
        return
    assert (status, answer) == (200, {"broken": [made.id]})
    assert [each.state for each in provider.list("server")] == ["error", "started"]
    assert ask(double, "release") == (200, {"released": [made.id]})
    assert [each.state for each in provider.list("server")] == ["started", "started"]
    ask(double, "break", {"id": made.id})
    assert provider.delete("server", made.id), "it is made again, so it can go"


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("release", {"id": "none"}, 404, "there is no server none; there are: none"),
        ("release", {"server": "a"}, 400, "the body is not {"),
        ("break", None, 400, "which server?"),
    ],
)
def test_what_nobody_can_help_with_is_refused(double: Any, path: str, body: Any, status: int, words: str) -> None:
    found, answer = ask(double, path, body)
    assert found == status
    assert words in answer["error"]["message"]
