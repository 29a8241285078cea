"""Named points at which a test may have the daemon killed, as `kill -9` would.

The environment variable PROVISIONING_CRASH holds what to do, comma separated:

    after-spawn:3        at the third time this process passes `after-spawn`
    after-spawn:0.05     each time with a probability of 5 % (a number with a point)
    *:0.01               at any point

It is read once, at import. Where it is not set, a point costs one call of an empty function. A malformed value ends
the process with a clear message: a chaos run that silently kills nothing would prove nothing.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "PROVISIONING_CRASH"


def crash_point(name: str) -> None:
    """Die here by SIGKILL if the environment says so; nothing is flushed, closed or unlocked."""
    plan = _plan
    if plan is not None and plan.strikes(name):
        os.kill(os.getpid(), signal.SIGKILL)


class CrashPlan:
    """What PROVISIONING_CRASH asks for. Raises ValueError, naming the part that cannot be read."""

    def __init__(self, text: str) -> None:
        import random  # only where something is to be killed

        self._random = random.Random()  # noqa: S311 - when to die, not a secret
        self._countdown: dict[str, int] = {}
        self._chance: dict[str, float] = {}
        for part in filter(None, (p.strip() for p in text.split(","))):
            name, colon, when = part.rpartition(":")
            try:
                if not (colon and name):
                    raise ValueError("no point is named")
                if "." in when:
                    self._chance[name] = _within(float(when), 0.0, 1.0)
                else:
                    self._countdown[name] = int(_within(int(when), 1, 1 << 62))
            except ValueError as error:
                raise ValueError(
                    f"{VARIABLE}: {part!r} is neither NAME:NTH (NTH 1 or more) nor NAME:0.PROBABILITY"
                ) from error

    def strikes(self, name: str) -> bool:
        for key in (name, "*"):
            if key in self._countdown:
                self._countdown[key] -= 1
                if self._countdown[key] == 0:
                    return True
            if key in self._chance and self._random.random() < self._chance[key]:
                return True
        return False


def _within(value: float, low: float, high: float) -> float:
    if not low <= value <= high:
        raise ValueError(value)
    return value


def _plan_of(text: str | None) -> CrashPlan | None:
    if not text:
        return None
    try:
        return CrashPlan(text)
    except ValueError as error:
        raise SystemExit(str(error)) from error


_plan = _plan_of(os.environ.get(VARIABLE))
