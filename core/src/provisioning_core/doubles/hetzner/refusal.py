"""The errors of the API, with their envelope and status, and the answer to each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..http import Answer

STATUS = {
    "json_error": 400,
    "unauthorized": 401,
    "resource_limit_exceeded": 403,
    "protected": 403,
    "not_found": 404,
    "uniqueness_error": 409,
    "conflict": 409,
    "resource_unavailable": 412,
    "invalid_input": 422,
    "resource_in_use": 422,
    "firewall_already_applied": 422,
    "server_not_stopped": 422,
    "server_already_attached": 422,
    "invalid_server_type": 422,
    "volume_already_attached": 422,
    "no_subnet_available": 422,
    "locked": 423,
    "rate_limit_exceeded": 429,
    "server_error": 500,
}


class Refusal(Exception):
    """Raised by a handler: nothing was changed."""

    def __init__(self, code: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details

    def answer(self, headers: Mapping[str, str] = {}) -> Answer:
        error = {"code": self.code, "message": self.message, "details": self.details}
        return Answer(STATUS[self.code], {"error": error}, headers)


def invalid(field: str, message: str) -> Refusal:
    details = {"fields": [{"name": field, "messages": [message]}]}
    return Refusal("invalid_input", f"invalid input in field '{field}'", details)


def not_found(kind: str, id: Any) -> Refusal:
    return Refusal("not_found", f"{kind} with ID '{id}' not found")
