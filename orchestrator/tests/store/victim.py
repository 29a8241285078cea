"""A child that writes as fast as it can until it is killed, and says on its output what was acknowledged.

python victim.py DIR ROUND
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from provisioning_orchestrator.store import SqliteStore, writer
from provisioning_orchestrator.testing.store_world import ended, started, submit

TASKS = 30


def say(workflow: str, sequence: int) -> None:
    os.write(1, f"{workflow} {sequence}\n".encode())


async def live(store: SqliteStore, workflow: str) -> None:
    await submit(store, workflow, TASKS)
    say(workflow, 1)
    for seq in range(1, TASKS + 1):
        for changes in (started(seq, 2 * seq), ended(seq, 2 * seq + 1)):
            await store.append(workflow, changes.events[0].sequence - 1, changes)
            say(workflow, changes.events[0].sequence)


async def large(store: SqliteStore, workflow: str) -> None:
    await submit(store, workflow, 5_000)
    say(workflow, 1)


async def main(directory: Path, round_: str) -> None:
    writer.CHECKPOINT_WEIGHT = 60  # checkpoint all the time
    store = await SqliteStore.open(directory, print)
    say("opened", 0)
    wishes = [live(store, f"wf_{round_}_{n}") for n in range(8)]
    await asyncio.gather(*wishes, large(store, f"wf_{round_}_large"))
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
