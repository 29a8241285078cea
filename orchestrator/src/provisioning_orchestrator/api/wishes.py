"""Handlers of what changes something: submit, cancel, resolve. Their answers are sent after the commit."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from ..ports import Idempotency, NotPossibleNow
from .backend import Backend
from .exchange import Exchange
from .problems import Refused
from .schemas import Accepted
from .submissions import (
    Asked,
    beside_the_loop,
    digest_of_call,
    digest_of_submission,
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
    await _submit(
        exchange,
        backend,
        key,
        len(body),
        read=lambda: read_submission(body, library, limits),
        digest=lambda: digest_of_submission(body, limits),
    )


async def call_operation(exchange: Exchange, backend: Backend) -> None:
    library, limits = (await backend.ready()).library, backend.limits
    resource, action = exchange.parts["resource"], exchange.parts["action"]
    key = _idempotency_key(exchange)
    exchange.query()
    body = await exchange.body(limits.body_bytes_max, backend.room)
    await _submit(
        exchange,
        backend,
        key,
        len(body),
        read=lambda: read_call(resource, action, body, library, limits),
        digest=lambda: digest_of_call(body, limits),
    )


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


async def _submit(
    exchange: Exchange,
    backend: Backend,
    key: str | None,
    size: int,
    *,
    read: Callable[[], Asked],
    digest: Callable[[], str | None],
) -> None:
    """size: of the body. read: what is asked for, if it can be. digest: what that would have, whether it can or not."""
    parent = exchange.submitter.parent if exchange.submitter is not None else None
    try:
        asked = await beside_the_loop(read, size, backend.limits)
        services = backend.services  # again: the daemon may have begun to stop while the body came in
        idempotency = _idempotency(exchange, backend, key, asked.digest)
        id, replayed = await services.engine.submit(asked.name, asked.tasks, idempotency, parent)
    except (Refused, NotPossibleNow):
        # What was taken once keeps its answer, also when it could not be asked for any more: its operation has left
        # the library, say, or its task has as many children as it may.
        if key is None and parent is None:
            raise
        used = await beside_the_loop(digest, size, backend.limits)
        first = _idempotency(exchange, backend, key, used) if used is not None else None
        found = backend.services.records.submitted(first) if first is not None else None
        if found is None:
            raise
        id, replayed = found, True
    status = backend.services.records.workflow(id).row.status.value if replayed else "queued"
    await _accepted(exchange, id, status, [(b"idempotency-replayed", b"true")] if replayed else [])


def _idempotency(exchange: Exchange, backend: Backend, key: str | None, digest: str) -> Idempotency | None:
    route = f"{exchange.method} {exchange.path}"
    if exchange.submitter is not None:
        # A repeated attempt has the same intent: it finds the child that the first one submitted.
        return Idempotency("task", route, f"{exchange.submitter.intent}/{key or digest}", digest)
    if key is None:
        return None
    return Idempotency(backend.token.hash if backend.token else "none", route, key, digest)


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
