"""How a fault befalls a request: before its effect, instead of it, or on the way back."""

from __future__ import annotations

from collections.abc import Callable

from .faults import Fault, Waits
from .http import Answer


def befall(
    fault: Fault,
    waits: Waits,
    *,
    do: Callable[[], Answer],
    refuse: Callable[[Fault], Answer],
    pause: Callable[[float], None],
) -> Answer:
    """do: has the effect and gives the answer. refuse: the cloud's words for `error`, `throttle`, `stock`; no effect.

    `stuck` is for `do` to honour.
    """
    if fault in ("error", "throttle", "stock"):
        return refuse(fault)
    if fault == "late":
        pause(waits.late_s)
    answer = do()
    if fault == "stall":
        pause(waits.stall_s)
    return Answer.lost() if fault == "lost" else answer
