"""Reads that may be large: they run in worker threads, on read-only connections of their own."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from provisioning_orchestrator.ports import NotFound, StoreCorrupt, StoreFailed, UnreadableRecord
from provisioning_orchestrator.workflow.records import Snapshot

from .connection import in_one_transaction, open_reader, translated
from .rows import Decoder, first_place, last_place
from .statements import READ

THREADS = 2

T = TypeVar("T")


class Loader:
    """A few threads and as many connections, opened when first needed."""

    def __init__(self, path: Path, factory: type[sqlite3.Connection] = sqlite3.Connection) -> None:
        self._path = path
        self._factory = factory
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="store-reader")
        self._idle: list[sqlite3.Connection] = []
        self._busy: set[sqlite3.Connection] = set()
        self._closed = False

    async def load(self, workflow: str) -> Snapshot:
        return await self._run(lambda connection: _snapshot(connection, workflow))

    async def unfinished(self) -> list[str]:
        return await self._run(lambda connection: [row[0] for row in connection.execute(READ["unfinished"])])

    async def check(self) -> None:
        """Raises StoreCorrupt with what quick_check found."""
        await self._run(_quick_check)

    def close(self) -> None:
        """Interrupts what still runs; it raises StoreFailed."""
        self._closed = True
        for connection in list(self._busy):
            connection.interrupt()
        self._threads.shutdown(wait=True)
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    async def _run(self, question: Callable[[sqlite3.Connection], T]) -> T:
        if self._closed:
            raise StoreFailed("the store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, question)

    def _ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection = self._idle.pop() if self._idle else open_reader(self._path, self._factory, any_thread=True)
            self._busy.add(connection)
            try:
                if self._closed:
                    raise StoreFailed("the store is closed")
                return in_one_transaction(connection, lambda: question(connection))
            finally:
                self._busy.discard(connection)
                self._idle.append(connection)
        except sqlite3.Error as error:
            raise translated(error, "cannot read") from error


def _snapshot(connection: sqlite3.Connection, workflow: str) -> Snapshot:
    decoder = Decoder()
    try:
        found = connection.execute(READ["workflow"], (workflow,)).fetchone()
        if found is None:
            raise NotFound(f"no workflow {workflow!r}")
        row = decoder.workflow(found)
        within = (first_place(found[0]), last_place(found[0]))
        tasks = tuple(map(decoder.task, connection.execute(READ["load_tasks"], within)))
        attempts = tuple(map(decoder.attempt, connection.execute(READ["load_attempts"], within)))
    except sqlite3.OperationalError as error:
        if "decode to UTF-8" in str(error):
            raise UnreadableRecord(f"a text of workflow {workflow!r} is not UTF-8 ({error})") from error
        raise
    for expected, (task, _) in enumerate(tasks, 1):
        if task.seq != expected:
            raise UnreadableRecord(f"task {expected} of workflow {workflow!r} is missing")
    return Snapshot(row, tasks, attempts)


def _quick_check(connection: sqlite3.Connection) -> None:
    try:
        found = [row[0] for row in connection.execute("PRAGMA quick_check(20)")]
    except sqlite3.DatabaseError as error:
        failure = translated(error, "the check of the database")
        if isinstance(failure, StoreCorrupt):
            raise failure from error
        raise
    if found != ["ok"]:
        raise StoreCorrupt(f"the check of the database found: {'; '.join(found)}; restore a backup")
