"""Facts that a machine is told, in the past tense. The counterpart to facts are commands (commands.py).

Times are µs UTC. `fraction` is drawn at random by who tells the fact (0.0 ≤ x < 1.0), so that the machine draws none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from .outcome import Interpretation
from .spec import TaskSpec

Resolution = Literal["succeeded", "failed", "retry"]


@dataclass(frozen=True, slots=True)
class SlotGranted:
    seq: int
    at: int


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """expansion: the checked tasks that its result adds.

    at: when its end became known. ended_at: when it was, by the clock of its host (perhaps no daemon ran); None: not
    known.
    """

    seq: int
    number: int
    at: int
    outcome: Interpretation
    expansion: tuple[TaskSpec, ...] = ()
    fraction: float = 0.0
    ended_at: int | None = None


@dataclass(frozen=True, slots=True)
class AttemptNeverStarted:
    seq: int
    number: int
    at: int
    reason: str


@dataclass(frozen=True, slots=True)
class AttemptLost:
    """Nobody saw its end."""

    seq: int
    number: int
    at: int
    reason: str


@dataclass(frozen=True, slots=True)
class AttemptReported:
    """What an operation wrote to its event file between the two offsets."""

    seq: int
    number: int
    at: int
    offset: int
    next_offset: int
    records: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class DelayEnded:
    seq: int
    at: int


@dataclass(frozen=True, slots=True)
class CancelRequested:
    at: int


@dataclass(frozen=True, slots=True)
class TaskResolved:
    seq: int
    at: int
    resolution: Resolution


@dataclass(frozen=True, slots=True)
class SliceDue:
    """Time for the next slice of what touches many tasks at once."""

    at: int


Event = (
    SlotGranted
    | AttemptEnded
    | AttemptNeverStarted
    | AttemptLost
    | AttemptReported
    | DelayEnded
    | CancelRequested
    | TaskResolved
    | SliceDue
)
