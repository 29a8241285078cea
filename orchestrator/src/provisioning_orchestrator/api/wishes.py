"""Handlers of what changes something: submit, cancel, resolve. Their answers are sent after the commit."""

from __future__ import annotations

import re

import msgspec

from ..ports import Idempotency
from .backend import Backend
from .exchange import Exchange
from .problems import Refused
from .schemas import Accepted
from .submissions import (
    Asked,
    beside_the_loop,
    read_call,
    read_nothing,
    read_resolution,
    read_submission,
)

_KEY = re.compile(rb"[\x21-\x7e][\x20-\x7e]{0,254}")
_encode = msgspec.json.Encoder().encode


async def submit_workflow(exchange: Exchange, backend: Backend) -> None:
    library, limits = (await backend.ready()).library, backend.limits
    key = _idempotency_key(exchange)
    exchange.query()
    body = await exchange.body(limits.body_bytes_max, backend.room)
    asked = await beside_the_loop(lambda: read_submission(body, library, limits), len(body), limits)
    await _submit(exchange, backend, asked, key)


async def call_operation(exchange: Exchange, backend: Backend) -> None:
    library, limits = (await backend.ready()).library, backend.limits
    resource, action = exchange.parts["resource"], exchange.parts["action"]
    key = _idempotency_key(exchange)
    exchange.query()
    body = await exchange.body(limits.body_bytes_max, backend.room)
    asked = await beside_the_loop(lambda: read_call(resource, action, body, library, limits), len(body), limits)
    await _submit(exchange, backend, asked, key)


async def cancel_workflow(exchange: Exchange, backend: Backend) -> None:
    exchange.query()
    read_nothing(await exchange.body(4096, backend.room), backend.limits)
    services, id = await backend.ready(), exchange.parts["workflow"]
    await services.engine.cancel(id)
    await _accepted(exchange, id, services.records.workflow(id).row.status.value)


async def resolve_task(exchange: Exchange, backend: Backend) -> None:
    exchange.query()
    word = read_resolution(await exchange.body(4096, backend.room), backend.limits)
    services, id = await backend.ready(), exchange.parts["workflow"]
    await services.engine.resolve(id, exchange.parts["task"], word)
    await _accepted(exchange, id, services.records.workflow(id).row.status.value)


async def _submit(exchange: Exchange, backend: Backend, asked: Asked, key: str | None) -> None:
    services = backend.services  # again: the daemon may have begun to stop while the body came in
    idempotency = None
    route, parent = f"{exchange.method} {exchange.path}", None
    if exchange.submitter is not None:
        # A repeated attempt has the same intent: it finds the child that the first one submitted.
        parent, intent = exchange.submitter.parent, exchange.submitter.intent
        idempotency = Idempotency("task", route, f"{intent}/{key or asked.digest}", asked.digest)
    elif key is not None:
        token = backend.token.hash if backend.token else "none"
        idempotency = Idempotency(token, route, key, asked.digest)
    id, replayed = await services.engine.submit(asked.name, asked.tasks, idempotency, parent)
    status = services.records.workflow(id).row.status.value if replayed else "queued"
    await _accepted(exchange, id, status, [(b"idempotency-replayed", b"true")] if replayed else [])


async def _accepted(exchange: Exchange, id: str, status: str, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    location = (b"location", f"/workflows/{id}".encode())
    await exchange.reply(202, _encode(Accepted(id, status)), [location, *(headers or [])])


def _idempotency_key(exchange: Exchange) -> str | None:
    key = exchange.header(b"idempotency-key")
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise Refused("bad_header", "the Idempotency-Key is not 1 to 255 printable ASCII characters")
    return key.decode("ascii")
