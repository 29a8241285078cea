"""The OpenAPI 3.1 document, made from the table of routes and the shapes of the bodies."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from .problems import CODES, Problem
from .routes import PARTS, Parameter, Route
from .schemas import NAME_PATTERN, Nothing, Submission, Task

ANYWHERE = (
    "bad_http",
    "bad_header",
    "unauthorized",
    "foreign_origin",
    "out_of_scope",
    "foreign_host",
    "head_too_large",
    "internal",
)
BEFORE_READY = ("starting", "stopping", "too_busy", "store_failed")
CHANGES = ("too_slow", "too_large", "json_expected")
EXPLANATIONS = {
    "workflow": "the id of a workflow; begins with wf_",
    "task": "the id of a task in its workflow",
    "resource": "what is acted upon, e.g. servers; the verbs of the API are reserved",
    "action": "what is done, e.g. create; the verbs of the API are reserved",
    "code": "the last part of a problem's type",
}


def encoded_document(routes: Sequence[Route], version: str) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document(routes, version)), indent=1)


def document(routes: Sequence[Route], version: str) -> dict[str, Any]:
    shapes = {shape for route in routes for shape in (route.takes, route.gives) if shape is not None} | {Problem, Task}
    ordered = sorted(shapes, key=lambda shape: str(shape.__name__))
    _, components = msgspec.json.schema_components(ordered, ref_template="#/components/schemas/{name}")
    components[Submission.__name__]["properties"]["tasks"] = {
        "type": "array",
        "items": _reference(Task),
        "minItems": 1,
    }
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "provisioning-orchestrator",
            "version": version,
            "description": "Submit workflows and watch them. Times are RFC 3339 in UTC; errors are RFC 9457.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://127.0.0.1:9090"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": dict(sorted(components.items())),
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": route.handler.__name__.strip("_") + ("_of_all" if route.path == "/tasks" else ""),
        "summary": route.summary,
        "parameters": [_part(name) for name in re.findall(r"\{(\w+)\}", route.template)]
        + [_parameter(parameter) for parameter in route.parameters],
        "responses": {str(route.status): _answer(route), **_refusals(route)},
    }
    if route.takes is not None:
        content = {"application/json": {"schema": _reference(route.takes)}}
        described["requestBody"] = {"required": route.takes is not Nothing, "content": content}
    if route.path == "/health":
        described["security"] = []
    return described


def _part(name: str) -> dict[str, Any]:
    known = "workflow" if name == "any_workflow" else name
    pattern = NAME_PATTERN if name in ("resource", "action") else PARTS[known]
    schema = {"type": "string", "pattern": f"^{pattern}$"}
    return {"name": known, "in": "path", "required": True, "description": EXPLANATIONS[known], "schema": schema}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.description,
        "schema": parameter.schema,
    }


def _answer(route: Route) -> dict[str, Any]:
    described: dict[str, Any] = {"description": "accepted: it is durable" if route.status == 202 else "the answer"}
    schema: dict[str, Any] = _reference(route.gives) if route.gives else {}
    described["content"] = {route.gives_type: {"schema": schema}}
    if route.path.endswith("/events"):
        described["content"]["text/event-stream"] = {"schema": {"type": "string"}}
    if route.status == 202:
        described["headers"] = {"Location": {"schema": {"type": "string"}, "description": "the workflow's address"}}
    return described


def _refusals(route: Route) -> dict[str, Any]:
    codes = {"bad_query", *ANYWHERE, *route.refuses}
    if route.path not in ("/health", "/openapi.json") and not route.path.startswith("/problems"):
        codes |= set(BEFORE_READY)
    if "{" in route.path:
        codes.add("not_found")
    if route.method == "POST":
        codes |= set(CHANGES)
    statuses: dict[str, list[str]] = {}
    for code in CODES:
        if code in codes:
            statuses.setdefault(str(CODES[code].status), []).append(code)
    content = {"application/problem+json": {"schema": _reference(Problem)}}
    return {
        status: {"description": "; ".join(f"`{code}`: {CODES[code].title}" for code in found), "content": content}
        for status, found in sorted(statuses.items())
    }


def _reference(shape: Any) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{shape.__name__}"}
