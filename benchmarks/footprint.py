"""What it costs to have it: the daemon's start and idle memory, and the start of the two programs.

python -m benchmarks.footprint [--runs 5]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from acceptance.daemon import Daemon

LIBRARY = Path(__file__).parent / "library"


def daemon_start_and_memory() -> tuple[float, float]:
    """Seconds to the first answer of a daemon that is ready, and its idle RSS in MB (its helper included)."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        daemon = Daemon(Path(scratch), Path(scratch), ("--library", str(LIBRARY)))
        begun = time.perf_counter()
        daemon.start()
        took = time.perf_counter() - begun
        resident = _resident_mb(daemon.pid)
        daemon.stop()
    return took, resident


def _resident_mb(pid: int) -> float:
    """Proportional share of the process and its children, which share most pages with it."""
    pids = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        pids += [int(child) for child in (task / "children").read_text().split()]
    total = 0.0
    for each in pids:
        for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) / 1024
    return total


def time_command(command: list[str], runs: int) -> float:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    took = []
    for _ in range(runs + 1):
        begun = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
        took.append(time.perf_counter() - begun)
    return statistics.median(took[1:])  # the first one writes the .pyc files


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    starts, resident = zip(*(daemon_start_and_memory() for _ in range(options.runs)), strict=True)
    bare = time_command([sys.executable, "-c", "pass"], options.runs)
    program = str(Path(sys.executable).parent / "provisioning")
    version = time_command([program, "--version"], options.runs)
    sys.stdout.write(f"daemon ready       {statistics.median(starts):.3f} s\n")
    sys.stdout.write(f"daemon idle        {statistics.median(resident):.1f} MB (PSS, with its helper)\n")
    sys.stdout.write(f"bare python        {bare:.3f} s\n")
    sys.stdout.write(f"provisioning --version {version:.3f} s   {version / bare:.1f} x bare python\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
