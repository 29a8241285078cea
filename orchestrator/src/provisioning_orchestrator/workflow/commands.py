"""Wishes of a machine, in the imperative.

Those about slots go to admission at once; all the others are acted on only after the commit that they came with. After
a crash they are derived again from the rows, so none is stored.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RequestSlot:
    seq: int


@dataclass(frozen=True, slots=True)
class ReleaseSlot:
    seq: int


@dataclass(frozen=True, slots=True)
class WithdrawRequests:
    """All open requests of this workflow."""


@dataclass(frozen=True, slots=True)
class StartAttempt:
    seq: int
    number: int


@dataclass(frozen=True, slots=True)
class CancelAttempt:
    seq: int
    number: int


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Tell DelayEnded(seq) at due_at (µs UTC)."""

    seq: int
    due_at: int


@dataclass(frozen=True, slots=True)
class ContinueLater:
    """Tell SliceDue once the others had their turn."""


Command = RequestSlot | ReleaseSlot | WithdrawRequests | StartAttempt | CancelAttempt | SetTimer | ContinueLater
