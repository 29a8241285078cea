"""How long a task waits before it is attempted again."""

from __future__ import annotations

import pytest

from provisioning_orchestrator.workflow.retry import delay_s, never_delay_s
from provisioning_orchestrator.workflow.spec import ONCE, REPEATABLE, RetryPolicy


def delays(policy: RetryPolicy, count: int, fraction: float = 0.0) -> list[float]:
    return [delay_s(policy, failures, fraction) for failures in range(1, count + 1)]


def test_the_delay_grows_by_its_backoff_up_to_its_limit() -> None:
    assert delays(RetryPolicy(9, "constant", 5, 300, 0), 4) == [5, 5, 5, 5]
    assert delays(RetryPolicy(9, "linear", 5, 17, 0), 5) == [5, 10, 15, 17, 17]
    assert delays(RetryPolicy(9, "exponential", 5, 300, 0), 8) == [5, 10, 20, 40, 80, 160, 300, 300]


def test_jitter_only_shortens_and_by_its_share_at_most() -> None:
    policy = RetryPolicy(9, "constant", 10, 300, 0.2)
    assert delay_s(policy, 1, 0.0) == 10
    assert delay_s(policy, 1, 0.5) == 9
    assert 8 < delay_s(policy, 1, 0.999999) < 8.001


@pytest.mark.parametrize("failures", [1_000, 10**9])
@pytest.mark.parametrize("backoff", ["constant", "linear", "exponential"])
def test_after_very_many_failures_it_is_the_longest_delay(failures: int, backoff: str) -> None:
    policy = RetryPolicy(10**9, backoff, 5, 5, 0)  # type: ignore[arg-type]
    assert delay_s(policy, failures, 0.0) == 5


def test_a_wish_to_wait_longer_is_granted_up_to_a_day() -> None:
    policy = RetryPolicy(3, "constant", 5, 300, 0)
    assert delay_s(policy, 1, 0.0, retry_after_s=60) == 60
    assert delay_s(policy, 1, 0.0, retry_after_s=1) == 5
    assert delay_s(policy, 1, 0.0, retry_after_s=10**9) == 86_400


def test_no_delay_is_no_delay() -> None:
    assert delays(RetryPolicy(3, "exponential", 0, 300, 1.0), 3, 0.5) == [0, 0, 0]


def test_what_never_started_is_tried_again_at_once_and_then_ever_more_slowly() -> None:
    assert [never_delay_s(never) for never in range(1, 10)] == [0, 1, 2, 4, 8, 16, 30, 30, 30]
    assert never_delay_s(10**9) == 30


def test_the_defaults_are_the_contract_s() -> None:
    assert (ONCE.attempts_max, REPEATABLE.attempts_max) == (1, 3)
    assert (REPEATABLE.backoff, REPEATABLE.delay_s, REPEATABLE.delay_max_s) == ("exponential", 5, 300)
    assert REPEATABLE.jitter > 0
