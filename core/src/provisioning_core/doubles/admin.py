"""The door for people and tests at a double's own port, beside the cloud's API, under `/_double/`.

GET   /_double/faults     what goes wrong
PATCH /_double/faults     change it: the fields that are named
GET   /_double/ledger     {"created": [{kind, id, at}…], "existing": [{kind, id, at, data}…]}; ?kind=server
"""

from __future__ import annotations

from dataclasses import asdict

from ..errors import UsageError
from .faults import Faults
from .http import Answer, Request, Route
from .ledger import Ledger


def admin_routes(ledger: Ledger, faults: Faults) -> list[Route]:
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

    return [
        Route("GET", "/_double/faults", show_faults),
        Route("PATCH", "/_double/faults", change_faults),
        Route("GET", "/_double/ledger", show_ledger),
    ]
