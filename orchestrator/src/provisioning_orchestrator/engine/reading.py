"""From the runner's facts to the machine's: what the end of an attempt means, and which tasks it adds."""

from __future__ import annotations

from dataclasses import replace

from ..ports import AttemptEnded, AttemptReported, Exited, Fact, Library, NeverStarted
from ..workflow import events
from ..workflow.outcome import interpret
from ..workflow.records import TaskError
from ..workflow.spec import TaskSpec
from ..workflow.taskdoc import read_tasks

FAULTS_NAMED_MAX = 5


def read_fact(fact: Fact, library: Library, at: int, fraction: float) -> events.Event:
    """Pure but for the library's look at its files. May take long for a large expansion."""
    seq, number = fact.id.task, fact.id.number
    if isinstance(fact, AttemptReported):
        return events.AttemptReported(seq, number, at, fact.offset, fact.next_offset, fact.records)
    verdict = fact.verdict
    if isinstance(verdict, NeverStarted):
        return events.AttemptNeverStarted(seq, number, at, verdict.reason)
    if not isinstance(verdict, Exited):
        return events.AttemptLost(seq, number, at, verdict.reason)
    outcome = interpret(
        exit_code=verdict.exit_code,
        signal=verdict.signal,
        result=verdict.result,
        result_oversized=verdict.result_oversized,
        timed_out=verdict.timed_out,
        cancelled=verdict.cancelled,
        refused=verdict.refused,
        note=f"{verdict.log_truncated} bytes of its log were cut" if verdict.log_truncated else None,
    )
    specs: tuple[TaskSpec, ...] = ()
    if outcome.tasks:
        read, faults = read_tasks(list(outcome.tasks), "/tasks", library.describe)
        if faults:
            named = "; ".join(f"{fault.pointer}: {fault.detail}" for fault in faults[:FAULTS_NAMED_MAX])
            more = f" (and {len(faults) - FAULTS_NAMED_MAX} more)" if len(faults) > FAULTS_NAMED_MAX else ""
            outcome = replace(outcome, error=TaskError("bad_expansion", named + more, retryable=False))
        else:
            specs = tuple(read)
    return events.AttemptEnded(seq, number, at, outcome, specs, fraction, verdict.ended_at or None)


def is_large(fact: Fact) -> bool:
    """Whether reading it would hold the others up."""
    if not isinstance(fact, AttemptEnded) or not isinstance(fact.verdict, Exited):
        return False
    return len(fact.verdict.result or b"") > 64 * 1024
