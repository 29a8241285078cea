"""Handlers of what is only read: at once, from what is committed."""

from __future__ import annotations

import os
from enum import StrEnum

import msgspec

from ..ports import BadCursor, Engine, OrchestratorError, TaskView
from ..workflow.records import TaskStatus, WorkflowStatus
from . import schemas, views
from .backend import Backend
from .exchange import Exchange
from .problems import CODES, Refused, catalogue

LIMIT_DEFAULT = 100
LIMIT_MAX = 1000
SEQUENCE_DIGITS_MAX = 18
_encode = msgspec.json.Encoder().encode


async def show_health(exchange: Exchange, backend: Backend) -> None:
    health = schemas.Health(backend.phase, backend.version, os.getpid(), backend.detail)
    await exchange.reply(200, _encode(health))


async def list_workflows(exchange: Exchange, backend: Backend) -> None:
    status, cursor, limit, parent = _page(exchange, WorkflowStatus, "parent")
    try:
        page = (await backend.ready()).records.workflows(status=status, cursor=cursor, limit=limit, parent=parent)
    except BadCursor as error:
        raise Refused("bad_query", str(error)) from None
    items = [views.workflow(view) for view in page.items]
    await exchange.reply(200, _encode(schemas.Workflows(items, page.next_cursor)))


async def show_workflow(exchange: Exchange, backend: Backend) -> None:
    exchange.query()
    view = (await backend.ready()).records.workflow(exchange.parts["any_workflow"])
    await exchange.reply(200, _encode(views.workflow(view)))


async def list_tasks(exchange: Exchange, backend: Backend) -> None:
    """Of one workflow, or of all."""
    status, cursor, limit, _ = _page(exchange, TaskStatus)
    workflow = exchange.parts.get("any_workflow")
    services = await backend.ready()
    try:
        page = services.records.tasks(workflow=workflow, status=status, cursor=cursor, limit=limit)
    except BadCursor as error:
        raise Refused("bad_query", str(error)) from None
    items = [views.task(view, _waits_for(services.engine, view)) for view in page.items]
    await exchange.reply(200, _encode(schemas.Tasks(items, page.next_cursor)))


async def show_task(exchange: Exchange, backend: Backend) -> None:
    exchange.query()
    services = await backend.ready()
    view = services.records.task(exchange.parts["any_workflow"], exchange.parts["task"])
    await exchange.reply(200, _encode(views.task(view, _waits_for(services.engine, view))))


async def list_operations(exchange: Exchange, backend: Backend) -> None:
    exchange.query()
    library = (await backend.ready()).library
    items = []
    for name in library.operations():
        try:
            known = library.describe(name)
        except (OrchestratorError, ValueError) as error:
            items.append(schemas.Operation(name, False, None, None, str(error)))
        else:
            items.append(schemas.Operation(name, known.repeatable, known.timeout_s, known.params_schema))
    await exchange.reply(200, _encode(schemas.Operations(items, None)))


async def show_problem(exchange: Exchange, backend: Backend) -> None:
    code = exchange.parts["code"]
    if code not in CODES:
        raise Refused("not_found", f"no problem has the code {code!r}")
    await exchange.reply(200, _encode(catalogue(code)))


def _waits_for(engine: Engine, view: TaskView) -> str | None:
    if view.state.status not in (TaskStatus.READY, TaskStatus.RUNNING):
        return None
    return engine.waits_for(view.workflow, view.task.seq)


def whole_number(name: str, text: str | None, default: int, low: int, high: int) -> int:
    """A query parameter's value. Raises Refused outside low to high."""
    if text is None:
        return default
    if text.isascii() and text.isdigit() and len(text) <= SEQUENCE_DIGITS_MAX and low <= int(text) <= high:
        return int(text)
    raise Refused("bad_query", f"{name}={text[:40]!r} is not accepted; a whole number from {low} to {high} is")


def _page(exchange: Exchange, statuses: type[StrEnum], *more: str) -> tuple[str | None, str | None, int, str | None]:
    """status, cursor, limit, parent."""
    query = exchange.query("status", "cursor", "limit", *more)
    status = query.get("status")
    if status is not None and status not in [one.value for one in statuses]:
        accepted = ", ".join(one.value for one in statuses)
        raise Refused("bad_query", f"status={status[:40]!r} is not accepted; one of {accepted} is")
    limit = whole_number("limit", query.get("limit"), LIMIT_DEFAULT, 1, LIMIT_MAX)
    return status, query.get("cursor") or None, limit, query.get("parent") or None
