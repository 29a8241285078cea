"""The event file: every line once, at offsets that do not depend on who reads when."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from provisioning_orchestrator.ports import AttemptReported, Vanished
from provisioning_orchestrator.runner.reports import LINE_BYTES_MAX, LINES_MAX, ReportReader
from provisioning_orchestrator.testing.dispatch_suite import an_id, until

from .host import Host, run, shim_of


def read_whole(path: Path) -> list[AttemptReported]:
    return ReportReader(an_id(1), str(path)).read(final=True)


def records(facts: list[AttemptReported]) -> list[dict[str, Any]]:
    return [record for fact in facts for record in fact.records]


def contiguous(facts: list[AttemptReported]) -> bool:
    return all(one.next_offset == two.offset for one, two in pairwise(facts))


def test_a_missing_file_reports_nothing(tmp_path: Path) -> None:
    assert read_whole(tmp_path / "none") == []


def test_lines_blank_lines_and_a_last_one_without_a_newline(tmp_path: Path) -> None:
    file = tmp_path / "events"
    file.write_bytes(b'\n\n{"a": 1}\n \n{"b": "\xc3\xa9"}\n\n{"c": 3}')
    facts = read_whole(file)
    assert records(facts) == [{"a": 1}, {"b": "é"}, {"c": 3}]
    assert facts[0].offset == 0 and contiguous(facts) and facts[-1].next_offset == file.stat().st_size


@pytest.mark.parametrize(
    "line",
    [b"no json", b"[1]", b'"text"', b"{", b'{"a": NaN}', b'{"a": "\\ud800"}', b"\xff\xfe", b"[" * 60_000, b"9" * 5000],
)
def test_what_is_no_json_object_is_told_as_unreadable_and_the_rest_is_read(tmp_path: Path, line: bytes) -> None:
    file = tmp_path / "events"
    file.write_bytes(line + b'\n{"after": true}\n')
    first, second = records(read_whole(file))
    assert first["type"] == "unreadable" and first["reason"]
    assert second == {"after": True}
    json.dumps(first, allow_nan=False).encode()


def test_a_line_may_be_as_long_as_its_limit_and_no_longer(tmp_path: Path) -> None:
    file = tmp_path / "events"
    fits = b'{"a":"' + b"x" * (LINE_BYTES_MAX - 8) + b'"}'
    assert len(fits) == LINE_BYTES_MAX
    file.write_bytes(fits + b"\n" + fits[:-2] + b'y"}\n' + b"z" * 3_000_000 + b'\n{"after": 1}\n')
    one, two, three, four = records(read_whole(file))
    assert len(one["a"]) == LINE_BYTES_MAX - 8
    assert two["type"] == three["type"] == "unreadable" and four == {"after": 1}
    assert contiguous(read_whole(file))


def test_too_many_lines_end_in_one_record_that_says_so(tmp_path: Path) -> None:
    file = tmp_path / "events"
    file.write_bytes(b"{}\n" * (LINES_MAX + 10))
    facts = records(read_whole(file))
    assert len(facts) == LINES_MAX + 1 and str(LINES_MAX) in facts[-1]["reason"]


@pytest.mark.parametrize("seed", range(20))
def test_whoever_reads_while_it_grows_gets_the_facts_of_who_reads_it_at_the_end(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    lines = [
        b"\n" * chance.randrange(3) + json.dumps({"n": n, "x": "y" * chance.randrange(200)}).encode() for n in range(50)
    ]
    content = b"\n".join(lines) + b"z" * chance.randrange(100_000)
    file = tmp_path / "events"
    reader = ReportReader(an_id(1), str(file))
    facts: list[AttemptReported] = []
    with file.open("ab") as growing:
        done = 0
        while done < len(content):
            step = chance.randrange(1, 4000)
            growing.write(content[done : done + step])
            growing.flush()
            done += step
            facts += reader.read(final=False)
    facts += reader.read(final=True)
    assert facts == read_whole(file)
    assert facts == read_whole(file) and reader.read(final=True) == []


def test_reports_come_while_the_operation_runs(tmp_path: Path) -> None:
    host = Host(tmp_path)
    code = f"""echo '{{"type":"progress","message":"one"}}' >> "$PROVISIONING_EVENTS"
while ! test -e {host.path}/go; do sleep 0.02; done
echo '{{"type":"progress","message":"two"}}' >> "$PROVISIONING_EVENTS" """
    operation = host.operation("reports", code)

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await dispatch.start(host.spec(operation))
            await until(lambda: len(listener.records(an_id(1))) == 1)
            (host.path / "go").touch()
            await listener.end_of(an_id(1))
            assert [record["message"] for record in listener.records(an_id(1))] == ["one", "two"]

    run(body())


def test_what_was_reported_before_the_shim_was_shot_comes_before_the_verdict(tmp_path: Path) -> None:
    host = Host(tmp_path)
    code = f"""echo '{{"type":"resource.created","kind":"server","id":"s"}}' >> "$PROVISIONING_EVENTS"
touch {host.path}/up; sleep 60"""
    operation = host.operation("reports", code)

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await dispatch.start(host.spec(operation))
            await until(lambda: (host.path / "up").exists())
            os.kill(shim_of(host, an_id(1)), signal.SIGKILL)
            assert isinstance(await listener.end_of(an_id(1)), Vanished)
            assert [record["id"] for record in listener.records(an_id(1))] == ["s"]
            assert isinstance(listener.facts[0], AttemptReported)

    run(body())


def test_very_many_reports_do_not_hold_up_the_loop(tmp_path: Path) -> None:
    host = Host(tmp_path)
    code = (
        'yes \'{"type":"progress","message":"xxxxxxxxxxxxxxxxxxxxxxxxxx"}\' | head -n 15000 >> "$PROVISIONING_EVENTS"'
    )
    operation = host.operation("reports", code)

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await dispatch.start(host.spec(operation))
            await listener.end_of(an_id(1))
            await asyncio.sleep(0)
            assert len(listener.records(an_id(1))) == 15_000

    run(body())
