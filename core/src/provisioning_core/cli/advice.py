"""What to do after a failure, by the codes of what failed: the same again helps only where time does."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

STALE = "plan_stale"
_WITH_TIME = frozenset({"no_answer", "no_network", "unknown_server"})
_MENDED_BY_A_PERSON = frozenset({
    "adopted_elsewhere", "image_unavailable", "internal", "isolation_unavailable", "missing_extra", "name_taken",
    "needs_replacement", "not_capable", "not_installed", "not_runnable", "quota_exceeded", "secret_unavailable",
    "taskserv_failed", "taskserv_too_large",
})  # fmt: skip
_KINDS = ("bad_", "unknown_", "unsupported", "no_", "other_")


class Advice(NamedTuple):
    """words: a sentence. commands: what to type, with a label each. time_helps: trying again by itself may do."""

    words: str
    commands: tuple[tuple[str, str], ...]
    time_helps: bool


def advice(codes: Collection[str], again: str, anew: str | None = None) -> Advice:
    """codes: of the failures. again: the command that failed. anew: what makes the plan that it has applied."""
    if codes and all(code == STALE for code in codes):
        if anew is None:
            return Advice(
                "Somebody was faster: the same again plans anew from what exists now.", (("again", again),), False
            )
        words = "The world is not as this plan expects, and it can't be applied any more: make a new one."
        return Advice(words, (("plan", anew),), False)
    if any(map(_is_mended_by_a_person, codes)):
        words = "Time does not mend that: see to what is said above. Then the same again finds what exists and goes on."
        return Advice(words, (("then", again),), False)
    return Advice("The same again finds what exists, and does only what is left to do.", (("again", again),), True)


def _is_mended_by_a_person(code: str) -> bool:
    return code in _MENDED_BY_A_PERSON or (code.startswith(_KINDS) and code not in _WITH_TIME)
