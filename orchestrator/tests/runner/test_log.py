"""The log: byte for byte, capped without hurting its writer, readable by offsets while it grows."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

import pytest

from provisioning_orchestrator.ports import LogChunk
from provisioning_orchestrator.runner.logcap import HEAD, TAIL_MAX, TAIL_MIN
from provisioning_orchestrator.testing.dispatch_suite import an_id

from .host import Host, run


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


async def whole(dispatch: object, limit: int = 1 << 20) -> tuple[bytes, int]:
    """All that is left of the log, read in pieces, and the bytes that were cut."""
    data, cut, offset = b"", 0, 0
    while True:
        chunk: LogChunk = await dispatch.log(an_id(1), offset, limit)  # type: ignore[attr-defined]
        assert chunk.offset == offset and chunk.next_offset == offset + chunk.hole + len(chunk.data)
        data += chunk.data
        cut += chunk.hole
        offset = chunk.next_offset
        if chunk.ended:
            return data, cut


def test_a_mebibyte_of_random_bytes_arrives_as_it_is(host: Host) -> None:
    content = os.urandom(1 << 20)
    (host.path / "random").write_bytes(content)

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await dispatch.start(
                host.spec(host.operation("copies", f"cat {host.path}/random; cat {host.path}/random >&2"))
            )
            verdict = await listener.end_of(an_id(1))
            assert verdict.log_truncated == 0
            assert await whole(dispatch, 100_001) == (content + content, 0)

    run(body())


WRITES = """
import hashlib, os, sys
digests = {"all": 0}
block = b"".join(b"%015d\\n" % n for n in range(65536))
for turn in range(60):
    data = block.replace(b"0000", b"%04d" % turn)
    os.write(1, data)
"""


def test_sixty_mebibytes_leave_head_and_tail_and_every_offset_stays_valid(host: Host) -> None:
    operation = host.operation("writes.py", WRITES)
    block = b"".join(b"%015d\n" % n for n in range(65536))
    expected = b"".join(block.replace(b"0000", b"%04d" % turn) for turn in range(60))

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await dispatch.start(host.spec(operation))
            verdict = await listener.end_of(an_id(1))
            assert verdict.exit_code == 0, "the cap must not hurt its writer"
            data, cut = await whole(dispatch)
            assert cut == verdict.log_truncated > 0
            assert len(data) + cut == len(expected)
            head, tail = data[:HEAD], data[HEAD:]
            assert head == expected[:HEAD] and tail == expected[-len(tail) :]
            assert TAIL_MIN <= len(tail) <= TAIL_MAX
            # Also from the middle of the hole, and with a piece that would run into it.
            middle = await dispatch.log(an_id(1), 20 << 20, 16)
            assert middle.hole == HEAD + cut - (20 << 20) and middle.data == tail[:16]
            edge = await dispatch.log(an_id(1), HEAD - 8, 100)
            assert (edge.data, edge.hole) == (expected[HEAD - 8 : HEAD], 0)

    run(body())
    status = host.file(an_id(1), ".log").stat()
    assert status.st_size == len(expected) and status.st_blocks * 512 <= HEAD + TAIL_MAX + (1 << 20)


@pytest.mark.slow
def test_a_fast_writer_never_takes_much_more_room_than_the_cap(host: Host) -> None:
    operation = host.operation("floods", "head -c 1500000000 /dev/zero | tr '\\0' x")
    room = []

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await dispatch.start(host.spec(operation))
            end = asyncio.create_task(listener.end_of(an_id(1)))
            while not end.done():
                if host.file(an_id(1), ".log").exists():
                    room.append(host.file(an_id(1), ".log").stat().st_blocks * 512)
                await asyncio.sleep(0.01)
            assert (await end).exit_code == 0

    run(body())
    assert max(room) < 200 << 20, f"{max(room) >> 20} MiB on the disk at once"


def test_a_follower_sees_every_byte_once_while_it_is_written(host: Host) -> None:
    operation = host.operation("writes", "for n in $(seq 1 300); do echo line $n; done; sleep 0.3; echo end")

    async def body() -> bytes:
        async with host.opened() as (dispatch, _):
            await dispatch.start(host.spec(operation))
            seen, offset = b"", 0
            async with asyncio.timeout(20):
                while True:
                    await dispatch.log_grown(an_id(1), offset)
                    chunk = await dispatch.log(an_id(1), offset, 1000)
                    seen += chunk.data
                    offset = chunk.next_offset
                    if chunk.ended:
                        return seen

    expected = b"".join(b"line %d\n" % n for n in range(1, 301)) + b"end\n"
    assert hashlib.sha256(run(body())).digest() == hashlib.sha256(expected).digest()
