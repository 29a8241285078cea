"""What goes wrong, by whose fault it is.

ProvisioningError            base; `code` is stable, `hint` is the next thing to do, `exit_code` is the CLI's
├── UsageError               the caller's: bad definition, bad argument; nothing was sent         exit 2
├── NotFoundError            what was named is not there                                          exit 3
├── AuthError                token missing or refused                                             exit 4
├── ConflictError            the wish does not fit the state that it met                          exit 5
├── UnreachableError         no orchestrator answers                                              exit 6
└── ProviderError            the cloud's: `retryable` says whether the same call may be made again  exit 1
    └── LoginRefusedError    it does not take our credentials, or they may not do this            exit 4
"""

from __future__ import annotations

from typing import NamedTuple


class BodyFault(NamedTuple):
    """One thing that the orchestrator found wrong with what it was sent. pointer: a JSON Pointer into it."""

    pointer: str
    detail: str
    hint: str | None = None


class ProvisioningError(Exception):
    """body_faults: what was wrong with a request's body, where the orchestrator said so; the message has it too."""

    exit_code = 1
    body_faults: tuple[BodyFault, ...] = ()

    def __init__(self, message: str, *, code: str = "error", hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint


class UsageError(ProvisioningError):
    exit_code = 2


class NotFoundError(ProvisioningError):
    exit_code = 3


class AuthError(ProvisioningError):
    exit_code = 4


class ConflictError(ProvisioningError):
    exit_code = 5


class UnreachableError(ProvisioningError):
    """unsure: what was sent may have been taken all the same."""

    exit_code = 6
    unsure = False


class ProviderError(ProvisioningError):
    """A provider refused or failed.

    retryable: the same call may be made again. retry_after_s: not before that, where the cloud said so.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "provider_error",
        hint: str | None = None,
        retryable: bool = True,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.retryable = retryable
        self.retry_after_s = retry_after_s


class LoginRefusedError(ProviderError):
    """Never retryable: somebody has to look at them. hint: names where they came from, never what they are."""

    exit_code = 4

    def __init__(self, message: str, *, code: str = "auth_failed", hint: str | None = None) -> None:
        super().__init__(message, code=code, hint=hint, retryable=False)


def stale_plan(what: str, why: str) -> ConflictError:
    """`plan_stale`: a planned task meets what was not planned. what: `server web-1`."""
    return ConflictError(
        f"{what}: {why}; the plan does not fit any more",
        code="plan_stale",
        hint="make a new plan: provisioning infra plan",
    )
