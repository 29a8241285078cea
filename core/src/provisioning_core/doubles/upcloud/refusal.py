"""How UpCloud says no: two shapes of errors, both of which its clients have to read."""

from __future__ import annotations

from uuid import uuid4

from ..http import Answer


class Refused(Exception):
    """Raised by whatever looks at a request, answered in the shape `{"error": {error_code, error_message}}`."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def answer(self) -> Answer:
        return Answer(self.status, {"error": {"error_code": self.code, "error_message": str(self)}})


def problem(status: int, code: str, title: str, headers: dict[str, str] | None = None) -> Answer:
    """RFC 7807, as the newer services of the API answer."""
    body = {
        "type": f"https://developers.upcloud.com/1.3/errors#ERROR_{code}",
        "title": title,
        "status": status,
        "correlation_id": uuid4().hex[:26].upper(),
    }
    return Answer(status, body, {"Content-Type": "application/problem+json"} | (headers or {}))
