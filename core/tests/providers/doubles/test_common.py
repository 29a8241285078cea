"""What all doubles stand on: the ledger, the faults, the server and its door."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from provisioning_core.doubles.admin import admin_routes
from provisioning_core.doubles.faults import Fault, Faults
from provisioning_core.doubles.http import Answer, Request, Route, Server
from provisioning_core.doubles.ledger import Ledger
from provisioning_core.doubles.mishap import befall
from provisioning_core.errors import ConflictError, UsageError


def missing(_: Request) -> Answer:
    return Answer(404, {"missing": True})


def test_a_ledger_tells_what_ever_was_from_what_is(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.create("server", "a", {"size": 1})
    ledger.create("server", "b")
    ledger.create("network", "a")
    ledger.change("server", "a", {"size": 2})
    ledger.delete("server", "b")
    reader = Ledger(tmp_path)
    assert [(each.id, dict(each.data)) for each in reader.created("server")] == [("a", {"size": 1}), ("b", {})]
    assert [(each.id, dict(each.data)) for each in reader.existing("server")] == [("a", {"size": 2})]
    assert [each.id for each in reader.existing()] == ["a", "a"]


def test_a_torn_last_line_is_no_entry_and_does_not_spoil_the_next(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.create("server", "a")
    ledger.close()
    with ledger.file.open("ab") as file:
        file.write(b'{"at": 1, "event": "crea')
    assert [each.id for each in Ledger(tmp_path).created()] == ["a"]
    again = Ledger(tmp_path)
    again.create("server", "b")
    assert [each.id for each in again.created()] == ["a", "b"]


def test_what_a_killed_writer_has_written_stays_and_its_hold_ends(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from provisioning_core.doubles.ledger import Ledger\n"
        "ledger = Ledger(Path(sys.argv[1])); ledger.create('server', 'a'); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False).returncode == -9
    ledger = Ledger(tmp_path)
    ledger.hold()
    assert [each.id for each in ledger.existing()] == ["a"]


def test_a_ledger_has_one_writer(tmp_path: Path) -> None:
    first = Ledger(tmp_path)
    first.hold()
    with pytest.raises(ConflictError, match="another double"):
        Ledger(tmp_path).hold()
    first.close()
    Ledger(tmp_path).hold()


def test_the_same_seed_draws_the_same_faults_at_the_rates_asked_for() -> None:
    config = {"lost": 0.1, "error": 0.05, "stall": 0.05, "seed": 7}
    drawn = [[faults.draw() for _ in range(2000)] for faults in (Faults(config), Faults(config))]
    assert drawn[0] == drawn[1]
    counts = Counter(drawn[0])
    assert set(counts) == {"none", "lost", "error", "stall"}
    assert 150 < counts["lost"] < 250
    assert 60 < counts["error"] < 140
    assert Faults(config | {"seed": 8}).draw("list") == "none", "only creates, unless another verb is named"


def test_planted_faults_come_first_and_once_and_verbs_have_rates_of_their_own() -> None:
    faults = Faults({"error": 1, "next": {"create": ["lost", "none"]}, "verbs": {"get": {"throttle": 1}}})
    assert [faults.draw() for _ in range(3)] == ["lost", "none", "error"]
    assert [faults.draw(verb) for verb in ("get", "list")] == ["throttle", "none"]
    faults.change({"verbs": {"*": {"stall": 1}}, "error": 0, "quota": 3})
    assert [faults.draw(verb) for verb in ("create", "get", "list")] == ["none", "stall", "stall"]
    assert faults.quota == 3
    assert faults.describe()["error"] == 0


def test_bad_faults_are_all_named() -> None:
    with pytest.raises(UsageError) as raised:
        Faults({"lots": 0.1, "lost": 2, "stall_s": -1, "next": {"create": ["gone"]}, "verbs": {"get": {"lost": "x"}}})
    for word in ("lots", "Did you mean", "lost: 2", "stall_s: -1", "gone", "verbs.get.lost"):
        assert word in raised.value.message
    with pytest.raises(UsageError, match=r"1\.2"):
        Faults({"lost": 0.6, "error": 0.6})


def test_a_server_routes_by_method_and_pattern_and_keeps_the_connection() -> None:
    def show(request: Request) -> Answer:
        return Answer(
            201, {"id": request.parts["id"], "q": request.all("q"), "sent": request.json()}, {"X-More": "yes"}
        )

    with Server(
        [Route("POST", "/thing/{id}", show), Route("DELETE", "/thing", lambda _: Answer(204))], missing=missing
    ) as server:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
        for _ in range(2):
            connection.request("POST", "/thing/a%2Fb?q=1&q=2", json.dumps({"x": 1}))
            answer = connection.getresponse()
            assert (answer.status, answer.headers["X-More"]) == (201, "yes")
            assert json.load(answer) == {"id": "a/b", "q": ["1", "2"], "sent": {"x": 1}}
        connection.request("DELETE", "/thing")
        assert connection.getresponse().read() == b""
        for method, path in (("GET", "/thing/a"), ("POST", "/thing/a/b"), ("POST", "/thing/")):
            connection.request(method, path)
            answer = connection.getresponse()
            assert (answer.status, json.load(answer)) == (404, {"missing": True})
        connection.close()


def test_a_lost_answer_comes_after_the_effect_and_a_refusal_instead_of_it() -> None:
    done: list[str] = []

    def do() -> Answer:
        done.append("done")
        return Answer(200, {})

    queue: list[Fault] = ["lost", "error", "none"]

    def handle(_: Request) -> Answer:
        fault = queue.pop(0)
        return befall(
            fault, Faults().waits, do=do, refuse=lambda fault: Answer(503, {"why": fault}), pause=lambda _: None
        )

    with Server([Route("GET", "/", handle)], missing=missing) as server:
        with pytest.raises(http.client.RemoteDisconnected):
            urllib.request.urlopen(server.url + "/", timeout=10)
        assert done == ["done"]
        with pytest.raises(urllib.request.HTTPError, match="503"):
            urllib.request.urlopen(server.url + "/", timeout=10)
        assert done == ["done"]
        assert urllib.request.urlopen(server.url + "/", timeout=10).status == 200


def test_a_stalled_request_does_not_hold_up_the_end_of_the_server() -> None:
    arrived, ended = threading.Event(), threading.Event()

    def stall(_: Request) -> Answer:
        arrived.set()
        server.pause(3600)
        ended.set()
        return Answer.lost()

    server = Server([Route("GET", "/", stall)], missing=missing)
    server.start()
    connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
    connection.request("GET", "/")
    assert arrived.wait(10)
    server.close()
    assert ended.wait(10)
    connection.close()


def test_the_door_shows_the_ledger_and_changes_the_faults(tmp_path: Path) -> None:
    ledger, faults = Ledger(tmp_path), Faults()
    ledger.create("server", "a", {"x": 1})
    with Server(admin_routes(ledger, faults), missing=missing) as server:

        def ask(method: str, path: str, body: object = None) -> object:
            request = urllib.request.Request(server.url + path, json.dumps(body).encode(), method=method)
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)

        assert ask("PATCH", "/_double/faults", {"lost": 0.5})["lost"] == 0.5  # type: ignore[index]
        assert faults.describe()["lost"] == 0.5
        shown = ask("GET", "/_double/ledger?kind=server")
        assert shown["created"][0]["id"] == "a"  # type: ignore[index]
        assert shown["existing"][0]["data"] == {"x": 1}  # type: ignore[index]
        with pytest.raises(urllib.request.HTTPError, match="400"):
            ask("PATCH", "/_double/faults", {"lost": 2})
