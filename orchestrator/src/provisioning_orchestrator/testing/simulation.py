"""A deterministic simulation: the real engine on virtual time, in a world that crashes it, lies late and forgets.

    python -m provisioning_orchestrator.testing.simulation --seeds 10000 --start 0
    python -m provisioning_orchestrator.testing.simulation --start 4711 --trace          one seed, step by step
    python -m provisioning_orchestrator.testing.simulation --plant requeue-alive         a fault that must be found
    python -m provisioning_orchestrator.testing.simulation --scenario kept.json          one that was kept

A seed is drawn into a scenario, a scenario is lived through, and a ledger watches. The same scenario gives the same
trace, on any machine. What lives outlasts the daemon: the disk (MemoryStore), the host with its attempts (FakeWorld),
clients that ask again until they are answered, a person who resolves what is unknown, and the hand that pulls the plug.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .ledger import Violation
from .mortal_daemon import SimulatedCrash
from .plants import PLANTS, planted
from .scenario import Scenario, scenario
from .simulated_world import Simulation
from .virtual_time import Stuck, VirtualLoop


@dataclass(frozen=True, slots=True)
class Ending:
    """fault: None, or what was violated. trace: a hash of all that happened. virtual_s: how long it took over there."""

    seed: int
    fault: str | None
    trace: str
    virtual_s: float
    crashes: int
    attempts: int
    lines: tuple[str, ...] = ()


def live(what: Scenario, *, plant: str | None = None, keep: bool = False) -> Ending:
    """Live through a scenario. keep: with the lines of its trace."""
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    fault = None
    began = loop.time()
    simulation = Simulation(what, loop, keep)
    try:
        with planted(plant), simulation.armed():
            main = loop.create_task(simulation.run())
            while not main.done():
                try:
                    loop.run_until_complete(main)
                except SimulatedCrash:
                    simulation.crash()
    except Violation as violation:
        fault = str(violation)
    except Stuck as stuck:
        fault = f"stuck: {stuck}"
    except Exception as error:
        fault = f"nobody expected {error!r}"
    finally:
        simulation.forget_tasks()
        asyncio.set_event_loop(None)
        loop.close()
    ledger = simulation.ledger
    if fault is not None:
        ledger.note(f"VIOLATION: {fault}")
    return Ending(
        seed=what["seed"],
        fault=fault,
        trace=ledger.trace,
        virtual_s=loop.time() - began,
        crashes=simulation.crashes,
        attempts=len(simulation.world.attempts),
        lines=tuple(ledger.lines),
    )


def live_seed(seed: int, plant: str | None = None) -> Ending:
    return live(scenario(seed), plant=plant)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="simulation", description="Live through many seeded scenarios.")
    parser.add_argument("--seeds", type=int, default=None, help="how many (default 1000; 1 with --trace)")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument(
        "--plant", choices=sorted(PLANTS), help="plant this fault; stops at the first seed that finds it"
    )
    parser.add_argument("--trace", action="store_true", help="print all that happens")
    parser.add_argument("--scenario", type=Path, help="live through this one instead (JSON, as printed for a fault)")
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side")
    asked = parser.parse_args(argv)
    if asked.scenario is not None or asked.trace:
        kept = [json.loads(asked.scenario.read_text(encoding="utf-8"))] if asked.scenario is not None else None
        count = asked.seeds or 1
        return _show(kept or [scenario(asked.start + n) for n in range(count)], asked.plant, asked.trace)
    return _sweep(range(asked.start, asked.start + (asked.seeds or 1_000)), asked.plant, asked.jobs)


def _show(scenarios: list[Scenario], plant: str | None, trace: bool) -> int:
    failed = 0
    for each in scenarios:
        ending = live(each, plant=plant, keep=trace)
        print(*ending.lines, sep="\n")
        print(f"seed {ending.seed}: {ending.fault or 'no fault'}; trace {ending.trace[:16]}")
        failed += ending.fault is not None
    return 1 if failed else 0


def _sweep(seeds: range, plant: str | None, jobs: int) -> int:
    began = time.perf_counter()
    virtual_s, crashes, attempts, done, found = 0.0, 0, 0, 0, 0
    with multiprocessing.Pool(jobs) if jobs > 1 else _Here() as pool:
        for ending in pool.imap(partial(live_seed, plant=plant), seeds):
            done += 1
            virtual_s += ending.virtual_s
            crashes += ending.crashes
            attempts += ending.attempts
            if ending.fault is not None:
                found += 1
                _report(ending, plant)
                if plant is not None:
                    break
    took = time.perf_counter() - began
    print(
        f"{done} seeds, {found} with a fault; {attempts} attempts, {crashes} crashes; {took:.1f} s, "
        f"{done / took:.0f} seeds/s, {virtual_s / took:.0f} times real time"
    )
    return 1 if found else 0


def _report(ending: Ending, plant: str | None) -> None:
    more = f" --plant {plant}" if plant else ""
    print(f"seed {ending.seed}: {ending.fault}")
    print(f"  again: python -m provisioning_orchestrator.testing.simulation --start {ending.seed} --trace{more}")
    print(f"  scenario: {json.dumps(scenario(ending.seed), separators=(',', ':'))}", flush=True)


class _Here:
    """A pool of one: this process."""

    imap = staticmethod(map)

    def __enter__(self) -> _Here:
        return self

    def __exit__(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    sys.exit(main())
