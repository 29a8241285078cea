"""The application: the table of routes, and the only place where errors become status codes."""

from __future__ import annotations

import logging
from functools import cache

from ..ports import (
    Conflict,
    IdempotencyMismatch,
    NotFound,
    NotPossibleNow,
    OrchestratorError,
    StoreFailed,
    StoreFull,
    UnknownOperation,
    UnreadableRecord,
)
from . import questions, schemas, streams, wishes
from .backend import Backend
from .exchange import ClientGone, Exchange, Receive, Scope, Send
from .gate import Gate
from .problems import Refused
from .routes import Parameter, Route, Router
from .scope import admitted

log = logging.getLogger(__name__)

LIMIT = Parameter("limit", "items on a page", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100})
CURSOR = Parameter("cursor", "`next_cursor` of the page before", {"type": "string"})
WORKFLOW_STATUS = Parameter("status", "only these", {"enum": ["queued", "running", "succeeded", "failed", "cancelled"]})
PARENT = Parameter("parent", "only those that tasks of this workflow submitted", {"type": "string"})
TASK_STATUS = Parameter(
    "status",
    "only these",
    {"enum": ["blocked", "ready", "running", "waiting", "succeeded", "failed", "cancelled", "skipped", "unknown"]},
)
AFTER = Parameter("after", "only events with a larger sequence", {"type": "integer", "minimum": 0})
EVENTS_LIMIT = Parameter("limit", LIMIT.description, {**LIMIT.schema, "default": 1000})
LAST_EVENT_ID = Parameter(
    "Last-Event-ID", "for a stream: as `after`, and stronger", {"type": "integer", "minimum": 0}, "header"
)
ATTEMPT = Parameter("attempt", "its number; the last one if absent", {"type": "integer", "minimum": 1})
FOLLOW = Parameter("follow", "1: go on until the attempt has ended", {"enum": [0, 1], "default": 0})
OFFSET = Parameter("offset", "leave out so many bytes", {"type": "integer", "minimum": 0, "default": 0})
IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    "the same key with the same body gives the same workflow, whenever and however often it is sent",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~][ -~]*$"},
    "header",
)

_WORKFLOW = "/workflows/{any_workflow}"
_TASK = _WORKFLOW + "/tasks/{task}"
_NO_TASK = ("unknown_workflow", "unknown_task")
_SUBMISSION = (
    "bad_json",
    "unknown_operation",
    "not_possible_now",
    "too_large",
    "invalid",
    "idempotency_mismatch",
    "store_full",
)


