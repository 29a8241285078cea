"""The one thread that writes, with the only writing connection.

    callers ──wishes──► queue ──► [ BEGIN IMMEDIATE · rows of all that had arrived · COMMIT (synced) ] ──► answers
                                    what arrives meanwhile goes into the next transaction

Invariants
- A wish is answered only after the commit that holds it was synced and the database file was seen to be still there.
- All wishes of a group succeed or fail each for itself: refused ones (Conflict, NotFound …) are never gathered; if the
  database refuses a row, the group is rolled back and done again with one savepoint per wish.
- A large submission goes in slices of SLICE_TASKS, one per transaction, which holds everybody's wishes too. Nothing of
  it is visible before the last. What a crash leaves of it is purged, in slices, after the next start.
- After a failed commit, sync or rollback nothing is written any more, ever: a second sync may succeed although the
  kernel has dropped the data. The one exception is a full disk (SQLITE_FULL): the write was refused and rolled back
  whole, no sync has failed, so the wishes get StoreFull and the thread goes on.
- Checkpoints happen here only, after the answers: in passing when the log has grown, and whole when idle.

Crash points: store-before-commit, store-after-commit (durable, not yet answered), store-between-slices,
store-mid-checkpoint (the kill comes from a second thread while the checkpoint runs), store-mid-migration.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from provisioning_orchestrator.crash import VARIABLE, crash_point
from provisioning_orchestrator.ports import (
    IdempotencyMismatch,
    StoreFailed,
    StoreFull,
)

from .batch import Batch, Book, check_contiguous
from .connection import BUSY_TIMEOUT_S, open_writer, translated
from .rows import first_place, last_place
from .statements import WRITE
from .wishes import Answer, Append, Quarantine, Reign, Stop, Submit, Wish

AT_ONCE_TASKS = 2_000
SLICE_TASKS = 1_000
PURGE_ROWS = 2_000
GROUP_MAX = 1_000
IDLE_S = 0.3
# About 16 MB of log: a commit of one transition touches some six pages.
CHECKPOINT_WEIGHT = 4_000
COMMIT_WEIGHT = 6
# Large results weigh more than their number says: also checkpoint when the log's file has grown by this much.
LOG_GROWTH_BYTES = 32 * 1024 * 1024

Answered = list[tuple[Answer, Any, BaseException | None]]

# What one wish's values can make a statement raise; anything else from the database concerns all.
_REFUSED = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError)
_BAD_VALUE = (*_REFUSED, ValueError, TypeError, OverflowError)


class Writer:
    """started: answered with was_clean when the database is open, or with StoreFailed.

    on_failure: called once on the event loop when the thread has stopped writing for good.
    """

    def __init__(
        self,
        path: Path,
        loop: asyncio.AbstractEventLoop,
        on_failure: Callable[[Exception], None],
        factory: type[sqlite3.Connection] = sqlite3.Connection,
    ) -> None:
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self.started: asyncio.Future[bool] = loop.create_future()
        self.failed: StoreFailed | None = None
        self._path = path
        self._loop = loop
        self._on_failure = on_failure
        self._factory = factory
        self._queue: queue.SimpleQueue[Wish | Stop] = queue.SimpleQueue()
        self._staging: list[Submit] = []
        self._claims: dict[tuple[str, str, str], Submit] = {}
        self._leftovers: list[int] = []
        self._answers: Answered = []
        self._again: list[Submit] = []
        self._stop: Stop | None = None
        self._files: list[tuple[str, tuple[int, int]]] = []
        self._weight = 0
        self._log_bytes = 0
        self._shoot = VARIABLE in os.environ

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def put(self, wish: Wish | Stop) -> None:
        self._queue.put(wish)

    # --- life --------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            was_clean = self._open()
        except Exception as error:
            self.failed = error if isinstance(error, StoreFailed) else StoreFailed(f"cannot open the database: {error}")
            self._tell([(self.started, None, self.failed)])
            return
        self._tell([(self.started, was_clean, None)])
        while self._stop is None or self._staging:
            wishes = self._take()
            if self.failed is not None:
                self._refuse(wishes)
                continue
            if wishes or self._staging:
                self._commit(wishes)
            elif self._leftovers and self._stop is None:
                self._purge()
            if self.failed is None and self._weight >= CHECKPOINT_WEIGHT:
                self._checkpoint("PASSIVE")
        self._close()

    def _open(self) -> bool:
        self._connection = open_writer(self._path, self._factory)
        # The files as they are now: should one of them be removed or replaced, commits would go to nowhere.
        self._files = []
        for path in (str(self._path), f"{self._path}-wal"):
            found = _stat(path)
            if found is None:
                raise StoreFailed(f"the database file {path!r} is not there after it was opened")
            self._files.append((path, (found.st_dev, found.st_ino)))
        self._book = Book(self._connection)
        try:
            was_clean = bool(self._connection.execute(WRITE["was_clean"]).fetchone()[0])
            self._next_number = self._connection.execute(WRITE["last_number"]).fetchone()[0] + 1
            self._leftovers = [row[0] for row in self._connection.execute(WRITE["staged"])]
            self._connection.execute(WRITE["set_clean"], (0,))
        except sqlite3.Error as error:
            raise translated(error, f"cannot open the database {str(self._path)!r}") from error
        return was_clean

    def _close(self) -> None:
        assert self._stop is not None
        try:
            if self.failed is None:
                self._connection.execute(WRITE["set_clean"], (1,))
                self._checkpoint("TRUNCATE")
        except sqlite3.Error as error:
            self._fail(translated(error, "cannot mark the database as clean"))
        finally:
            error_on_close = None
            try:
                self._connection.close()
            except sqlite3.Error as error:
                error_on_close = translated(error, "cannot close the database")
            self._tell([(self._stop.answer, None, error_on_close)])

    def _take(self) -> list[Wish]:
        """What has arrived, up to GROUP_MAX; waits for something unless there is work left to go on with."""
        taken: list[Wish | Stop] = []
        busy = bool(self._staging or (self._leftovers and self._stop is None)) and self.failed is None
        try:
            if busy:
                taken.append(self._queue.get_nowait())
            elif self._weight and self.failed is None:
                taken.append(self._queue.get(timeout=IDLE_S))
            else:
                taken.append(self._queue.get())
            while len(taken) < GROUP_MAX:
                taken.append(self._queue.get_nowait())
        except queue.Empty:
            if not taken and not busy:
                self._checkpoint("TRUNCATE")
        wishes: list[Wish] = []
        for wish in taken:
            if isinstance(wish, Stop):
                self._stop = wish
            else:
                wishes.append(wish)
        return wishes

    # --- one transaction ---------------------------------------------------------------------------------------------

    def _commit(self, wishes: list[Wish]) -> None:
        pending: list[Wish] = [*wishes, *self._staging[:1]]
        try:
            try:
                written = self._together(pending)
            except _BAD_VALUE:
                self._roll_back()
                written = self._one_by_one(pending)
            crash_point("store-before-commit")
            self._connection.execute("COMMIT")
            crash_point("store-after-commit")
            self._see_files()
        except sqlite3.Error as error:
            self._give_up(translated(error, "cannot commit"), pending)
        except StoreFailed as error:
            self._give_up(error, pending)
        else:
            self._weight += (written + COMMIT_WEIGHT) if written else 0
            self._settle()

    def _together(self, pending: list[Wish]) -> int:
        self._begin()
        batch = Batch(self._book)
        for wish in pending:
            try:
                self._gather(batch, wish)
            except sqlite3.Error:
                raise
            except Exception as error:  # whatever is wrong with one wish is no reason to fail another's
                self._refuse_one(wish, error)
        return batch.write(self._connection)

    def _one_by_one(self, pending: list[Wish]) -> int:
        """The slow way, after the database refused some row of the group."""
        written = 0
        self._begin()
        for wish in pending:
            if isinstance(wish, Submit) and not wish.written:
                wish.waiters.clear()
        for wish in pending:
            self._connection.execute("SAVEPOINT wish")
            batch = Batch(self._book)
            done = len(self._answers)
            again = len(self._again)
            try:
                self._gather(batch, wish)
                written += batch.write(self._connection)
            except Exception as error:
                refused = error
                if isinstance(error, sqlite3.Error):
                    if not isinstance(error, _REFUSED):
                        raise
                    refused = ValueError(f"the database refuses the rows of {_named(wish)}: {error}")
                    refused.__cause__ = error
                self._connection.execute("ROLLBACK TO wish")
                self._book.forget()
                del self._answers[done:], self._again[again:]
                self._refuse_one(wish, refused)
            self._connection.execute("RELEASE wish")
        return written

    def _begin(self) -> None:
        self._answers = []
        self._again = []
        # Submissions that are not staged yet are looked at anew, in order.
        self._claims = {submit.key: submit for submit in self._staging if submit.key is not None}
        self._connection.execute("BEGIN IMMEDIATE")

    def _gather(self, batch: Batch, wish: Wish) -> None:
        match wish:
            case Append():
                batch.append(wish.workflow, wish.expected_sequence, wish.changes)
                self._answers.append((wish.answer, None, None))
            case Submit():
                self._gather_submit(batch, wish)
            case Quarantine():
                batch.quarantine(wish.workflow, wish.reason)
                self._answers.append((wish.answer, None, None))
            case Reign():
                self._connection.execute(WRITE["next_fence"])
                fence = self._connection.execute(WRITE["fence"]).fetchone()[0]
                self._answers.append((wish.answer, fence, None))

    def _gather_submit(self, batch: Batch, wish: Submit) -> None:
        if not wish.written:
            if self._known(wish):
                return
            check_contiguous(0, wish.events)
            _check_seqs(wish)
            if not wish.number:
                wish.number = self._next_number
                self._next_number += 1
            if wish.key is not None:
                self._claims[wish.key] = wish
        left = len(wish.tasks) - wish.written
        if left > SLICE_TASKS and len(wish.tasks) > AT_ONCE_TASKS:
            slice_ = wish.tasks[wish.written : wish.written + SLICE_TASKS]
            batch.submit_slice(wish.number, slice_, first=not wish.written)
            self._again.append(wish)
            return
        rest = wish.tasks[wish.written :]
        batch.submit(wish.number, wish.row, wish.tasks, rest, wish.events, wish.idempotency)
        self._answers.append((wish.answer, wish.row.id, None))

    def _known(self, wish: Submit) -> bool:
        """Whether its idempotency key was used before; then it is answered, now or with the one in flight."""
        if wish.idempotency is None or wish.key is None:
            return False
        first = self._claims.get(wish.key)
        if first is wish:
            return False
        if first is not None and first.idempotency is not None:
            digest = first.idempotency.digest
        else:
            row = self._connection.execute(WRITE["find_idempotency"], wish.key).fetchone()
            if row is None:
                return False
            digest = row[0]
        if digest != wish.idempotency.digest:
            raise IdempotencyMismatch(
                f"the idempotency key {wish.idempotency.key!r} was used before with another body; use a new key"
            )
        if first is not None:
            if wish.answer not in first.waiters:
                first.waiters.append(wish.answer)
        else:
            self._answers.append((wish.answer, row[1], None))
        return True

    def _refuse_one(self, wish: Wish, error: BaseException) -> None:
        self._answers.append((wish.answer, None, error))
        if isinstance(wish, Submit):
            if wish.key is not None and self._claims.get(wish.key) is wish:
                del self._claims[wish.key]
            self._answers += [(waiter, None, error) for waiter in wish.waiters]
            if wish in self._staging:
                self._staging.remove(wish)
                self._leftovers.append(wish.number)

    def _settle(self) -> None:
        """After the commit: move staged submissions on, and answer everybody else."""
        for wish in self._again:
            if wish in self._staging:
                self._staging.remove(wish)
            wish.written = min(wish.written + SLICE_TASKS, len(wish.tasks))
            self._staging.append(wish)  # to the end: several large ones take turns
        done = {id(answer): result for answer, result, error in self._answers if error is None}
        for wish in [*self._staging, *self._claims.values()]:
            if id(wish.answer) in done:
                self._answers += [(waiter, wish.row.id, None) for waiter in wish.waiters]
                if wish in self._staging:
                    self._staging.remove(wish)
                wish.waiters = []
        self._tell(self._answers)
        if self._again:
            crash_point("store-between-slices")

    # --- failure -----------------------------------------------------------------------------------------------------

    def _give_up(self, failure: StoreFailed, pending: list[Wish]) -> None:
        """The transaction of these wishes is not committed, or nobody can know."""
        if isinstance(failure, StoreFull) and self._roll_back():
            waiters = [waiter for wish in pending if isinstance(wish, Submit) for waiter in wish.waiters]
            for wish in pending:
                if isinstance(wish, Submit) and wish in self._staging:
                    self._staging.remove(wish)  # its slices are purged at the next start, when there may be room
            answers = [*(wish.answer for wish in pending), *waiters]
            self._tell([(answer, None, StoreFull(str(failure))) for answer in answers])
            return
        self._fail(failure)
        self._refuse(pending)

    def _fail(self, failure: StoreFailed) -> None:
        """Write nothing any more, and say so."""
        if self.failed is not None:
            return
        self.failed = failure
        everyone: list[Wish] = list(self._staging)
        self._staging = []
        self._refuse(everyone)
        try:
            self._loop.call_soon_threadsafe(self._on_failure, self.failed)
        except RuntimeError:
            pass  # the loop is closed: nobody is left to be told

    def _refuse(self, wishes: list[Wish]) -> None:
        answers = [wish.answer for wish in wishes]
        answers += [waiter for wish in wishes if isinstance(wish, Submit) for waiter in wish.waiters]
        self._tell([(answer, None, StoreFailed(str(self.failed))) for answer in answers])

    def _roll_back(self) -> bool:
        """Whether the connection is clean again."""
        self._book.forget()
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            self._fail(translated(error, "cannot roll back"))
            return False
        return True

    def _see_files(self) -> None:
        for path, identity in self._files:
            found = _stat(path)
            if found is None or (found.st_dev, found.st_ino) != identity:
                raise StoreFailed(f"the database file {path!r} was removed or replaced while in use")
        if found is not None and found.st_size > self._log_bytes + LOG_GROWTH_BYTES:
            self._log_bytes = found.st_size
            self._weight = CHECKPOINT_WEIGHT

    def _tell(self, answers: Answered) -> None:
        if not answers:
            return
        try:
            self._loop.call_soon_threadsafe(_answer, answers)
        except RuntimeError:
            pass  # the loop is closed: nobody waits any more

    # --- upkeep ------------------------------------------------------------------------------------------------------

    def _purge(self) -> None:
        """Remove a slice of what was left half-written."""
        number = self._leftovers[0]
        within = (first_place(number), last_place(number), PURGE_ROWS)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            gone = self._connection.execute(WRITE["purge_tasks"], within).rowcount
            gone += self._connection.execute(WRITE["purge_states"], within).rowcount
            if not gone:
                self._connection.execute(WRITE["unstage"], (number,))
                del self._leftovers[0]
            self._connection.execute("COMMIT")
            self._weight += gone + COMMIT_WEIGHT
        except sqlite3.Error as error:
            self._leftovers.clear()  # with a full disk: again after the next start
            failure = translated(error, "cannot purge what an interrupted submission left")
            if not isinstance(failure, StoreFull) or not self._roll_back():
                self._fail(failure)

    def _checkpoint(self, mode: str) -> None:
        self._weight = 0
        if mode == "TRUNCATE":
            self._log_bytes = 0
        if self._shoot:
            threading.Thread(target=crash_point, args=("store-mid-checkpoint",), daemon=True).start()
        try:
            # TRUNCATE waits for readers: not longer than an append may be made to wait.
            self._connection.execute("PRAGMA busy_timeout = 20")
            self._connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
            self._connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
        except sqlite3.Error as error:
            failure = translated(error, "cannot checkpoint")
            if not isinstance(failure, StoreFull):  # full: the log keeps it all, later then
                self._fail(failure)


def _answer(answers: Answered) -> None:
    for answer, result, error in answers:
        if answer.done():
            continue  # its caller has gone
        if error is None:
            answer.set_result(result)
        else:
            answer.set_exception(error)


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 - at each commit
    except FileNotFoundError:
        return None


def _check_seqs(wish: Submit) -> None:
    for seq, task in enumerate(wish.tasks, 1):
        if task.seq != seq:
            raise ValueError(f"task {task.id!r} of workflow {wish.row.id!r} has seq {task.seq}, {seq} is next")


def _named(wish: Wish) -> str:
    match wish:
        case Append() | Quarantine():
            return f"workflow {wish.workflow!r}"
        case Submit():
            return f"workflow {wish.row.id!r}"
        case Reign():
            return "a reign"
