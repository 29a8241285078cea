"""The golden exchanges of the contract as the client reads them: served as written, asked for by its own methods."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from provisioning_core.client import Orchestrator
from provisioning_core.client.feed import Ended, Record
from provisioning_core.errors import ProvisioningError
from provisioning_core.render.picture import Picture
from provisioning_core.settings import Settings
from provisioning_core.testing.replay import Replay

EXCHANGES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[3] / "contract" / "examples" / "http-exchanges.json").read_text("utf-8")
)["exchanges"]
EXIT_CODES = {400: 2, 401: 4, 403: 4, 404: 3, 405: 2, 409: 5, 413: 2, 415: 2, 421: 2, 422: 2}
REFUSED = [exchange for exchange in EXCHANGES if exchange["answer"]["status"] >= 400]


@pytest.fixture
def replay() -> Iterator[Replay]:
    with Replay(token=None) as replay:
        yield replay


@pytest.fixture
def orchestrator(replay: Replay, tmp_path: Path) -> Orchestrator:
    return Orchestrator(Settings({}, {"PROVISIONING_URL": replay.url, "HOME": str(tmp_path)}, tmp_path))


def _serve(replay: Replay, exchange: dict[str, Any]) -> None:
    request, answer = exchange["request"], exchange["answer"]
    body = answer["body"].encode() if isinstance(answer["body"], str) else answer["body"]
    path = urlsplit(request["path"]).path
    replay.refuse_once(request["method"], path, (answer["status"], body, answer.get("headers", {})))


def _case(name: str) -> dict[str, Any]:
    return next(exchange for exchange in EXCHANGES if exchange["case"] == name)


@pytest.mark.parametrize("exchange", REFUSED, ids=[exchange["case"] for exchange in REFUSED])
def test_each_refusal_has_its_words_and_its_exit_code(
    exchange: dict[str, Any], replay: Replay, orchestrator: Orchestrator
) -> None:
    _serve_as_get(replay, exchange)
    with pytest.raises(ProvisioningError) as caught:
        orchestrator.connection.call("GET", "/refused")
    problem = exchange["answer"]["body"]
    expected = 5 if problem["code"] == "idempotency_mismatch" else EXIT_CODES[problem["status"]]
    assert caught.value.exit_code == expected
    assert caught.value.code == problem["code"]
    assert caught.value.message.startswith(problem["detail"])
    for fault in problem.get("errors", []):
        assert fault["pointer"] in caught.value.message
        assert fault["detail"] in caught.value.message


def _serve_as_get(replay: Replay, exchange: dict[str, Any]) -> None:
    answer = exchange["answer"]
    replay.refuse_once("GET", "/refused", (answer["status"], answer["body"], answer["headers"]))


def test_health_and_workflows_are_read(replay: Replay, orchestrator: Orchestrator) -> None:
    _serve(replay, _case("health needs no token"))
    assert orchestrator.health() == _case("health needs no token")["answer"]["body"]
    ended = _case("a workflow that has ended")
    _serve(replay, ended)
    id_ = ended["answer"]["body"]["workflow_id"]
    assert orchestrator.workflow(id_)["status"] == "failed"
    tasks = _case("its tasks")
    _serve(replay, tasks)
    assert [task["id"] for task in orchestrator.tasks(id_)] == ["a", "b"]


def test_a_submission_is_sent_and_answered_as_written(replay: Replay, orchestrator: Orchestrator) -> None:
    exchange = _case("one operation on one infra")
    _serve(replay, exchange)
    _, _, resource, action = exchange["request"]["path"].split("/")
    body, key = exchange["request"]["body"], exchange["request"]["headers"]["Idempotency-Key"]
    id_ = orchestrator.submit(resource, action, body["infra"], body["params"], key)
    assert id_ == exchange["answer"]["body"]["workflow_id"]
    asked = replay.asked[-1]
    assert (asked.path, asked.body, asked.headers["Idempotency-Key"]) == (exchange["request"]["path"], body, key)


def test_a_log_is_read_byte_for_byte(replay: Replay, orchestrator: Orchestrator) -> None:
    exchange = _case("its log")
    _serve(replay, exchange)
    parts = urlsplit(exchange["request"]["path"])
    _, _, workflow, _, task, _ = parts.path.split("/")
    attempt = int(parse_qs(parts.query)["attempt"][0])
    log = b"".join(orchestrator.log_chunks(workflow, task, attempt=attempt))
    assert log == exchange["answer"]["body"].encode()


def test_the_stream_and_the_list_of_events_draw_the_same_picture(replay: Replay, orchestrator: Orchestrator) -> None:
    listed = _case("the events")
    id_ = listed["request"]["path"].split("/")[2]
    _serve(replay, listed)
    records = orchestrator.events(id_)
    picture = Picture(id_)
    for record in records:
        picture.apply(record["type"], record["task"], record["data"], record["at"], record["sequence"])
    assert picture.status == "failed"
    assert {line.id: line.status for line in picture.tasks.values()} == {"a": "succeeded", "b": "failed"}
    stream = _case("the events as a stream, from where it broke")
    _serve(replay, stream)
    after = int(stream["request"]["headers"]["Last-Event-ID"])
    items = list(orchestrator.feed(id_, after=after))
    assert [item.raw for item in items if isinstance(item, Record)] == records[after:]
    assert isinstance(items[-1], Ended)
    assert replay.asked[-1].headers["Last-Event-ID"] == str(after)
