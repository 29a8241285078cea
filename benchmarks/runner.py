"""What the runner alone costs: N times `true` at 10 in parallel, as a ratio to `xargs -P10` in the same run.

python benchmarks/runner.py [--count 1000] [--parallel 10] [--rounds 3] [--sync] [--dir DIR] [--loop uvloop]
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from provisioning_orchestrator.ports import AttemptEnded, AttemptId, AttemptSpec, Exited
from provisioning_orchestrator.runner import LibraryFiles, LocalDispatch


async def attempts(directory: Path, workflow: str, count: int, parallel: int, sync: bool) -> float:
    """Seconds that `count` attempts take, opening and closing of the dispatch left out."""
    library = directory / "library"
    (library / "test").mkdir(parents=True, exist_ok=True)
    operation = library / "test" / "true"
    if not operation.exists():
        shutil.copy(shutil.which("true") or "/bin/true", operation)
    dispatch = LocalDispatch(
        directory / "data",
        LibraryFiles([library]),
        python=Path(sys.executable),
        nu=None,
        workspace=None,
        sync_attempts=sync,
    )
    await dispatch.open()
    free = asyncio.Semaphore(parallel)
    ended = asyncio.Event()
    codes: list[int | None] = []

    async def listen() -> None:
        async for fact in dispatch.facts():
            if isinstance(fact, AttemptEnded):
                codes.append(fact.verdict.exit_code if isinstance(fact.verdict, Exited) else None)
                free.release()
                if len(codes) == count:
                    ended.set()

    listener = asyncio.create_task(listen())
    began = time.perf_counter()
    for number in range(1, count + 1):
        await free.acquire()
        await dispatch.start(AttemptSpec(AttemptId(workflow, number, 1), "test/true", b"{}", 60.0, 5.0, 1))
    await ended.wait()
    took = time.perf_counter() - began
    listener.cancel()
    await dispatch.close()
    assert codes == [0] * count, f"{sum(code != 0 for code in codes)} attempts did not exit with 0"
    return took


def xargs(count: int, parallel: int) -> float:
    began = time.perf_counter()
    numbers = "\n".join(map(str, range(count)))
    subprocess.run(["xargs", f"-P{parallel}", "-n1", "true"], input=numbers, text=True, check=True)
    return time.perf_counter() - began


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--count", type=int, default=1000)
    arguments.add_argument("--parallel", type=int, default=10)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--sync", action="store_true")
    arguments.add_argument("--dir", default=None)
    arguments.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    options = arguments.parse_args()
    factory = None
    if options.loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with tempfile.TemporaryDirectory(dir=options.dir) as directory:
        ours, theirs = [], []
        for turn in range(options.rounds):
            theirs.append(xargs(options.count, options.parallel))
            with asyncio.Runner(loop_factory=factory) as runner:
                body = attempts(Path(directory), f"wf_{turn}", options.count, options.parallel, options.sync)
                ours.append(runner.run(body))
    runner_s, xargs_s = statistics.median(ours), statistics.median(theirs)
    print(
        f"{options.count} attempts at {options.parallel} in parallel: runner {runner_s:.3f} s, xargs {xargs_s:.3f} s, "
        f"ratio {xargs_s / runner_s:.2f}; {runner_s / options.count * 1e3:.2f} ms each (rounds: "
        f"{' '.join(f'{each:.2f}' for each in ours)})"
    )


if __name__ == "__main__":
    main()
