"""When a task is attempted again."""

from __future__ import annotations

from .spec import RetryPolicy

NEVER_DELAY_MAX_S = 30.0
RETRY_AFTER_MAX_S = 86_400.0


def delay_s(policy: RetryPolicy, failures: int, fraction: float, retry_after_s: float | None = None) -> float:
    """Seconds to wait after the failures-th failure (1 and up).

    fraction: drawn at random, 0.0 ≤ fraction < 1.0; takes up to `jitter` of the delay away.
    retry_after_s: what the operation asked for; the wait is never shorter, and at most a day.
    """
    exponent = min(failures - 1, 1_000)
    if policy.backoff == "constant":
        delay = policy.delay_s
    elif policy.backoff == "linear":
        delay = policy.delay_s * failures
    else:
        delay = policy.delay_s * float(2 ** min(exponent, 60))
    delay = min(delay, policy.delay_max_s)
    delay -= delay * policy.jitter * fraction
    return max(delay, min(retry_after_s or 0.0, RETRY_AFTER_MAX_S))


def never_delay_s(never: int) -> float:
    """Seconds to wait after the never-th attempt in a row that never started: 0, 1, 2, 4 … 30."""
    return 0.0 if never <= 1 else min(float(2 ** min(never - 2, 10)), NEVER_DELAY_MAX_S)
