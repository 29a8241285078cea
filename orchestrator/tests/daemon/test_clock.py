"""Ids sort by time, and logs stay one line each."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Callable
from functools import partial

import pytest
import uvloop

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


@pytest.mark.parametrize("new_loop", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_no_delay_is_shorter_than_was_asked_for(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    asked = [0.0, 0.0001, 0.0004, 0.0006, 0.001, 0.0014, 0.0016, 0.0103, 0.0197] * 20

    async def waited() -> list[tuple[float, float]]:
        clock, loop = SystemClock(), asyncio.get_running_loop()
        found: list[tuple[float, float]] = []
        done = loop.create_future()

        def fired(delay_s: float, begun: float) -> None:
            found.append((delay_s, time.monotonic() - begun))
            if len(found) == len(asked):
                done.set_result(None)

        for delay_s in asked:
            clock.call_later(delay_s, partial(fired, delay_s, time.monotonic()))
            await asyncio.sleep(0)
        await asyncio.wait_for(done, 20)
        return found

    with asyncio.Runner(loop_factory=new_loop) as runner:
        found = runner.run(waited())
    assert [one for one in found if one[1] < one[0]] == []


def test_a_delay_can_be_called_off() -> None:
    async def called_off() -> bool:
        fired = asyncio.Event()
        SystemClock().call_later(0.001, fired.set)()
        SystemClock().call_later(0.005, (over := asyncio.Event()).set)
        await asyncio.wait_for(over.wait(), 20)
        return not fired.is_set()

    assert asyncio.run(called_off())


def test_nothing_in_a_message_breaks_or_forges_a_line() -> None:
    hostile = 'x\n{"level": "error"}\x1b[2J\x9b\x7f\u202e\u2028\ud800'
    record = logging.LogRecord("provisioning_orchestrator.api", logging.INFO, "", 0, "got %s", (hostile,), None)
    line = JsonLines().format(record)
    assert re.fullmatch(r"[ -~]+", line)
    found = json.loads(line)
    assert (found["message"], found["level"], found["logger"]) == (f"got {hostile}", "info", "api")
