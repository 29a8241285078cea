"""What the API answers when it refuses: RFC 9457 problems, one table of their codes.

Handlers raise `Refused`; the application turns it into the answer. `type` is `/problems/<code>`, a stable address that
is served too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ..workflow.spec import Fault

PROBLEM_TYPE = b"application/problem+json"


@dataclass(frozen=True, slots=True)
class Code:
    status: int
    title: str


CODES: dict[str, Code] = {
    "bad_http": Code(400, "The request is no valid HTTP"),
    "bad_json": Code(400, "The body is no acceptable JSON"),
    "bad_query": Code(400, "A query parameter has a value that is not accepted"),
    "bad_header": Code(400, "A header has a value that is not accepted"),
    "unauthorized": Code(401, "The token is missing or not this daemon's"),
    "foreign_origin": Code(403, "The request comes from another web page"),
    "out_of_scope": Code(403, "The token of a task does not open this"),
    "not_found": Code(404, "There is nothing at this address"),
    "unknown_workflow": Code(404, "There is no such workflow"),
    "unknown_task": Code(404, "There is no such task or attempt"),
    "unknown_operation": Code(404, "There is no such operation"),
    "method_not_allowed": Code(405, "The address does not take this method"),
    "too_slow": Code(408, "The request took too long to arrive"),
    "not_possible_now": Code(409, "The wish does not fit the state that it met"),
    "too_large": Code(413, "The body is too large"),
    "json_expected": Code(415, "The body has to be sent as application/json"),
    "foreign_host": Code(421, "The request was meant for another host"),
    "invalid": Code(422, "The body does not describe something that can be done"),
    "idempotency_mismatch": Code(422, "The Idempotency-Key was used before with another body"),
    "head_too_large": Code(431, "The head of the request is too large"),
    "internal": Code(500, "The orchestrator has a bug"),
    "starting": Code(503, "The orchestrator starts"),
    "stopping": Code(503, "The orchestrator stops"),
    "too_busy": Code(503, "The orchestrator serves as much as it may"),
    "store_failed": Code(503, "The orchestrator could not write"),
    "store_full": Code(507, "The disk is full"),
}


class FaultOut(msgspec.Struct, omit_defaults=True):
    """One thing wrong with a body. pointer: a JSON Pointer into it. hint: what to do instead."""

    pointer: str
    detail: str
    hint: str | None = None


class Problem(msgspec.Struct, omit_defaults=True):
    """An RFC 9457 problem. code: the last part of type. errors: all faults of a body."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str | None = None
    hint: str | None = None
    errors: list[FaultOut] = msgspec.field(default_factory=list)


@dataclass
class Refused(Exception):
    """Answer with this problem. headers: to be sent with it."""

    code: str
    detail: str
    faults: Sequence[Fault] = ()
    hint: str | None = None
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    def __str__(self) -> str:
        return self.detail

    @property
    def status(self) -> int:
        return CODES[self.code].status


_encoder = msgspec.json.Encoder()


def encode_problem(refused: Refused, instance: str | None) -> bytes:
    """The body. instance: the path that was asked for."""
    code = CODES[refused.code]
    return _encoder.encode(
        Problem(
            type=f"/problems/{refused.code}",
            title=code.title,
            status=code.status,
            detail=printable(refused.detail),
            code=refused.code,
            instance=printable(instance) if instance is not None else None,
            hint=refused.hint,
            errors=[FaultOut(printable(f.pointer), printable(f.detail), f.hint) for f in refused.faults],
        )
    )


def printable(text: str) -> str:
    """Without lone surrogates, which UTF-8 does not have; they come from escapes in JSON keys."""
    return text.encode("utf-8", "backslashreplace").decode() if not text.isascii() else text


def invalid(faults: Sequence[Fault]) -> Refused:
    """422 for faults of a body."""
    first = faults[0]
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return Refused("invalid", f"{first.pointer or 'the body'}: {first.detail}{more}", faults)


def catalogue(code: str) -> dict[str, Any]:
    """What is served at a problem's type."""
    known = CODES[code]
    return {"type": f"/problems/{code}", "code": code, "status": known.status, "title": known.title}
