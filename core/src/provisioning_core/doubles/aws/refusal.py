"""The errors of EC2 in its envelope."""

from __future__ import annotations

from xml.sax.saxutils import escape

from ..faults import Fault
from ..http import Answer

HEADERS = {"Content-Type": "text/xml;charset=UTF-8"}


class Refusal(Exception):
    """Raised before anything was done."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status

    def answer(self) -> Answer:
        error = f"<Error><Code>{self.code}</Code><Message>{escape(self.message)}</Message></Error>"
        text = (
            f"<Response><Errors>{error}</Errors><RequestID>00000000-0000-4000-8000-000000000000</RequestID></Response>"
        )
        return Answer(self.status, f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode(), HEADERS)


FAULTS: dict[Fault, Refusal] = {
    "error": Refusal("InternalError", "An internal error has occurred", 500),
    "throttle": Refusal("RequestLimitExceeded", "Request limit exceeded.", 503),
    "stock": Refusal("InsufficientInstanceCapacity", "There is no capacity for this type in the zone now.", 500),
}


def no_instance(id: str) -> Refusal:
    return Refusal("InvalidInstanceID.NotFound", f"The instance ID '{id}' does not exist")
