"""Calls to one Hetzner project through hcloud, patiently, and its refusals in our words.

Every call here may be made twice: names are unique, the rest changes nothing the second time. So an answer that was
lost or a 5xx is asked for again at once a few times, and what is locked is waited for.

What hcloud returns is Any here and in the rooms above: its hints call ids optional and labels text, which they are not.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

from ...errors import LoginRefusedError, ProviderError
from ...progress import tell
from .. import reaching
from . import credentials
from .setting import Setting

T = TypeVar("T")
_CONNECT_S = 10.0
_TRIES_MAX = 8
_PATIENCE_S = 120.0
"""No further try after that: each may take as long as an answer may, and hcloud repeats it by itself."""
_QUIET_S = 3.0
"""So long nobody has to be told that something is asked again."""
_CONNECTS_MAX = 4
"""Where nobody is there at all, people are told sooner."""
_BUSY = ("locked", "conflict")
_PASSING = (
    "server_error",
    "service_error",
    "unreachable",
    "no_answer",
    "bad_gateway",
    "timeout",
    "robot_unavailable",
    "maintenance",
)
_REFUSED_LOGIN = ("unauthorized", "forbidden", "token_readonly")
# code of Hetzner: ours, may be tried again, not before (s), what to do
_WORDS: dict[str, tuple[str, bool, float | None, str | None]] = {
    "rate_limit_exceeded": ("rate_limited", True, 30.0, "a project has 3600 requests an hour"),
    "resource_unavailable": ("out_of_stock", True, 60.0, "try another plan or zone"),
    "placement_error": ("out_of_stock", True, 60.0, "try another plan or zone"),
    "no_space_left_in_location": ("out_of_stock", True, 60.0, "try another zone"),
    "resource_limit_exceeded": ("quota_exceeded", False, None, "ask Hetzner for a higher limit, or delete something"),
    "locked": ("busy", True, 5.0, None),
    "conflict": ("busy", True, 5.0, None),
    "resource_in_use": ("in_use", True, 5.0, None),
    "invalid_input": ("bad_spec", False, None, None),
    "json_error": ("bad_spec", False, None, None),
    "unsupported_error": ("bad_spec", False, None, None),
    "not_found": ("not_found", False, None, None),
    "protected": ("protected", False, None, "take the protection off first"),
    "invalid_server_type": ("needs_replacement", False, None, "its disk is too small, or its architecture is another"),
    "uniqueness_error": ("uniqueness_error", True, None, None),
    "firewall_already_applied": ("firewall_already_applied", True, None, None),
    "volume_already_attached": ("volume_already_attached", True, None, None),
}


class Account:
    """Made within the call that needs it: hcloud takes a third of a second to import."""

    def __init__(self, setting: Setting, token: str) -> None:
        from hcloud import Client

        self._setting = setting
        self.client: Any = Client(
            token=token,
            api_endpoint=setting.url,
            application_name="provisioning",
            poll_interval=setting.poll_s,
            timeout=(_CONNECT_S, setting.http_timeout_s),
        )

    def ask(self, doing: str, call: Callable[[], T]) -> T:
        """What the call gives. doing: for people, like "creating server web-1". Raises ProviderError."""
        from hcloud import HCloudException
        from requests.exceptions import RequestException

        began, tries, told = time.monotonic(), 0, False
        ends, patience_ends = began + self._setting.deadline_s, began + _PATIENCE_S
        while True:
            try:
                return call()
            except RequestException as error:
                refused = reaching.unreached(doing, "Hetzner", self._setting.url, error)
                tries += 1
                most = _TRIES_MAX if refused.code == "no_answer" else _CONNECTS_MAX
                if tries >= most or time.monotonic() > patience_ends:
                    raise refused from error
                why = refused.message
            except HCloudException as error:
                code, message = _said(error)
                tries += 1
                may_wait = code in _BUSY and time.monotonic() < ends
                if not may_wait and (code not in _PASSING or tries >= _TRIES_MAX):
                    raise _refusal(doing, code, message) from error
                why = f"{doing}: Hetzner says {code}: {message}"
            if not told and time.monotonic() - began >= _QUIET_S:
                told = True
                tell(f"{why.removesuffix('.')}; asking again")
            time.sleep(self._setting.poll_s)

    def ask_if_there(self, doing: str, call: Callable[[], T]) -> T | None:
        """None where what it is about does not exist."""
        try:
            return self.ask(doing, call)
        except ProviderError as error:
            if error.code == "not_found":
                return None
            raise

    def finish(self, doing: str, action: Any) -> None:
        """Wait for an action; one that is no longer known is over. Raises ProviderError where it failed or is late."""
        self.until(doing, lambda: action is None or self._is_over(doing, action.id))

    def until(self, doing: str, holds: Callable[[], bool], *, share: float = 1.0) -> None:
        """Poll. Raises ProviderError (`stuck`, retryable) when that share of the deadline is over."""
        ends = time.monotonic() + self._setting.deadline_s * share
        while not holds():
            if time.monotonic() > ends:
                raise ProviderError(
                    f"{doing}: not done after {self._setting.deadline_s:g} s",
                    code="stuck",
                    hint="look at it in Hetzner's console; what was made is found again",
                    retry_after_s=30,
                )
            time.sleep(self._setting.poll_s)

    def _is_over(self, doing: str, id: int) -> bool:
        now = self.ask_if_there(doing, lambda: self.client.actions.get_by_id(id))
        if now is not None and now.status == "error":
            error: Any = now.error or {}
            raise _refusal(
                doing, str(error.get("code", "action_failed")), str(error.get("message", "the action failed"))
            )
        return now is None or now.status != "running"


def _said(error: Exception) -> tuple[str, str]:
    """Hetzner's code, and its words."""
    from hcloud import APIException
    from hcloud.actions import ActionFailedException

    if isinstance(error, APIException):
        fields = [each for each in (error.details or {}).get("fields", []) if each.get("messages")]
        more = "; ".join(f"{each['name']}: {', '.join(each['messages'])}" for each in fields)
        code = error.code if isinstance(error.code, str) else ("server_error" if error.code >= 500 else str(error.code))
        return code, f"{error.message}: {more}" if more else str(error.message)
    if isinstance(error, ActionFailedException):
        return "action_failed", error.message
    return "cloud_error", str(error)


def _refusal(doing: str, code: str, message: str) -> ProviderError:
    text = f"{doing}: Hetzner says {code}: {message}"
    if code in _REFUSED_LOGIN:
        return LoginRefusedError(text, hint=credentials.refused_hint(os.environ))
    ours, retryable, after_s, hint = _WORDS.get(code, (code, True, None, None))
    return ProviderError(text, code=ours, retryable=retryable, retry_after_s=after_s, hint=hint)
