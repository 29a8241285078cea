"""What is asked for: the tasks of a workflow, as values that have been checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

TASK_ID_PATTERN = r"[A-Za-z0-9._-]{1,64}"
EXPANSION_TASKS_MAX = 10_000
EXPANSION_BYTES_MAX = 4 * 1024 * 1024
RESULT_BYTES_MAX = 1024 * 1024
DEPTH_MAX = 100_000
TIMEOUT_DEFAULT_S = 300.0

Backoff = Literal["constant", "linear", "exponential"]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a task is attempted and how long it waits in between.

    attempts_max: attempts that count, the first included; 1 or more (never-started ones do not count).
    delay_s: wait before the second attempt, in seconds; it grows by `backoff` up to delay_max_s.
    jitter: 0.0 to 1.0, the part of the delay that is drawn at random (0.2: between 80 and 100 % of it).
    """

    attempts_max: int = 1
    backoff: Backoff = "exponential"
    delay_s: float = 5.0
    delay_max_s: float = 300.0
    jitter: float = 0.2


ONCE = RetryPolicy(attempts_max=1)
REPEATABLE = RetryPolicy(attempts_max=3)


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """One node as submitted or as returned by an expansion.

    id: unique in its workflow (an expansion's is local: unique among its siblings).
    params: a JSON object, encoded; the machine never looks into it.
    key: which thing it is about, None where the task did not say.
    timeout_s: of one attempt, in seconds, above 0.
    """

    id: str
    operation: str
    params: bytes = b"{}"
    needs: tuple[str, ...] = ()
    key: str | None = None
    repeatable: bool = False
    timeout_s: float = TIMEOUT_DEFAULT_S
    retry: RetryPolicy = field(default=ONCE)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a submission: where (a JSON Pointer below the body), what, and what to do instead."""

    pointer: str
    detail: str
    hint: str | None = None
