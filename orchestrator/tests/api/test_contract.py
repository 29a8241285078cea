"""The contract's HTTP part is what the daemon really does: its OpenAPI document and the golden exchanges.

After a wanted change: PROVISIONING_UPDATE_CONTRACT=1 pytest orchestrator/tests/api/test_contract.py, and read the diff.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable

from provisioning_orchestrator.api import schemas
from provisioning_orchestrator.api.app import encoded_document, routes
from provisioning_orchestrator.api.problems import CODES
from provisioning_orchestrator.workflow.records import TaskStatus, WorkflowStatus
from provisioning_orchestrator.workflow.taskdoc import BACKOFFS, RETRY_FIELDS, TASK_FIELDS

from .served import Answer, Served, serve

CONTRACT = Path(__file__).parents[3] / "contract"
EXAMPLES = CONTRACT / "examples" / "http-exchanges.json"
UPDATE = bool(os.environ.get("PROVISIONING_UPDATE_CONTRACT"))
ABOUT = (
    "Exchanges with the orchestrator as they go over the wire, on a daemon at 127.0.0.1:9090 with its data in /data. "
    "Each builds on the ones before. Requests carry the token (but for `token: false`) and, with a body, Content-Type "
    "application/json unless they say else; `text` is a body sent as it stands. answer.headers: the ones that matter; "
    "answer.body: JSON, or text where it is none. `until`: asked again until it is so."
)
NOW = 1_795_466_831_123_456


class Frozen:
    """A clock that stands and a chance that counts: the same ids and times in every run."""

    def __init__(self) -> None:
        self.made = 0

    def now(self) -> int:
        return NOW

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Callable[[], None]:
        return lambda: None

    def fraction(self) -> float:
        return 0.5

    def workflow_id(self) -> str:
        self.made += 1
        return f"wf_01m854sfjx97tbb8bptynjzy{self.made:02d}"

    def intent(self) -> str:
        return "6f1f6cf0-8ad1-4b0c-9c4e-2f6b1c0e7a11"


# A submission that is a replay, or refused for its key, has used an id up as well.
FIRST, SECOND, THIRD, FOURTH = (f"wf_01m854sfjx97tbb8bptynjzy{n:02d}" for n in (1, 4, 5, 6))
GRAPH = {
    "name": "two in a row",
    "tasks": [
        {"id": "a", "operation": "demo/ok", "params": {"size": "s"}, "key": "example/wuji/server/a"},
        {"id": "b", "operation": "demo/fail", "needs": ["a"], "timeout_s": 60, "retry": {"attempts_max": 1}},
    ],
}
CALL = {"infra": "wuji", "params": {"note": "o'brien $(id) 🦀"}}
ENDED = {"until": "ended"}
ASKED: list[dict[str, Any]] = [
    {"case": "health needs no token", "method": "GET", "path": "/health", "token": False},
    {"case": "all operations", "method": "GET", "path": "/operations"},
    {
        "case": "one operation on one infra",
        "method": "POST",
        "path": "/workflows/demo/ok",
        "body": CALL,
        "headers": {"Idempotency-Key": "k-1"},
    },
    {
        "case": "the same again, with its key",
        "method": "POST",
        "path": "/workflows/demo/ok",
        "body": CALL,
        "headers": {"Idempotency-Key": "k-1"},
        "status_free": True,
    },
    {
        "case": "its key with another body",
        "method": "POST",
        "path": "/workflows/demo/ok",
        "body": {"infra": "other"},
        "headers": {"Idempotency-Key": "k-1"},
    },
    {"case": "a workflow", "method": "POST", "path": "/workflows", "body": GRAPH},
    {"case": "a workflow that has ended", "method": "GET", "path": f"/workflows/{SECOND}", **ENDED},
    {"case": "its tasks", "method": "GET", "path": f"/workflows/{SECOND}/tasks"},
    {"case": "one task", "method": "GET", "path": f"/workflows/{SECOND}/tasks/a"},
    {"case": "its log", "method": "GET", "path": f"/workflows/{SECOND}/tasks/a/log?offset=0&attempt=1"},
    {"case": "the events", "method": "GET", "path": f"/workflows/{SECOND}/events"},
    {
        "case": "the events as a stream, from where it broke",
        "method": "GET",
        "path": f"/workflows/{SECOND}/events",
        "headers": {"Accept": "text/event-stream", "Last-Event-ID": "6"},
    },
    {"case": "the first page of all workflows", "method": "GET", "path": "/workflows?limit=1"},
    {"case": "failed tasks of all workflows", "method": "GET", "path": "/tasks?status=failed"},
    {
        "case": "a task whose end nobody saw",
        "method": "POST",
        "path": "/workflows/demo/lost",
        "body": {"infra": "wuji", "params": {}},
    },
    {"case": "it is unknown", "method": "GET", "path": f"/workflows/{THIRD}/tasks/root", "until": "unknown"},
    {
        "case": "a person says how it ended",
        "method": "POST",
        "path": f"/workflows/{THIRD}/tasks/root/resolve",
        "body": {"as": "succeeded"},
        "status_free": True,
    },
    {
        "case": "a resolution that is none",
        "method": "POST",
        "path": f"/workflows/{THIRD}/tasks/root/resolve",
        "body": {"as": "done"},
    },
    {"case": "something long", "method": "POST", "path": "/workflows/demo/long", "body": {"infra": "wuji"}},
    {
        "case": "it is cancelled",
        "method": "POST",
        "path": f"/workflows/{FOURTH}/cancel",
        "body": {},
        "status_free": True,
    },
    {"case": "a cancelled workflow", "method": "GET", "path": f"/workflows/{FOURTH}", **ENDED},
    {"case": "what has ended can't be cancelled", "method": "POST", "path": f"/workflows/{FOURTH}/cancel", "body": {}},
    {"case": "without a token", "method": "GET", "path": "/workflows", "token": False},
    {
        "case": "with a wrong token",
        "method": "POST",
        "path": "/workflows/demo/ok",
        "body": CALL,
        "token": False,
        "headers": {"Authorization": "Bearer prv_wrong"},
    },
    {
        "case": "from a web page",
        "method": "POST",
        "path": "/workflows/demo/ok",
        "body": CALL,
        "headers": {"Origin": "http://evil.example"},
    },
    {"case": "for another host", "method": "GET", "path": "/workflows", "headers": {"Host": "evil.example"}},
    {
        "case": "not as JSON",
        "method": "POST",
        "path": "/workflows/demo/ok",
        "body": CALL,
        "headers": {"Content-Type": "text/plain"},
    },
    {"case": "a key twice", "method": "POST", "path": "/workflows/demo/ok", "text": '{"infra": "a", "infra": "b"}'},
    {"case": "no JSON", "method": "POST", "path": "/workflows", "text": "{'name': 1}"},
    {
        "case": "several faults",
        "method": "POST",
        "path": "/workflows",
        "body": {
            "name": "x",
            "tasks": [
                {"id": "a b", "operation": "demo/okk", "paramz": {}},
                {"id": "b", "operation": "demo/ok", "retry": {"backoff": "exponental"}},
            ],
        },
    },
    {
        "case": "a cycle",
        "method": "POST",
        "path": "/workflows",
        "body": {
            "name": "x",
            "tasks": [
                {"id": "a", "operation": "demo/ok", "needs": ["b"]},
                {"id": "b", "operation": "demo/ok", "needs": ["a"]},
            ],
        },
    },
    {"case": "an unknown operation", "method": "POST", "path": "/workflows/demo/okk", "body": {"infra": "wuji"}},
    {"case": "a verb of the API", "method": "POST", "path": "/workflows/servers/cancel", "body": {"infra": "wuji"}},
    {"case": "an unknown workflow", "method": "GET", "path": "/workflows/wf_nope"},
    {"case": "an unknown task", "method": "GET", "path": f"/workflows/{SECOND}/tasks/nope"},
    {"case": "a query that is not accepted", "method": "GET", "path": "/workflows?status=done"},
    {"case": "a method that is not accepted", "method": "DELETE", "path": f"/workflows/{SECOND}"},
]
SHOWN_HEADERS = (
    "allow",
    "content-type",
    "idempotency-replayed",
    "location",
    "retry-after",
    "www-authenticate",
    "x-log-attempt",
)


def ask(api: Served, asked: dict[str, Any]) -> Answer:
    raw = asked["text"].encode() if "text" in asked else None
    body = asked.get("body")
    type = None if body is None and raw is None and asked["method"] == "GET" else "application/json"
    return api.request(
        asked["method"],
        asked["path"],
        body,
        asked.get("headers"),
        authorize=asked.get("token", True),
        raw=raw,
        type=type,
    )


def reached(asked: dict[str, Any], answer: Answer) -> bool:
    match asked.get("until"):
        case "ended":
            return answer.json["ended_at"] is not None
        case "unknown":
            return bool(answer.json["status"] == "unknown")
    return True


def exchanged(api: Served, directory: Path) -> list[dict[str, Any]]:
    """All exchanges, with what differs from run to run put as the document says."""
    found = []
    for asked in ASKED:
        answer = ask(api, asked)
        while not reached(asked, answer):
            answer = ask(api, asked)
        text = answer.raw.decode("utf-8", "replace").replace(f":{api.port}", ":9090").replace(str(directory), "/data")
        is_json = "json" in answer.headers["content-type"]
        body: Any = json.loads(text) if is_json else text
        if asked["path"] == "/health":
            body["pid"] = 4711
        if asked.get("status_free"):
            body["status"] = "running"  # or any other: it depends on how far it got meanwhile
        request = {name: value for name, value in asked.items() if name not in ("case", "until", "status_free")}
        shown = {name: answer.headers[name] for name in SHOWN_HEADERS if name in answer.headers}
        until = {"until": asked["until"]} if "until" in asked else {}
        found.append(
            {
                "case": asked["case"],
                "request": request,
                **until,
                "answer": {"status": answer.status, "headers": shown, "body": body},
            }
        )
    return found


def test_the_golden_exchanges_are_what_happens(tmp_path: Path) -> None:
    frozen = Frozen()
    with serve(tmp_path, clock=frozen, chance=frozen) as api:
        found = exchanged(api, tmp_path)
    if UPDATE:
        document = {"about": ABOUT, "exchanges": found}
        EXAMPLES.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    golden = json.loads(EXAMPLES.read_text(encoding="utf-8"))["exchanges"]
    for one, other in zip(found, golden, strict=True):
        assert one == other


def test_the_committed_document_is_the_generated_one() -> None:
    generated = encoded_document("0.1.0") + b"\n"
    if UPDATE:
        (CONTRACT / "http.json").write_bytes(generated)
    assert (CONTRACT / "http.json").read_bytes() == generated


def test_the_golden_exchanges_fit_the_document() -> None:
    document = json.loads((CONTRACT / "http.json").read_text(encoding="utf-8"))
    found = {(route.method, route.pattern): route for route in routes()}
    for exchange in json.loads(EXAMPLES.read_text(encoding="utf-8"))["exchanges"]:
        path = exchange["request"]["path"].partition("?")[0]
        method = exchange["request"]["method"]
        route = next((r for (other, p), r in found.items() if other == method and p.fullmatch(path)), None)
        if route is None:
            assert exchange["answer"]["status"] in (404, 405)
            continue
        described = document["paths"][route.path][route.method.lower()]["responses"]
        answer = exchange["answer"]
        content = described[str(answer["status"])]["content"]
        type = answer["headers"]["content-type"].partition(";")[0]
        assert type in content, exchange["case"]
        if "json" in type:
            schema = {**content[type]["schema"], "components": document["components"]}
            jsonschema.validate(answer["body"], schema)


def test_the_shapes_in_the_document_are_the_ones_that_are_read() -> None:
    assert tuple(f.encode_name for f in msgspec.structs.fields(schemas.Task)) == TASK_FIELDS
    assert tuple(f.encode_name for f in msgspec.structs.fields(schemas.Retry)) == RETRY_FIELDS
    retry = json.loads(encoded_document("0.1.0"))["components"]["schemas"]["Retry"]["properties"]
    assert sorted(retry["backoff"]["enum"]) == sorted(BACKOFFS)
    for path, statuses in (("/workflows", WorkflowStatus), ("/tasks", TaskStatus)):
        (route,) = [one for one in routes() if (one.method, one.path) == ("GET", path)]
        (status,) = [one for one in route.parameters if one.name == "status"]
        assert sorted(status.schema["enum"]) == sorted(one.value for one in statuses)


def test_every_code_of_a_problem_is_in_the_document() -> None:
    text = (CONTRACT / "http.json").read_text(encoding="utf-8")
    # An address that takes a method has no place to say what it answers to others.
    assert [code for code in CODES if f"`{code}`" not in text] == ["method_not_allowed"]


def test_the_document_is_served(shared: Served) -> None:
    assert shared.get("/openapi.json").raw + b"\n" == (CONTRACT / "http.json").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("mode", [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE])
def test_generated_requests_never_cause_a_500_and_every_refusal_is_a_problem(
    api: Served, mode: schemathesis.GenerationMode
) -> None:
    workflow = api.submit("demo/ok", "demo/lost")
    schema = schemathesis.openapi.from_dict(json.loads(encoded_document("0.1.0")))
    answered: Counter[int] = Counter()

    def send(case: Any) -> None:
        parts = dict(case.path_parameters or {})
        if "workflow" in parts and len(answered) % 2:
            case.path_parameters = parts | {"workflow": workflow}
        url, token = f"http://127.0.0.1:{api.port}", {"Authorization": f"Bearer {api.token}"}
        response = case.call(base_url=url, headers=token, timeout=20)
        answered[response.status_code] += 1
        assert response.status_code < 500, (case, response.text)
        if response.status_code >= 300:
            assert response.headers["content-type"] == ["application/problem+json"]
            assert response.json()["status"] == response.status_code

    for offered in schema.get_all_operations():
        operation: Any = offered.ok()  # type: ignore[union-attr]
        if operation.path.endswith(("/events", "/log")):
            continue  # streams: what `follow=1` would ask for does not end
        try:
            strategy = operation.as_strategy(generation_mode=mode)
            settings(max_examples=30, deadline=None, database=None, suppress_health_check=list(HealthCheck))(
                given(case=strategy)(send)
            )()
        except Unsatisfiable:
            continue  # nothing about it can be wrong
    assert sum(answered.values()) > 100
    assert len(answered) > 2
