"""The door for people and tests at a double's own port, beside the cloud's API, under `/_double/`.

GET   /_double/faults     what goes wrong
PATCH /_double/faults     change it: the fields that are named
GET   /_double/ledger     {"created": [{kind, id, at}…], "existing": [{kind, id, at, data}…]}; ?kind=server
POST  /_double/release    what a cloud's support does for {"id": server}, without a body for all: what is stuck goes on,
                          what is broken runs again; {"released": [ids]}
POST  /_double/break      {"id": server}: it is in error from now on; {"broken": [id]}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Protocol

from ..errors import UsageError
from .faults import Faults
from .http import Answer, Request, Route
from .ledger import Ledger


class Support(Protocol):
    """What people at the cloud can do to a server, its API cannot."""

    def servers(self) -> list[str]: ...

    def release(self, id: str) -> bool:
        """Whether it was stuck or broken."""

    def spoil(self, id: str) -> bool:
        """False where this cloud has no such state."""


def admin_routes(ledger: Ledger, faults: Faults, support: Support | None = None) -> list[Route]:
    def show_faults(_: Request) -> Answer:
        return Answer(200, faults.describe())

    def change_faults(request: Request) -> Answer:
        try:
            faults.change(request.json() or {})
        except (UsageError, ValueError) as error:
            return Answer(400, {"error": {"code": "bad_faults", "message": str(error)}})
        return Answer(200, faults.describe())

    def show_ledger(request: Request) -> Answer:
        kind = request.first("kind")
        created = [{"kind": each.kind, "id": each.id, "at": each.at} for each in ledger.created(kind)]
        return Answer(200, {"created": created, "existing": [asdict(each) for each in ledger.existing(kind)]})

    def release(request: Request) -> Answer:
        assert support is not None
        id, refused = _named(request, support)
        ids = support.servers() if id is None else [id]
        return refused or Answer(200, {"released": [each for each in ids if support.release(each)]})

    def spoil(request: Request) -> Answer:
        assert support is not None
        id, refused = _named(request, support)
        if refused or id is None:
            return refused or _refusal(400, 'which server? {"id": ID} is expected')
        if not support.spoil(id):
            return _refusal(400, "servers of this cloud are never in error")
        return Answer(200, {"broken": [id]})

    helped = [Route("POST", "/_double/release", release), Route("POST", "/_double/break", spoil)]
    return [
        *(helped if support is not None else ()),
        Route("GET", "/_double/faults", show_faults),
        Route("PATCH", "/_double/faults", change_faults),
        Route("GET", "/_double/ledger", show_ledger),
    ]


def _named(request: Request, support: Support) -> tuple[str | None, Answer | None]:
    """The server that a body names, None where there is no body; or the answer that refuses it."""
    try:
        body: Any = request.json()
    except ValueError as error:
        return None, _refusal(400, f"the body is no JSON: {error}")
    if not body:
        return None, None
    if not isinstance(body, Mapping) or set(body) != {"id"}:
        return None, _refusal(400, 'the body is not {"id": ID}')
    known = support.servers()
    if str(body["id"]) in known:
        return str(body["id"]), None
    return None, _refusal(404, f"there is no server {body['id']}; there are: {', '.join(known) or 'none'}")


def _refusal(status: int, message: str) -> Answer:
    return Answer(status, {"error": {"code": "not_found" if status == 404 else "bad_request", "message": message}})
