"""What the store costs: durable appends, submissions, loads and point reads. Prints figures; no thresholds.

python benchmarks/store.py [--directory DIR]      DIR: on the disk to be measured; a temporary one in it is used
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from provisioning_orchestrator.ports import Store
from provisioning_orchestrator.store import SqliteStore
from provisioning_orchestrator.testing.store_world import a_row, a_task, an_event, ended, started, submit

IN_FLIGHT = 32
TRANSITIONS = 2_000


async def main(directory: Path) -> None:
    started_at = time.perf_counter()
    store = await SqliteStore.open(directory, print)
    say("open a new store", ms=(time.perf_counter() - started_at) * 1e3)
    say("fdatasync of 4 KiB in this directory, median", ms=sync_ms(directory))
    await singles(store)
    await in_flight(store)
    await in_flight_while_busy(store)
    await submissions(store)
    await large(store)
    await reads(store)
    started_at = time.perf_counter()
    await store.close()
    say("close", ms=(time.perf_counter() - started_at) * 1e3)
    started_at = time.perf_counter()
    store = await SqliteStore.open(directory, print)
    say("open it again", ms=(time.perf_counter() - started_at) * 1e3)
    started_at = time.perf_counter()
    await store.check()
    size = (directory / "orchestrator.db").stat().st_size / 1e6
    say(f"quick_check of {size:.0f} MB", ms=(time.perf_counter() - started_at) * 1e3)
    await store.close()


async def singles(store: Store) -> None:
    """One after the other: a task change, an attempt and an event each."""
    await submit(store, "wf_single", TRANSITIONS // 2)
    latencies = []
    for seq in range(1, TRANSITIONS // 2 + 1):
        for changes in (started(seq, 2 * seq), ended(seq, 2 * seq + 1)):
            began = time.perf_counter()
            await store.append("wf_single", changes.events[0].sequence - 1, changes)
            latencies.append((time.perf_counter() - began) * 1e3)
    say("append, one at a time", per_s=len(latencies) / sum(latencies) * 1e3, **spread(latencies))


async def in_flight(store: Store) -> None:
    """32 workflows, each with one append under way."""
    say(f"append, {IN_FLIGHT} in flight", **await transitions(store, "wf_many"))


async def in_flight_while_busy(store: Store) -> None:
    """The same beside an event loop that computes three quarters of the time."""
    stop = False

    async def compute() -> None:
        while not stop:
            until = time.perf_counter() + 0.0003
            while time.perf_counter() < until:
                pass
            await asyncio.sleep(0.0001)

    other = asyncio.ensure_future(compute())
    figures = await transitions(store, "wf_busy")
    stop = True
    await other
    say(f"append, {IN_FLIGHT} in flight, loop 3/4 busy", **figures)


async def transitions(store: Store, name: str) -> dict[str, float]:
    per_workflow = TRANSITIONS // IN_FLIGHT // 2
    for n in range(IN_FLIGHT):
        await submit(store, f"{name}_{n}", per_workflow)
    latencies = []

    async def one(id: str) -> None:
        for seq in range(1, per_workflow + 1):
            for changes in (started(seq, 2 * seq), ended(seq, 2 * seq + 1)):
                began = time.perf_counter()
                await store.append(id, changes.events[0].sequence - 1, changes)
                latencies.append((time.perf_counter() - began) * 1e3)

    writer = next(thread for thread in threading.enumerate() if thread.name == "store-writer")
    cpu = thread_cpu_s(writer)
    began = time.perf_counter()
    await asyncio.gather(*(one(f"{name}_{n}") for n in range(IN_FLIGHT)))
    wall = time.perf_counter() - began
    cpu = thread_cpu_s(writer) - cpu
    return {"per_s": len(latencies) / wall, "writer_cpu_us": cpu / len(latencies) * 1e6, **spread(latencies)}


async def submissions(store: Store) -> None:
    for count, times in ((1, 200), (1_000, 20)):
        tasks = [a_task(seq, needs=(seq - 1,) if seq > 1 else ()) for seq in range(1, count + 1)]
        latencies = []
        for n in range(times):
            began = time.perf_counter()
            await store.submit(a_row(f"wf_{count}_{n}", count), tasks, [an_event(1)], None)
            latencies.append((time.perf_counter() - began) * 1e3)
        say(f"submit {count} tasks", **spread(latencies))


async def large(store: Store) -> None:
    """100,000 tasks with 300,000 needs, while somebody else appends."""
    tasks = [a_task(seq, needs=tuple(n for n in (seq - 1, seq - 7, seq - 1000) if n > 0)) for seq in range(1, 100_001)]
    await submit(store, "wf_beside", 1)
    done = False
    latencies = []

    async def beside() -> None:
        sequence = 1
        while not done:
            began = time.perf_counter()
            await store.append("wf_beside", sequence, started(1, sequence + 1))
            sequence += 1
            latencies.append((time.perf_counter() - began) * 1e3)

    other = asyncio.ensure_future(beside())
    took = await timed(lambda: store.submit(a_row("wf_large", len(tasks)), tasks, [an_event(1)], None))
    done = True
    await other
    say("submit 100,000 tasks, 300,000 needs", ms=took)
    say("  append of another workflow meanwhile", **spread(latencies))
    say("load 100,000 tasks", ms=await timed(lambda: store.load("wf_large")))


async def reads(store: SqliteStore) -> None:
    questions: dict[str, Callable[[], object]] = {
        "workflow with counts (100,000 tasks)": lambda: store.records.workflow("wf_large"),
        "task": lambda: store.records.task("wf_large", "t50000"),
        "task_input": lambda: store.task_input("wf_large", 50_000),
        "page of 100 tasks": lambda: store.records.tasks(workflow="wf_large", status=None, cursor=None, limit=100),
        "page of 1,000 tasks": lambda: store.records.tasks(workflow="wf_large", status=None, cursor=None, limit=1000),
        "failed tasks of 100,000 (none)": lambda: store.records.tasks(
            workflow="wf_large", status="failed", cursor=None, limit=100
        ),
        "page of 100 workflows": lambda: store.records.workflows(status=None, cursor=None, limit=100),
        "100 events": lambda: store.records.events("wf_single", after=500, limit=100),
    }
    for name, question in questions.items():
        latencies = []
        for _ in range(30):
            began = time.perf_counter()
            question()
            latencies.append((time.perf_counter() - began) * 1e3)
        say(name, **spread(latencies))


async def timed(call: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await call()
    return (time.perf_counter() - began) * 1e3


def spread(latencies: list[float]) -> dict[str, float]:
    ordered = sorted(latencies)
    return {"p50_ms": statistics.median(ordered), "p99_ms": ordered[int(len(ordered) * 0.99)], "max_ms": ordered[-1]}


def sync_ms(directory: Path) -> float:
    path = directory / "probe"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    latencies = []
    for _ in range(50):
        began = time.perf_counter()
        os.write(descriptor, bytes(4096))
        os.fdatasync(descriptor)
        latencies.append((time.perf_counter() - began) * 1e3)
    os.close(descriptor)
    path.unlink()
    return statistics.median(latencies)


def thread_cpu_s(thread: threading.Thread) -> float:
    """CPU seconds of a thread; Linux only, 0.0 elsewhere."""
    try:
        fields = Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text().split()
    except OSError:
        return 0.0
    return int(fields[0]) / 1e9


def say(what: str, **figures: float) -> None:
    print(f"{what:45}", "  ".join(f"{name} {value:,.2f}" for name, value in figures.items()), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, default=None)
    with tempfile.TemporaryDirectory(dir=parser.parse_args().directory, prefix="store-benchmark-") as scratch:
        asyncio.run(main(Path(scratch)))
