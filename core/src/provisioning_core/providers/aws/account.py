"""Calls to EC2 in one region through boto3, and its refusals in our words.

`ec2` repeats by itself what was lost, throttled or answered with a 5xx (botocore's standard mode): only for calls that
may be made twice. `once` never does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from ...errors import LoginRefusedError, ProviderError
from ...progress import tell
from ..reaching import unreached
from . import credentials
from .setting import Setting

_CONNECT_S = 10
_TRIES_MAX = 4
# ours, may be tried again, not before (s), what to do
_Words = tuple[str, bool, float | None, str | None]
_THROTTLED: _Words = ("rate_limited", True, 10.0, None)
_NO_STOCK: _Words = ("out_of_stock", True, 60.0, "try another plan or zone")
_LIMIT: _Words = ("quota_exceeded", False, None, "ask AWS for a higher quota (Service Quotas), or delete something")
_PASSING: _Words = ("cloud_error", True, 5.0, None)
_WORDS: dict[str, _Words] = {
    "RequestLimitExceeded": _THROTTLED,
    "Throttling": _THROTTLED,
    "ThrottlingException": _THROTTLED,
    "InsufficientInstanceCapacity": _NO_STOCK,
    "InsufficientHostCapacity": _NO_STOCK,
    "Unsupported": ("bad_spec", False, None, "the plan is not offered in this zone: try another one"),
    "MaxSpotInstanceCountExceeded": _LIMIT,
    "PendingVerification": ("auth_failed", True, 600.0, "AWS is still verifying the account"),
    "InternalError": _PASSING,
    "InternalFailure": _PASSING,
    "Unavailable": _PASSING,
    "ServiceUnavailable": _PASSING,
    "IncorrectInstanceState": ("busy", True, 5.0, None),
    "IncorrectState": ("busy", True, 5.0, None),
    "VolumeInUse": ("busy", True, 5.0, None),
    "DependencyViolation": ("in_use", True, 10.0, None),
}
_REFUSED_LOGIN: dict[str, str | None] = {  # with what to do, None: look at the credentials
    "AuthFailure": None,
    "InvalidClientTokenId": None,
    "SignatureDoesNotMatch": None,
    "UnrecognizedClientException": None,
    "ExpiredToken": None,
    "UnauthorizedOperation": "the account's policy does not allow it",
    "RequestExpired": "look at the clock of this machine",
    "OptInRequired": "the account has to be activated for EC2",
}
ROUNDS_MAX = 4
_PAUSE_S = 1.0


class Account:
    """Made within the call that needs it: boto3 takes half a second to import."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._rounds = 1
        self.settle_s, self.deadline_s, self.poll_s = setting.settle_s, setting.deadline_s, setting.poll_s

    @cached_property
    def ec2(self) -> Any:
        return self._client(_TRIES_MAX)

    @cached_property
    def once(self) -> Any:
        return self._client(1)

    @cached_property
    def _session(self) -> Any:
        return credentials.session(self._setting.region)

    @contextmanager
    def persevering(self) -> Iterator[None]:
        """What is asked meanwhile is asked again where the answer was lost, or EC2 could not: also after botocore has
        given up. So that of many calls each is repeated by itself, not all that came before it."""
        self._rounds = ROUNDS_MAX
        try:
            yield
        finally:
            self._rounds = 1

    def ask(self, doing: str, call: Callable[..., Any], **arguments: Any) -> Any:
        """What the call gives. doing: for people. Raises ProviderError; its `code` is EC2's where we have no word.

        The call may be made twice; for one that may not: `ask_once`.
        """
        for left in reversed(range(self._rounds)):
            try:
                return self.ask_once(doing, call, **arguments)
            except ProviderError as error:
                if not left or not is_passing(error):
                    raise
                tell(f"{error.message.removesuffix('.')}; asking again")  # botocore has been at it for a while
            time.sleep(min(_PAUSE_S, self.poll_s))
        raise AssertionError("the last round returns or raises")

    def ask_once(self, doing: str, call: Callable[..., Any], **arguments: Any) -> Any:
        """As `ask`, and never made again by us."""
        from botocore.exceptions import BotoCoreError, ClientError, WaiterError
        from botocore.parsers import ResponseParserError

        try:
            return call(**arguments)
        except WaiterError as error:  # it has looked all the time that it had: not to be asked again
            raise _stuck(doing, self.deadline_s, str(error)) from error
        except ClientError as error:
            raise self._refusal(doing, error) from error
        except (BotoCoreError, ResponseParserError) as error:
            raise unreached(doing, "EC2", self._url, error) from error

    @property
    def _url(self) -> str:
        return self._setting.url or f"https://ec2.{self._setting.region}.amazonaws.com"

    def _refusal(self, doing: str, error: Any) -> ProviderError:
        said = error.response.get("Error", {})
        if (code := said.get("Code")) not in _REFUSED_LOGIN:
            return refusal(doing, error)
        hint = _REFUSED_LOGIN[code] or credentials.refused_hint(self._session)
        return LoginRefusedError(f"{doing}: EC2 says {code}: {said.get('Message', '')}", hint=hint)

    def every(self, doing: str, method: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        """What a Describe lists, of all pages."""
        pages = self.ec2.get_paginator(method).paginate(**arguments)
        name = pages.result_keys[0].expression
        yield from self.ask(doing, lambda: [item for page in pages for item in page.get(name, [])])

    def wait(self, doing: str, waiter: str, **arguments: Any) -> None:
        """One of boto3's waiters, with our deadline. Raises ProviderError (`stuck`, or what went wrong)."""
        config = {"Delay": self.poll_s, "MaxAttempts": max(1, int(self.deadline_s / self.poll_s))}
        self.ask(doing, self._waiter(waiter), WaiterConfig=config, **arguments)

    def until(self, doing: str, holds: Callable[[], bool], within_s: float | None = None) -> None:
        """Poll. Raises ProviderError (`stuck`, retryable) at the deadline."""
        limit_s = self.deadline_s if within_s is None else within_s
        ends = time.monotonic() + limit_s
        while not holds():
            if time.monotonic() > ends:
                raise _stuck(doing, limit_s, "")
            time.sleep(self.poll_s)

    def patiently(self, doing: str, codes: tuple[str, ...], call: Callable[..., Any], **arguments: Any) -> Any:
        """As `ask`, and again as long as it is refused with one of our codes. Raises ProviderError at the deadline.

        `not_found` is what EC2 may say of something that it has just shown: for no longer than settle_s.
        """
        ends = time.monotonic() + (self.settle_s if "not_found" in codes else self.deadline_s)
        while True:
            try:
                return self.ask(doing, call, **arguments)
            except ProviderError as error:
                if error.code not in codes or time.monotonic() > ends:
                    raise
            time.sleep(self.poll_s)

    def _waiter(self, name: str) -> Callable[..., Any]:
        wait: Callable[..., Any] = self.ec2.get_waiter(name).wait
        return wait

    def _client(self, tries: int) -> Any:
        from botocore.config import Config

        config = Config(
            retries={"mode": "standard", "total_max_attempts": tries},
            connect_timeout=_CONNECT_S,
            read_timeout=self._setting.http_timeout_s,
            user_agent_extra="provisioning",
        )
        return self._session.client("ec2", endpoint_url=self._setting.url, config=config)


def refusal(doing: str, error: Any) -> ProviderError:
    """Of a botocore ClientError."""
    said = error.response.get("Error", {})
    code, status = str(said.get("Code", "")), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    other: _Words = _LIMIT if code.endswith("LimitExceeded") else (code, False, None, None)
    ours, retryable, after_s, hint = _WORDS.get(code, _PASSING if status >= 500 else other)
    if ours == code and code.endswith((".NotFound", ".Malformed")):
        ours = "not_found"
    text = f"{doing}: EC2 says {code}: {said.get('Message', '')}"
    return ProviderError(text, code=ours, retryable=retryable, retry_after_s=after_s, hint=hint)


def is_said(error: ProviderError, *codes: str) -> bool:
    """Whether EC2 said one of these."""
    response = getattr(error.__cause__, "response", None) or {}
    return response.get("Error", {}).get("Code") in codes


def is_open(error: ProviderError) -> bool:
    """Whether the request may have been done all the same."""
    return error.code in ("no_answer", "cloud_error")


def is_passing(error: ProviderError) -> bool:
    """Whether the very same request may succeed in a moment."""
    return error.code in ("no_answer", "cloud_error", "rate_limited")


def _stuck(doing: str, limit_s: float, why: str) -> ProviderError:
    said = f": {why}" if why else ""
    return ProviderError(f"{doing}: not done after {limit_s:g} s{said}", code="stuck", retry_after_s=30)
