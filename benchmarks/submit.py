"""How long a submission takes until it is durable: one task, one client, one connection that is kept.

    python -m benchmarks.submit [--count 2000] [--runs 3]

- queued: the one slot is taken, so nothing but submissions goes on.
- running: ten slots, each submitted task (`/bin/true`) is started and ended meanwhile.

Yardsticks in the same run: a GET of /health over the same connection (what HTTP alone costs) and a write of 4 KiB with
fdatasync to the same file system (what durable alone costs). The aim is p50 ≤ 1.5 ms and p99 ≤ 5 ms for `queued`.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

LIBRARY = Path(__file__).parent / "library"


class Serving:
    """A daemon of its own in a directory, and one connection to it."""

    def __init__(self, directory: Path, slots: int) -> None:
        data = directory / "data"
        command = [sys.executable, "-m", "provisioning_orchestrator", "serve", "--port", "0", "--data-dir", str(data)]
        command += ["--library", str(LIBRARY), "--library", str(directory), "--slots", str(slots)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout is not None
        found = re.search(r":(\d+) \(", self.process.stdout.readline())
        assert found, "the daemon did not start"
        self.connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=60)
        token = (data / "token").read_text().strip()
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.sent = 0

    def submit(self, operation: str = "bench/true") -> None:
        self.sent += 1
        body = json.dumps({"name": "bench", "tasks": [{"id": "a", "operation": operation}]})
        self.connection.request("POST", "/workflows", body, {**self.headers, "Idempotency-Key": f"bench-{self.sent}"})
        answer = self.connection.getresponse()
        text = answer.read()
        assert answer.status == 202, text

    def health(self) -> None:
        self.connection.request("GET", "/health")
        self.connection.getresponse().read()

    def stop(self) -> None:
        self.connection.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def times(work: Callable[[], None], count: int) -> list[float]:
    """Seconds of each call, sorted; the first tenth, in which everything warms up, is left out."""
    taken = []
    for _ in range(count + count // 10):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return sorted(taken[count // 10 :])


def synced_write(directory: Path) -> Callable[[], None]:
    descriptor = os.open(directory / "yardstick", os.O_WRONLY | os.O_CREAT, 0o600)
    block = b"x" * 4096

    def write() -> None:
        os.write(descriptor, block)
        os.fdatasync(descriptor)

    return write


def show(name: str, taken: list[float], yardstick_s: float) -> None:
    p50, p99 = statistics.median(taken), taken[len(taken) * 99 // 100]
    print(
        f"{name:<14} p50 {p50 * 1e3:6.2f} ms   p99 {p99 * 1e3:6.2f} ms   {1 / statistics.fmean(taken):7.0f}/s   "
        f"{p50 / yardstick_s:5.2f} × a synced write"
    )


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--count", type=int, default=2_000)
    arguments.add_argument("--runs", type=int, default=3)
    options = arguments.parse_args()
    for _ in range(options.runs):
        with tempfile.TemporaryDirectory() as path:
            directory = Path(path)
            holding = directory / "bench" / "hold"
            holding.parent.mkdir()
            holding.write_text(f"#!/bin/sh\nwhile [ -e {holding} ]; do sleep 0.1; done\n")
            holding.chmod(0o755)
            written = times(synced_write(directory), options.count)
            yardstick_s = statistics.median(written)
            show("synced write", written, yardstick_s)
            for name, slots in (("queued", 1), ("running", 10)):
                serving = Serving(directory, slots)
                try:
                    show("GET /health", times(serving.health, options.count), yardstick_s)
                    if name == "queued":
                        serving.submit("bench/hold")
                    show(name, times(serving.submit, options.count), yardstick_s)
                finally:
                    serving.stop()
                    subprocess.run(["rm", "-rf", str(directory / "data")], check=False) if name == "queued" else None
            holding.unlink()


if __name__ == "__main__":
    main()