@cache
def routes() -> tuple[Route, ...]:
    return (
        Route("GET", "/health", questions.show_health, "Is it there, and does it serve", gives=schemas.Health),
        Route("GET", "/openapi.json", show_document, "This document"),
        Route("GET", "/problems/{code}", questions.show_problem, "What a problem's type means"),
        Route(
            "GET",
            "/operations",
            questions.list_operations,
            "All operations of the libraries",
            gives=schemas.Operations,
            scope="all",
        ),
        Route(
            "POST",
            "/workflows",
            wishes.submit_workflow,
            "Submit a workflow",
            202,
            schemas.Submission,
            schemas.Accepted,
            parameters=(IDEMPOTENCY_KEY,),
            refuses=_SUBMISSION,
            scope="all",
        ),
        Route(
            "GET",
            "/workflows",
            questions.list_workflows,
            "All workflows, newest first",
            gives=schemas.Workflows,
            parameters=(WORKFLOW_STATUS, PARENT, LIMIT, CURSOR),
        ),
        Route(
            "GET",
            _WORKFLOW,
            questions.show_workflow,
            "One workflow",
            gives=schemas.Workflow,
            refuses=("unknown_workflow",),
            scope="children",
        ),
        Route(
            "GET",
            _WORKFLOW + "/tasks",
            questions.list_tasks,
            "The tasks of a workflow",
            gives=schemas.Tasks,
            parameters=(TASK_STATUS, LIMIT, CURSOR),
            refuses=("unknown_workflow",),
            scope="children",
        ),
        Route(
            "GET",
            _WORKFLOW + "/events",
            streams.show_events,
            "What happened: a list, or with `Accept: text/event-stream` a stream",
            gives=schemas.Events,
            parameters=(AFTER, EVENTS_LIMIT, CURSOR, LAST_EVENT_ID),
            refuses=("unknown_workflow",),
            scope="children",
        ),
        Route(
            "GET",
            _TASK,
            questions.show_task,
            "One task",
            gives=schemas.TaskState,
            refuses=_NO_TASK,
            scope="children",
        ),
        Route(
            "GET",
            _TASK + "/log",
            streams.show_log,
            "The output of an attempt, byte for byte",
            gives_type="text/plain",
            parameters=(ATTEMPT, FOLLOW, OFFSET),
            refuses=_NO_TASK,
            scope="children",
        ),
        Route(
            "POST",
            "/workflows/{workflow}/cancel",
            wishes.cancel_workflow,
            "End a workflow",
            202,
            schemas.Nothing,
            schemas.Accepted,
            refuses=("bad_json", "unknown_workflow", "not_possible_now", "invalid"),
            scope="children",
        ),
        Route(
            "POST",
            "/workflows/{workflow}/tasks/{task}/resolve",
            wishes.resolve_task,
            "Say how a task of unknown end ended",
            202,
            schemas.Resolution,
            schemas.Accepted,
            refuses=("bad_json", *_NO_TASK, "not_possible_now", "invalid"),
        ),
        Route(
            "POST",
            "/workflows/{resource}/{action}",
            wishes.call_operation,
            "Run one operation on one infra",
            202,
            schemas.OperationCall,
            schemas.Accepted,
            parameters=(IDEMPOTENCY_KEY,),
            refuses=_SUBMISSION,
            scope="all",
        ),
        Route(
            "GET",
            "/tasks",
            questions.list_tasks,
            "The tasks of all workflows",
            gives=schemas.Tasks,
            parameters=(TASK_STATUS, LIMIT, CURSOR),
        ),
    )


async def show_document(exchange: Exchange, backend: Backend) -> None:
    exchange.query()
    await exchange.reply(200, encoded_document(backend.version))


@cache
def encoded_document(version: str) -> bytes:
    """The OpenAPI document; made when it is first asked for."""
    from . import openapi

    return openapi.encoded_document(routes(), version)


class App:
    """ASGI. To be served behind `Gate` only: see `guarded`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._router = Router(routes())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send)
        try:
            try:
                route, exchange.parts = self._router.find(exchange.method, exchange.path)
                if "attempt" in scope:
                    exchange.submitter = await admitted(scope["attempt"], route, exchange.parts, self._backend)
                await route.handler(exchange, self._backend)
            except OrchestratorError as error:
                raise _refusal(error) from error
        except Refused as refused:
            if not exchange.answered:
                await exchange.refuse(refused)
        except ClientGone:
            pass
        except Exception:
            log.exception("a bug answering %s %s", exchange.method, exchange.path)
            if exchange.answered:
                raise  # the head is gone: all that is left is to cut the connection off
            await exchange.refuse(Refused("internal", "an unexpected error; it is in the log of the orchestrator"))
        finally:
            exchange.give_back(self._backend.room)


def guarded(backend: Backend, port: int) -> Gate:
    return Gate(App(backend), port, backend.token, backend.limits.backoff_s, backend.tasks)


def _refusal(error: Exception) -> Refused:
    """What an error of the floors below means to a client. Others are bugs, and raised again."""
    text = str(error)
    match error:
        case UnknownOperation():
            return Refused("unknown_operation", text)
        case NotFound():
            return Refused("unknown_workflow" if text.startswith("no workflow") else "unknown_task", text)
        case NotPossibleNow() | Conflict():
            return Refused("not_possible_now", text)
        case IdempotencyMismatch():
            return Refused("idempotency_mismatch", text)
        case StoreFull():
            return Refused("store_full", text, headers=[(b"retry-after", b"5")])
        case StoreFailed():
            return Refused("store_failed", text, headers=[(b"retry-after", b"5")])
        case UnreadableRecord():
            return Refused("internal", text)
    raise error
