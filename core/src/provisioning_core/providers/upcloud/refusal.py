"""What UpCloud's answers mean for whoever asked: both shapes of its errors, and what no answer means."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ...errors import LoginRefusedError, ProviderError
from .. import reaching
from . import credentials

_OUT_OF_STOCK_S = 60.0
_RETRY_AFTER_MAX_S = 3600.0
_NO_QUOTA = "raise the account's limits (control panel: Account, Resource limits), or delete what is not needed"
_MEANINGS: Mapping[str, tuple[str, bool, str | None]] = {  # UpCloud's code: ours, whether to try again, what to do
    "INSUFFICIENT_CREDITS": ("no_credit", False, "top up the account"),
    "SERVER_RESOURCES_UNAVAILABLE": ("out_of_stock", True, "try another zone or plan, or wait"),
    "IP_ADDRESS_RESOURCES_UNAVAILABLE": ("out_of_stock", True, "try another zone, or wait"),
    "STORAGE_RESOURCES_UNAVAILABLE": ("out_of_stock", True, "try another zone or tier, or wait"),
    "SERVER_STATE_ILLEGAL": ("busy", True, None),
    "STORAGE_STATE_ILLEGAL": ("busy", True, None),
    "NETWORK_NOT_EMPTY": ("network_in_use", True, "delete its servers first"),
    "STORAGE_ATTACHED": ("storage_in_use", True, "delete its server first"),
}


class UnansweredError(ProviderError):
    """It was sent, and whether it was done is not known: no answer came, or one that the cloud failed."""


def refusal(status: int, headers: Mapping[str, str], text: str, doing: str) -> ProviderError:
    """doing: what was being done, in words: `creating server web-1`."""
    theirs, words = _read(text)
    message = f"{doing}: UpCloud says {words or theirs or 'nothing'} (HTTP {status}{f', {theirs}' if theirs else ''})"
    after_s = _retry_after_s(headers)
    if status == 429:
        return ProviderError(message, code="throttled", retry_after_s=after_s or 1.0)
    if status >= 500:
        return UnansweredError(message, code="cloud_error", retry_after_s=after_s)
    if status == 401 or theirs == "AUTHENTICATION_FAILED":
        return LoginRefusedError(message, code="credentials_refused", hint=credentials.refused_hint())
    if theirs in _MEANINGS:
        code, retryable, hint = _MEANINGS[theirs]
        wait_s = after_s or (_OUT_OF_STOCK_S if code == "out_of_stock" else None)
        return ProviderError(message, code=code, hint=hint, retryable=retryable, retry_after_s=wait_s)
    if theirs.endswith("_LIMIT_REACHED"):
        return ProviderError(message, code="quota_exceeded", hint=_NO_QUOTA, retryable=False)
    if status == 403:
        return LoginRefusedError(message, code="forbidden", hint=credentials.refused_hint())
    if status == 404:
        return ProviderError(message, code="not_found", retryable=False)
    return ProviderError(message, code="busy" if status == 409 else "refused", retryable=status in (408, 409))


def unanswered(doing: str, why: object) -> UnansweredError:
    return UnansweredError(f"{doing}: no answer from UpCloud: {why}", code="no_answer")


def unreached(doing: str, url: str, error: BaseException) -> ProviderError:
    """No connection: certainly nothing was done. Else an UnansweredError."""
    found = reaching.unreached(doing, "UpCloud", url, error)
    if found.code == "unreachable":
        return found
    return UnansweredError(found.message, code=found.code, hint=found.hint)


def _read(text: str) -> tuple[str, str]:
    """UpCloud's code and its words; empty where there are none, as from a proxy in between."""
    try:
        body: Any = json.loads(text)
    except ValueError:
        return "", ""
    if not isinstance(body, dict):
        return "", ""
    if isinstance(body.get("error"), dict):
        return str(body["error"].get("error_code", "")), str(body["error"].get("error_message", ""))
    code = urlsplit(str(body.get("type", ""))).fragment.removeprefix("ERROR_") or str(body.get("type", ""))
    reasons = [f"{each.get('name')}: {each.get('reason')}" for each in body.get("invalid_params") or ()]
    return code, "; ".join([str(body.get("title", "")), *reasons])


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds; a date, which the header may have too, says nothing without a clock that agrees with theirs."""
    value = headers.get("Retry-After", "")
    return min(float(value), _RETRY_AFTER_MAX_S) if value.isdecimal() else None
