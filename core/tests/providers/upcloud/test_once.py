"""One server per wish: each fault of the cloud on its own, two at a time, and kills at each step of a create."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.doubles.upcloud import UpCloudDouble
from provisioning_core.errors import ProviderError
from provisioning_core.provider import Wish
from provisioning_core.providers.upcloud import UpCloudProvider
from provisioning_core.providers.upcloud.once import SENDS_MAX

from .conftest import QUICK, call

KILLED_AT = """
import json, os, sys
from pathlib import Path
from provisioning_core.provider import Wish
from provisioning_core.providers import claim
from provisioning_core.providers.upcloud import UpCloudProvider
from provisioning_core.providers.upcloud.once import SENDS_MAX
from provisioning_core.providers.upcloud.account import Account

def killing(owner, name, before):
    real = getattr(owner, name)
    def kill(*given, **more):
        if before:
            os.kill(os.getpid(), 9)
        real(*given, **more)
        os.kill(os.getpid(), 9)
    setattr(owner, name, kill)

point = sys.argv[2]
owner, name, before = {
    "before the mark": (claim.Claim, "sending", True),
    "after the mark": (claim.Claim, "sending", False),
    "after the request": (Account, "send", False),
    "after the answer": (claim.Claim, "answered", False),
}[point]
killing(owner, name, before)
UpCloudProvider(Path(sys.argv[1]), json.loads(sys.argv[3])).create(Wish(**json.load(sys.stdin)))
"""


def wish(name: str = "web-1", **spec: Any) -> Wish:
    return Wish("server", f"ws/wuji/server/{name}", str(uuid.uuid4()), "wuji", name, {"plan": "1cpu-1gb"} | spec)


def made(double: UpCloudDouble) -> int:
    """How many servers were ever made."""
    return len(double.ledger.created("server"))


def claims(workspace: Path) -> list[Path]:
    directory = workspace / ".provisioning" / "claims"
    return list(directory.iterdir()) if directory.exists() else []


@pytest.mark.slow
@pytest.mark.parametrize("point", ["before the mark", "after the mark", "after the request", "after the answer"])
@pytest.mark.parametrize("lag_s", [0.0, 0.6])
def test_a_create_killed_at_each_step_and_repeated_makes_one(
    double: UpCloudDouble, provider: UpCloudProvider, workspace: Path, point: str, lag_s: float
) -> None:
    """Also where lists do not show the first one's server for a while."""
    double.faults.change({"lag_s": lag_s})
    it = wish()
    argv = [sys.executable, "-c", KILLED_AT, str(workspace), point, json.dumps(QUICK)]
    killed = subprocess.run(argv, input=json.dumps(asdict(it)), text=True, capture_output=True, check=False, timeout=60)
    assert killed.returncode == -9, killed.stderr
    sent = point in ("after the request", "after the answer")
    assert made(double) == sent
    assert len(claims(workspace)) == 1
    again = provider.create(it)
    assert made(double) == 1
    assert again.created is not sent
    assert again.resource.state == "started"
    if not lag_s:
        assert claims(workspace) == []


@pytest.mark.slow
@pytest.mark.parametrize("point", ["after the mark", "after the request", "after the answer"])
def test_what_a_killed_create_has_sent_can_be_deleted_before_any_list_shows_it(
    double: UpCloudDouble, provider: UpCloudProvider, workspace: Path, point: str
) -> None:
    double.faults.change({"lag_s": 0.6})
    it = wish()
    argv = [sys.executable, "-c", KILLED_AT, str(workspace), point, json.dumps(QUICK)]
    subprocess.run(argv, input=json.dumps(asdict(it)), text=True, capture_output=True, check=False, timeout=60)
    found = provider.find("server", key=it.key)
    assert (found is None) == (point == "after the mark")
    assert found is None or provider.delete("server", found.id)
    assert double.ledger.existing() == []


@pytest.mark.parametrize("fault", ["lost", "stall"])
@pytest.mark.parametrize("lag_s", [0.0, 0.6])
def test_a_create_whose_answer_is_lost_finds_its_server(
    double: UpCloudDouble, workspace: Path, fault: str, lag_s: float
) -> None:
    double.faults.change({"next": {"create": [fault]}, "stall_s": 30, "lag_s": lag_s})
    quick = UpCloudProvider(workspace, QUICK | {"http_timeout_s": 0.5})
    first = quick.create(wish())
    assert first.created
    assert made(double) == 1
    again = quick.create(wish())
    assert (again.created, again.resource.id) == (False, first.resource.id)
    assert made(double) == 1


