"""Ids sort by time, and logs stay one line each."""

from __future__ import annotations

import json
import logging
import re

from provisioning_orchestrator.clock import SystemChance, SystemClock
from provisioning_orchestrator.logs import JsonLines


def test_workflow_ids_only_grow_also_when_the_clock_does_not() -> None:
    moments = iter([5, 5, 5, 4, 3, 6, 1 << 40] + [1 << 40] * 1_000)
    chance = SystemChance(lambda: next(moments))
    ids = [chance.workflow_id() for _ in range(1_007)]
    assert ids == sorted(set(ids))
    assert all(re.fullmatch(r"wf_[0-9a-hjkmnp-tv-z]{26}", id) for id in ids)


def test_ids_of_later_processes_sort_later() -> None:
    early, late = SystemChance(lambda: 1_000), SystemChance(lambda: 1_001)
    assert early.workflow_id() < late.workflow_id()


def test_the_clock_counts_microseconds() -> None:
    clock = SystemClock()
    one, two = clock.now(), clock.now()
    assert 0 <= two - one < 60_000_000
    assert 1_600_000_000_000_000 < one < 4_000_000_000_000_000


def test_nothing_in_a_message_breaks_or_forges_a_line() -> None:
    hostile = 'x\n{"level": "error"}\x1b[2J\x9b\x7f\u202e\u2028\ud800'
    record = logging.LogRecord("provisioning_orchestrator.api", logging.INFO, "", 0, "got %s", (hostile,), None)
    line = JsonLines().format(record)
    assert re.fullmatch(r"[ -~]+", line)
    found = json.loads(line)
    assert (found["message"], found["level"], found["logger"]) == (f"got {hostile}", "info", "api")
