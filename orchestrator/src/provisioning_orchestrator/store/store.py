"""`SqliteStore`: `ports.Store` on one SQLite file, and `ports.Records` as `.records`.

    submit, append, quarantine, reign ──► Writer (one thread, the only writing connection)
    task_input, records               ──► a read-only connection in the event loop's thread: point reads and pages
    load, unfinished, check           ──► Loader (worker threads, read-only connections)

Durable means: in the write-ahead log and synced (`synchronous = FULL`) before the answer.

After a start: `was_clean` says whether the last daemon stopped in order; if not, run `check()` beside everything else.
After a failure: `failed` is set, `on_failure` was called on the loop, every call raises StoreFailed, and only a new
process may open the file again. StoreFull is no failure in this sense: nothing was written and the store goes on.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from provisioning_orchestrator.ports import Idempotency, NotFound, StoreFailed, TaskInput, UnreadableRecord
from provisioning_orchestrator.workflow.records import Changes, EventRecord, NewTask, Snapshot, WorkflowRow

from .connection import DATABASE_NAME, open_reader, translated
from .loading import Loader
from .lock import DataDirLock, lock_data_dir
from .records import SqliteRecords
from .rows import first_place
from .statements import READ
from .wishes import Answer, Append, Quarantine, Reign, Stop, Submit
from .writer import Writer


class SqliteStore:
    """Made by `open`. was_clean: True for a new file and after an orderly stop."""

    def __init__(self, writer: Writer, reader: sqlite3.Connection, loader: Loader, lock: DataDirLock | None) -> None:
        self.was_clean = True
        self.records = SqliteRecords(reader)
        self._writer = writer
        self._reader = reader
        self._loader = loader
        self._own_lock = lock
        self._closed = False

    @classmethod
    async def open(
        cls,
        data_dir: Path,
        on_failure: Callable[[Exception], None],
        *,
        lock: DataDirLock | None = None,
        factory: type[sqlite3.Connection] = sqlite3.Connection,
    ) -> SqliteStore:
        """Open or make DATA_DIR/orchestrator.db, its schema up to date.

        on_failure: called once, on the running loop, when nothing can be written any more: the daemon has to exit.
        lock: from lock_data_dir(data_dir), where the caller owns the directory already; else taken here and given back
        by close(). factory: the class of all connections, for tests that make them fail.
        Raises DataDirInUse, StoreFailed (StoreCorrupt, StoreFull; a schema newer than this program).
        """
        own_lock = None
        if lock is None:
            own_lock = lock_data_dir(data_dir)
        try:
            path = data_dir / DATABASE_NAME
            writer = Writer(path, asyncio.get_running_loop(), on_failure, factory)
            writer.start()
            was_clean = await writer.started
            try:
                reader = open_reader(path, factory)
            except sqlite3.Error as error:
                raise translated(error, f"cannot open the database {str(path)!r}") from error
        except BaseException:
            if own_lock is not None:
                own_lock.close()
            raise
        store = cls(writer, reader, Loader(path, factory), own_lock)
        store.was_clean = was_clean
        return store

    @property
    def failed(self) -> StoreFailed | None:
        """Why nothing can be written any more; None while all is well."""
        return self._writer.failed

    async def close(self) -> None:
        """Commit what is under way, mark the file clean (not after a failure), close it. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        if self._writer.failed is None:
            self._close_readers()
        answer = self._answer()
        self._writer.put(Stop(answer))
        try:
            await answer
        finally:
            self._writer.join()
            # After a failure the readers close last: a reader cannot checkpoint, and nothing may be synced any more.
            self._close_readers()
            if self._own_lock is not None:
                self._own_lock.close()

    async def check(self) -> None:
        """quick_check, in a thread. Raises StoreCorrupt with what it found."""
        await self._loader.check()

    # --- ports.Store -------------------------------------------------------------------------------------------------

    async def submit(
        self, row: WorkflowRow, tasks: Sequence[NewTask], events: Sequence[EventRecord], idempotency: Idempotency | None
    ) -> str:
        answer = self._answer_for_writing()
        self._writer.put(Submit(row, tasks, events, idempotency, answer))
        id: str = await answer
        return id

    async def append(self, workflow: str, expected_sequence: int, changes: Changes) -> None:
        answer = self._answer_for_writing()
        self._writer.put(Append(workflow, expected_sequence, changes, answer))
        await answer

    async def load(self, workflow: str) -> Snapshot:
        self._check_failed()
        return await self._loader.load(workflow)

    async def unfinished(self) -> list[str]:
        self._check_failed()
        return await self._loader.unfinished()

    async def quarantine(self, workflow: str, reason: str) -> None:
        answer = self._answer_for_writing()
        self._writer.put(Quarantine(workflow, reason, answer))
        await answer

    async def reign(self) -> int:
        answer = self._answer_for_writing()
        self._writer.put(Reign(answer))
        fence: int = await answer
        return fence

    def task_input(self, workflow: str, seq: int) -> TaskInput:
        """Raises NotFound, UnreadableRecord. A task that ended without a result counts as `null`."""
        self._check_failed()
        try:
            return self._task_input(workflow, seq)
        except sqlite3.ProgrammingError as error:
            raise StoreFailed("the store is closed") from error
        except sqlite3.Error as error:
            raise translated(error, "cannot read") from error

    # --- inside ------------------------------------------------------------------------------------------------------

    def _task_input(self, workflow: str, seq: int) -> TaskInput:
        ask = self._reader.execute
        number = ask(READ["number_of"], (workflow,)).fetchone()
        row = ask(READ["task_input"], (first_place(number[0]) + seq,)).fetchone() if number else None
        if row is None:
            raise NotFound(f"no task {seq} in workflow {workflow!r}")
        id, operation, key, params, needs, parent = row
        results: dict[str, bytes] = {}
        if needs is not None or parent:
            base = first_place(number[0])
            try:
                wanted = {base + other for other in json.loads(needs)} if needs is not None else set()
            except (ValueError, TypeError) as error:
                raise UnreadableRecord(f"the needs of task {id!r} of workflow {workflow!r} cannot be read") from error
            if parent:
                wanted.add(base + parent)
            places = json.dumps(sorted(wanted))
            values: dict[int, Any] = dict(ask(READ["results"], (places,)).fetchall())
            results = {name: values.get(place, b"null") for place, name in ask(READ["ids"], (places,)).fetchall()}
        return TaskInput(id, operation, key, params, results)

    def _answer_for_writing(self) -> Answer:
        self._check_failed()
        if self._closed:
            raise StoreFailed("the store is closed")
        return self._answer()

    def _answer(self) -> Answer:
        return asyncio.get_running_loop().create_future()

    def _check_failed(self) -> None:
        if self._writer.failed is not None:
            raise StoreFailed(str(self._writer.failed)) from self._writer.failed

    def _close_readers(self) -> None:
        self._loader.close()
        self._reader.close()
