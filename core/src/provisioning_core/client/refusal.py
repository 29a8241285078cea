"""What the orchestrator's refusals (RFC 9457 problems) mean to the caller: which error, which exit code, which hint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import AuthError, BodyFault, ConflictError, NotFoundError, ProvisioningError, UnreachableError, UsageError

ERRORS_SHOWN_MAX = 20


class NotReady(UnreachableError):
    """The daemon answers but cannot serve yet (503): it starts, or it stops. The same request may be sent again."""

    def __init__(self, message: str, *, code: str, hint: str | None, retry_after_s: float) -> None:
        super().__init__(message, code=code, hint=hint)
        self.retry_after_s = retry_after_s


def refusal(
    status: int, problem: Mapping[str, Any], *, retry_after: str | None, token_origin: str, token_found: bool
) -> ProvisioningError:
    """The error for an answer of 300 or more. problem: its body, {} where it could not be read."""
    error = _error(status, problem, retry_after, token_origin, token_found)
    error.body_faults = tuple(BodyFault(_text(each, "pointer"), *_words(each)) for each in _faults(problem))
    return error


def _error(
    status: int, problem: Mapping[str, Any], retry_after: str | None, token_origin: str, token_found: bool
) -> ProvisioningError:
    code = _text(problem, "code") or f"http_{status}"
    message = _message(status, problem)
    hint = _text(problem, "hint") or _suggestion(problem)
    if status in (401, 403):
        return AuthError(message, code=code, hint=_token_hint(status, token_origin, token_found))
    if status == 404:
        return NotFoundError(message, code=code, hint=hint)
    if status in (409, 412, 428) or (status == 422 and "idempotency" in (code + _text(problem, "type")).lower()):
        return ConflictError(message, code=code, hint=hint)
    if status == 503:
        return NotReady(message, code=code, hint=hint, retry_after_s=_seconds(retry_after))
    if 400 <= status < 500:
        return UsageError(message, code=code, hint=hint)
    return ProvisioningError(message, code=code, hint=hint or "provisioning orchestrator logs")


def _message(status: int, problem: Mapping[str, Any]) -> str:
    text = _text(problem, "detail") or _text(problem, "title") or f"the orchestrator refused with HTTP {status}"
    faults = _faults(problem)
    lines = [_line(fault) for fault in faults[:ERRORS_SHOWN_MAX]]
    if len(faults) > ERRORS_SHOWN_MAX:
        lines.append(f"  … and {len(faults) - ERRORS_SHOWN_MAX} more")
    return "\n".join([text, *lines])


def _faults(problem: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    faults = problem.get("errors")
    return [fault for fault in faults if isinstance(fault, dict)] if isinstance(faults, list) else []


def _line(fault: Mapping[str, Any]) -> str:
    detail, hint = _words(fault)
    return f"  {_text(fault, 'pointer') or '/'}: {detail}" + (f" ({hint})" if hint else "")


def _words(fault: Mapping[str, Any]) -> tuple[str, str | None]:
    return _text(fault, "detail"), _text(fault, "hint") or None


def _suggestion(problem: Mapping[str, Any]) -> str | None:
    near = problem.get("did_you_mean")
    names = [near] if isinstance(near, str) else [str(name) for name in near] if isinstance(near, list) else []
    return f"did you mean {' or '.join(repr(name) for name in names)}?" if names else None


def _token_hint(status: int, origin: str, found: bool) -> str:
    if not found:
        return f"there is no token in {origin}; PROVISIONING_TOKEN_FILE names the daemon's DATA_DIR/token"
    if status == 401:
        return f"the token in {origin} is not this daemon's; PROVISIONING_TOKEN_FILE names DATA_DIR/token"
    return f"the token comes from {origin}"


def _seconds(retry_after: str | None) -> float:
    try:
        return min(max(float(retry_after or 1), 0.1), 30.0)
    except ValueError:
        return 1.0


def _text(problem: Mapping[str, Any], name: str) -> str:
    value = problem.get(name)
    return value if isinstance(value, str) else ""