def test_a_request_that_is_obeyed_late_is_waited_for_and_that_is_said(
    double: UpCloudDouble, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The caller has given up long before the server is made."""
    double.faults.change({"next": {"create": ["late"]}, "late_s": 1.0})
    first = UpCloudProvider(workspace, QUICK | {"http_timeout_s": 0.3}).create(wish())
    assert first.created
    assert made(double) == 1
    told = capsys.readouterr().err
    assert told.count("it may have been made all the same: looking for it for up to") == 1
    assert "no answer from UpCloud" in told


def test_after_a_5xx_it_is_sent_again_once_the_window_is_over_and_all_of_that_is_told(
    double: UpCloudDouble, workspace: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In the feed, as it happens: the window of a real account is a minute and a half long."""
    monkeypatch.setenv("PROVISIONING_EVENTS", str(tmp_path / "events"))
    double.faults.change({"next": {"create": ["error"]}})
    assert UpCloudProvider(workspace, QUICK | {"settle_s": 0.3}).create(wish()).created
    assert made(double) == 1
    assert claims(workspace) == []
    events = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert [each["type"] for each in events] == ["progress"] * 2
    waiting, again = (each["message"] for each in events)
    assert waiting.startswith("creating server web-1: UpCloud says ")
    assert "HTTP 503" in waiting
    assert "looking for it for up to 0 s" in waiting
    assert again.endswith("not made: it is sent again")
    assert "not answered" not in waiting + again


def test_a_cloud_that_only_fails_is_an_error_that_may_be_retried(double: UpCloudDouble, workspace: Path) -> None:
    double.faults.change({"next": {"create": ["error"] * SENDS_MAX}})
    quick = UpCloudProvider(workspace, QUICK | {"settle_s": 0.1})
    with pytest.raises(ProviderError, match="temporarily") as raised:
        quick.create(wish())
    assert (raised.value.code, raised.value.retryable) == ("cloud_error", True)
    assert claims(workspace) == []
    assert quick.create(wish()).created
    assert made(double) == 1


@pytest.mark.parametrize(
    ("fault", "code", "retryable", "after_s"),
    [("throttle", "throttled", True, 17.0), ("stock", "out_of_stock", True, 60.0)],
)
def test_a_refusal_says_whether_and_when_to_try_again_and_leaves_no_mark(
    double: UpCloudDouble,
    provider: UpCloudProvider,
    workspace: Path,
    fault: str,
    code: str,
    retryable: bool,
    after_s: float,
) -> None:
    double.faults.change({"next": {"create": [fault]}, "retry_after_s": 17})
    with pytest.raises(ProviderError) as raised:
        provider.create(wish())
    assert (raised.value.code, raised.value.retryable) == (code, retryable)
    assert raised.value.retry_after_s == after_s
    assert claims(workspace) == []
    assert provider.create(wish()).created
    assert made(double) == 1


def test_a_full_quota_is_for_good(double: UpCloudDouble, provider: UpCloudProvider) -> None:
    double.faults.change({"quota": 1})
    provider.create(wish("a"))
    with pytest.raises(ProviderError) as raised:
        provider.create(wish("b"))
    assert (raised.value.code, raised.value.retryable) == ("quota_exceeded", False)
    assert "limits" in (raised.value.hint or "")
    assert made(double) == 1


def test_a_server_that_is_stuck_is_named_and_found_again_not_made_again(double: UpCloudDouble, workspace: Path) -> None:
    double.faults.change({"next": {"create": ["stuck"]}})
    hasty = UpCloudProvider(workspace, QUICK | {"deadline_s": 0.2})
    announced: list[str] = []
    for _ in range(2):
        with pytest.raises(ProviderError) as raised:
            hasty.create(wish(), announce=lambda resource: announced.append(resource.id))
        assert (raised.value.code, raised.value.retryable) == ("not_ready", True)
        assert announced[0] in raised.value.message
    assert made(double) == 1
    assert announced[0] == announced[1]
    with pytest.raises(ProviderError) as refused:
        hasty.delete("server", announced[0])
    assert refused.value.code == "not_deleted"


def test_what_no_list_shows_yet_is_found_by_its_key(double: UpCloudDouble, provider: UpCloudProvider) -> None:
    double.faults.change({"lag_s": 3600})
    made_one = provider.create(wish()).resource
    assert provider.list("server") == []
    assert provider.find("server", key=made_one.key) == made_one
    assert provider.create(wish()).created is False
    assert made(double) == 1
    assert provider.delete("server", made_one.id)
    assert provider.find("server", key=made_one.key) is None


@pytest.mark.slow
def test_requests_that_may_be_repeated_are(double: UpCloudDouble, provider: UpCloudProvider) -> None:
    double.faults.change(
        {"retry_after_s": 0, "next": {"list": ["error", "lost", "throttle"], "get": ["lost", "error"]}}
    )
    resource = provider.create(wish()).resource
    double.faults.change({"next": {"delete": ["lost"], "power": ["error"]}})
    assert provider.delete("server", resource.id)
    assert double.ledger.existing() == []


def test_a_cloud_that_cannot_be_reached_has_certainly_done_nothing(
    tmp_path: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = UpCloudDouble(tmp_path / "double")
    double.close()
    monkeypatch.setenv("UPCLOUD_TOKEN", "ucat_practice_only")
    with pytest.raises(ProviderError) as raised:
        UpCloudProvider(workspace, QUICK | {"url": double.url}).create(wish())
    assert (raised.value.code, raised.value.retryable) == ("unreachable", True)
    assert claims(workspace) == []


def test_two_servers_of_one_key_are_told_of_and_the_older_one_is_used(
    double: UpCloudDouble, provider: UpCloudProvider, capsys: pytest.CaptureFixture[str]
) -> None:
    """As two workspaces on two machines can still bring about."""
    older = provider.create(wish()).resource
    theirs = call(double, "GET", f"/server/{older.id}")["server"]
    theirs = {name: theirs[name] for name in ("hostname", "title", "zone", "plan", "labels")}
    disk = {"action": "create", "title": "x", "size": 10}
    younger = call(double, "POST", "/server", {"server": theirs | {"storage_devices": {"storage_device": [disk]}}})
    found = provider.find("server", key=older.key)
    assert found is not None
    assert found.id in (older.id, younger["server"]["uuid"])
    assert "more than one server" in capsys.readouterr().err


@pytest.mark.slow
def test_a_storm_ends_with_exactly_as_many_servers_as_were_wished(double: UpCloudDouble, workspace: Path) -> None:
    """50 wishes, 10 % lost answers, 5 % 5xx, 5 % stalls, lagging lists, processes killed at random moments."""
    double.faults.change({"lost": 0.1, "error": 0.05, "stall": 0.05, "stall_s": 1, "lag_s": 0.1, "seed": 11})
    wishes = [wish(f"s{number}") for number in range(50)]
    settings = QUICK | {"settle_s": 1.0, "http_timeout_s": 0.5}
    program = (
        "import json, random, sys, threading, os, time; from pathlib import Path\n"
        "from provisioning_core.provider import Wish\n"
        "from provisioning_core.providers.upcloud import UpCloudProvider\n"
        "from provisioning_core.errors import ProviderError\n"
        "chance = random.Random(int(sys.argv[2]))\n"
        "life_s = chance.uniform(0.05, 3)\n"
        "given = json.load(sys.stdin)\n"
        "provider = UpCloudProvider(Path(sys.argv[1]), given['settings'])\n"
        "import upcloud_api, requests\n"
        "threading.Timer(life_s, lambda: os.kill(os.getpid(), 9)).start()\n"
        "for each in given['wishes']:\n"
        "    try: provider.create(Wish(**each)); print(each['name'], flush=True)\n"
        "    except ProviderError as error: assert error.retryable, error\n"
        "os._exit(0)\n"
    )
    done: set[str] = set()
    lock = threading.Lock()

    def work(own: list[Wish], seed: int) -> None:
        for life in range(100):
            with lock:
                left = [asdict(each) for each in own if each.name not in done]
            if not left:
                return
            argv = [sys.executable, "-c", program, str(workspace), str(seed * 1000 + life)]
            given = json.dumps({"settings": settings, "wishes": left})
            process = subprocess.run(argv, input=given, text=True, capture_output=True, check=False, timeout=120)
            assert process.returncode in (0, -9), process.stderr
            with lock:
                done.update(process.stdout.split())
        raise AssertionError("not done in 100 lives")

    threads = [threading.Thread(target=work, args=(wishes, seed)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made(double) == 50
    names = [each.data["hostname"] for each in double.ledger.existing("server")]
    assert sorted(names) == sorted(each.name for each in wishes)
