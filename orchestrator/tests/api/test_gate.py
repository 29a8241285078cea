"""Nothing gets past the gate: every route of the application, by every way that must not work."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from provisioning_orchestrator.api.app import routes
from provisioning_orchestrator.api.routes import Route

from .served import Served, serve

HEADERS = {
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
}


def address(route: Route, workflow: str) -> str:
    """An address of the route; where it can be, one that would do something."""
    known = {"workflow": workflow, "any_workflow": workflow, "task": "t0", "resource": "demo", "action": "ok"}
    return re.sub(r"\{(\w+)\}", lambda part: known.get(part[1], "not_found"), route.template)


def body(route: Route, workflow: str) -> object:
    if route.template == "/workflows":
        return {"name": "x", "tasks": [{"id": "a", "operation": "demo/ok"}]}
    if route.template.endswith("/{action}"):
        return {"infra": "wuji", "params": {}}
    return {"as": "failed"} if route.template.endswith("/resolve") else {}


WAYS: dict[str, tuple[dict[str, str], bool, str | None, int, str]] = {
    # headers, with the token, content type, status, code
    "no token": ({}, False, "application/json", 401, "unauthorized"),
    "a wrong token": ({"Authorization": "Bearer prv_wrong"}, False, "application/json", 401, "unauthorized"),
    "another scheme": ({"Authorization": "Basic cHJ2Xw=="}, False, "application/json", 401, "unauthorized"),
    "a bad host": ({"Host": "evil.example"}, True, "application/json", 421, "foreign_host"),
    "our host on another port": ({"Host": "localhost:1"}, True, "application/json", 421, "foreign_host"),
    "a rebound name": ({"Host": "127.0.0.1.evil.example:9090"}, True, "application/json", 421, "foreign_host"),
    "a foreign origin": ({"Origin": "http://evil.example"}, True, "application/json", 403, "foreign_origin"),
    "a null origin": ({"Origin": "null"}, True, "application/json", 403, "foreign_origin"),
    "another site": ({"Sec-Fetch-Site": "cross-site"}, True, "application/json", 403, "foreign_origin"),
    "another port of ours": ({"Sec-Fetch-Site": "same-site"}, True, "application/json", 403, "foreign_origin"),
    "text/plain": ({}, True, "text/plain", 415, "json_expected"),
    "a form": ({}, True, "application/x-www-form-urlencoded", 415, "json_expected"),
    "no type": ({}, True, None, 415, "json_expected"),
    "a type that only begins so": ({}, True, "application/json-patch+json", 415, "json_expected"),
    "another charset": ({}, True, "application/json; charset=utf-16", 415, "json_expected"),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_route_lets_it_pass(shared: Served, way: str) -> None:
    workflow = shared.submit("demo/lost")
    shared.until(f"/workflows/{workflow}/tasks/t0", lambda task: task["status"] == "unknown")
    headers, authorize, type, status, code = WAYS[way]
    before = shared.state()
    tried = 0
    everywhere = [(route.method, address(route, workflow), body(route, workflow)) for route in routes()]
    everywhere += [("POST", "/nowhere", {}), ("DELETE", "/workflows", {}), ("GET", "/nowhere/health", None)]
    for method, path, content in everywhere:
        if code == "json_expected" and method == "GET":
            continue
        if code == "unauthorized" and (method, path) == ("GET", "/health"):
            continue
        tried += 1
        answer = shared.request(method, path, content, headers, authorize=authorize, type=type)
        assert (answer.status, answer.code) == (status, code), (way, method, path)
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert tried >= 4
    assert shared.state() == before


def test_what_has_no_body_needs_no_content_type(shared: Served) -> None:
    workflow = shared.submit("demo/lost")
    shared.until(f"/workflows/{workflow}/tasks/t0", lambda task: task["status"] == "unknown")
    assert shared.request("POST", f"/workflows/{workflow}/cancel", type=None).status == 202
    assert shared.request("POST", "/workflows", type=None).status == 400


def test_every_route_answers_with_the_standing_headers(shared: Served) -> None:
    workflow = shared.submit("demo/ok")
    shared.ended(workflow)
    for route in routes():
        answer = shared.request(route.method, address(route, workflow), body(route, workflow))
        assert answer.status < 500, route
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS, route
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "path", ["/nowhere/health", "/health/", "/workflows/x-health", "/health%2f", "/HEALTH", "//health"]
)
def test_only_health_itself_is_open(shared: Served, path: str) -> None:
    assert shared.get("/health", authorize=False).status == 200
    assert shared.get(path, authorize=False).code == "unauthorized"
    assert shared.request("POST", "/health", authorize=False).code == "unauthorized"


def test_a_request_of_this_machine_passes(shared: Served) -> None:
    for host in ("localhost", "127.0.0.1", "[::1]", "LOCALHOST"):
        headers = {"Host": f"{host}:{shared.port}", "Origin": f"http://localhost:{shared.port}"}
        assert shared.get("/workflows", headers={**headers, "Sec-Fetch-Site": "same-origin"}).status == 200


def test_the_401_says_how_to_send_the_token_but_not_the_token(shared: Served) -> None:
    answer = shared.get("/workflows/wf_1/tasks", authorize=False)
    detail = answer.json["detail"]
    file = shared.backend.token.file if shared.backend.token else Path()
    url = f"http://127.0.0.1:{shared.port}/workflows/wf_1/tasks"
    assert f'curl -H "Authorization: Bearer $(cat {file})" {url}' in detail
    assert f"http get --headers {{Authorization: $\"Bearer (open --raw '{file}' | str trim)\"}} {url}" in detail
    assert shared.token not in answer.raw.decode()
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_the_401_repeats_no_path_that_a_shell_would_run(shared: Served) -> None:
    answer = shared.get("/x%27%3Btouch%20/tmp/pwned%3B%27", authorize=False)
    assert "pwned" not in answer.json["detail"]


def test_without_a_token_every_other_check_stays(tmp_path: Path) -> None:
    with serve(tmp_path, auth=False) as api:
        assert api.get("/workflows", authorize=False).status == 200
        assert not (tmp_path / "token").exists()
        before = api.state()
        for headers, type, code in (
            ({"Host": "evil.example"}, "application/json", "foreign_host"),
            ({"Origin": "null"}, "application/json", "foreign_origin"),
            ({}, "text/plain", "json_expected"),
        ):
            answer = api.post("/workflows/demo/ok", {"infra": "x"}, headers=headers, type=type, authorize=False)
            assert answer.code == code
        assert api.state() == before


def test_two_hosts_or_none_are_refused(shared: Served) -> None:
    own = f"Host: 127.0.0.1:{shared.port}\r\n"
    for lines in (own + "Host: evil.example\r\n", own + own, ""):
        with socket.create_connection(("127.0.0.1", shared.port), timeout=10) as connection:
            connection.sendall(f"GET /health HTTP/1.1\r\n{lines}\r\n".encode())
            assert connection.recv(100).split()[1] in (b"421", b"400")


def test_a_token_counts_only_in_its_header(shared: Served) -> None:
    assert shared.get(f"/workflows?token={shared.token}", authorize=False).code == "unauthorized"
    assert shared.get("/workflows", headers={"Cookie": f"token={shared.token}"}, authorize=False).code == "unauthorized"
