"""What it costs to take secrets out of a log: MB/s of lines in chunks of 64 KiB, the time for one short line, and for
the making of a redactor, which each attempt with secrets does once.

python benchmarks/redaction.py [--rounds 7]      the best of that many rounds is told
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable

from provisioning_core.secrets.redaction import Redactor

LINE = b"2026-11-23 09:12:31 task 7: created server web-1 at 10.0.0.1, waiting for ssh to answer (0.31 s)\n"
CODED = b'{"level":"info","ts":"2026-11-23T09:12:31Z","id":"ZWxlcGhhbnRzIGFuZCBjb3dz","path":"C:\\\\x\\\\%41"}\n'


def secrets(count: int) -> dict[str, str]:
    chance = random.Random(5)
    return {f"s{number}": f"Pw{number}-{chance.getrandbits(64):x}-\"q'" for number in range(count)}


def best(rounds: int, times: int, call: Callable[[], object]) -> float:
    """Seconds of one call."""
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(times):
            call()
        took.append((time.perf_counter() - began) / times)
    return min(took)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    for count in (1, 20, 256):
        given = secrets(count)
        redactor = Redactor(given)
        made = best(1 if count > 20 else rounds, 1, lambda given=given: Redactor(given))  # type: ignore[misc]
        speeds = []
        for line in (LINE, CODED):
            chunk = line * (65_536 // len(line))
            took = best(rounds, 5, lambda chunk=chunk, redactor=redactor: redactor.part(chunk))  # type: ignore[misc]
            speeds.append(len(chunk) / took / 1e6)
        short = best(rounds, 200, lambda redactor=redactor: redactor.part(b"a short line of a log\n"))  # type: ignore[misc]
        sys.stdout.write(
            f"{count:>3} secrets: plain lines {speeds[0]:6.1f} MB/s, JSON and codes {speeds[1]:6.1f} MB/s, "
            f"a line {short * 1e6:7.1f} µs, made in {made * 1e3:6.1f} ms\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
