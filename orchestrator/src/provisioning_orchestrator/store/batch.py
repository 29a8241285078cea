"""The rows of one transaction, gathered in memory and written by few statements.

Wishes of many callers are merged: of several changes of one row in a batch the last one is written. Each table gets
one statement per 64 rows, not one per row: a step of SQLite lets go of the interpreter's lock, and getting it back
from a busy event loop costs more than the row.

A wish is gathered whole or, where it raises, not at all.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from provisioning_orchestrator.ports import Conflict, Idempotency, NotFound
from provisioning_orchestrator.workflow.records import Changes, EventRecord, NewTask, WorkflowRow

from .rows import attempt_columns, event_columns, first_place, seq_of, state_columns, task_columns, workflow_columns
from .statements import WRITE, repeated

ROWS_PER_STATEMENT = 64
KNOWN_MAX = 10_000
_SEQUENCE = 10  # where the sequence is among the columns of a workflow


@dataclass(slots=True)
class Known:
    """What the writer remembers of a workflow, so that compare-and-set asks memory and not the file.

    columns: of put_workflows, as last written. tasks: its highest seq.
    """

    number: int
    sequence: int
    tasks: int
    columns: tuple[Any, ...]


class Book:
    """The known workflows; the only writer may remember them. Forgets everything after a rollback."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: dict[str, Known] = {}

    def find(self, workflow: str) -> Known:
        """Raises NotFound."""
        known = self._known.get(workflow)
        if known is None:
            row = self._connection.execute(WRITE["find_workflow"], (workflow,)).fetchone()
            if row is None:
                raise NotFound(f"no workflow {workflow!r}")
            known = Known(row[0], row[_SEQUENCE], seq_of(row[14] or 0), row[:14])
            self.remember(workflow, known)
        return known

    def remember(self, workflow: str, known: Known) -> None:
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[workflow] = known

    def forget(self) -> None:
        self._known.clear()


class Batch:
    def __init__(self, book: Book) -> None:
        self._book = book
        self._workflows: dict[int, tuple[Any, ...]] = {}
        self._tasks: list[tuple[Any, ...]] = []
        self._first_states: list[tuple[Any, ...]] = []
        self._counts: Counter[tuple[int, str]] = Counter()
        self._states: dict[int, tuple[Any, ...]] = {}
        self._attempts: dict[tuple[int, int], tuple[Any, ...]] = {}
        self._results: dict[int, tuple[Any, ...]] = {}
        self._events: list[tuple[Any, ...]] = []
        self._idempotency: list[tuple[Any, ...]] = []
        self._stage: list[int] = []
        self._unstage: list[int] = []
        self._quarantine: list[tuple[str, str]] = []

    def append(self, workflow: str, expected_sequence: int, changes: Changes) -> None:
        """Raises Conflict, NotFound; ValueError where the changes make no sense."""
        known = self._book.find(workflow)
        if known.sequence != expected_sequence:
            raise Conflict(f"workflow {workflow!r} is at {known.sequence}, not at {expected_sequence}")
        sequence = check_contiguous(expected_sequence, changes.events)
        total = _check_seqs(workflow, known.tasks, changes)
        number, base = known.number, first_place(known.number)
        tasks = [task_columns(base, number, task) for task in changes.added]
        states = [state_columns(base, state) for state in changes.tasks]
        attempts = [attempt_columns(base, attempt) for attempt in changes.attempts]
        events = [event_columns(base, event) for event in changes.events]
        if changes.workflow is None:
            columns = (*known.columns[:_SEQUENCE], sequence, *known.columns[_SEQUENCE + 1 :])
        elif changes.workflow.id != workflow:
            raise ValueError(f"changes of workflow {workflow!r} hold the row of {changes.workflow.id!r}")
        else:
            columns = workflow_columns(number, changes.workflow, sequence)
        self._add_tasks(number, tasks, changes.added)
        self._states.update((row[0], row) for row in states)
        self._attempts.update((row[:2], row) for row in attempts)
        self._results.update((base + seq, (base + seq, value)) for seq, value in changes.results.items())
        self._events += events
        self._workflows[number] = columns
        known.sequence, known.tasks, known.columns = sequence, total, columns

    def submit_slice(self, number: int, tasks: Sequence[NewTask], *, first: bool) -> None:
        """Some tasks of a workflow that is not visible yet."""
        base = first_place(number)
        self._add_tasks(number, [task_columns(base, number, task) for task in tasks], ())
        self._first_states += [(base + task.seq, task.status.value) for task in tasks]
        if first:
            self._stage.append(number)

    def submit(
        self,
        number: int,
        row: WorkflowRow,
        tasks: Sequence[NewTask],
        rest: Sequence[NewTask],
        events: Sequence[EventRecord],
        idempotency: Idempotency | None,
    ) -> None:
        """Make the workflow visible. tasks: all; rest: those that no slice has written (all, where there was none)."""
        base = first_place(number)
        rows = [task_columns(base, number, task) for task in rest]
        feed = [event_columns(base, event) for event in events]
        columns = workflow_columns(number, row, len(events))
        self._add_tasks(number, rows, ())
        self._first_states += [(base + task.seq, task.status.value) for task in rest]
        self._counts.update((number, task.status.value) for task in tasks)
        self._events += feed
        self._workflows[number] = columns
        if len(rest) != len(tasks):
            self._unstage.append(number)
        if idempotency is not None:
            self._idempotency.append(
                (idempotency.token, idempotency.route, idempotency.key, idempotency.digest, row.id)
            )
        if len(tasks) == 0 or tasks[-1].seq == len(tasks):
            self._book.remember(row.id, Known(number, len(events), len(tasks), columns))

    def quarantine(self, workflow: str, reason: str) -> None:
        """Raises NotFound."""
        self._book.find(workflow)
        self._quarantine.append((reason, workflow))

    def write(self, connection: sqlite3.Connection) -> int:
        """Execute it all inside the open transaction; returns the number of rows. Raises sqlite3.Error, ValueError …"""
        written = 0
        for number in self._stage:
            connection.execute(WRITE["stage"], (number,))
        for name, rows in (
            ("add_tasks", self._tasks),
            ("add_states", self._first_states),
            ("put_workflows", self._workflows.values()),
            ("add_counts", [(*key, tasks) for key, tasks in self._counts.items()]),
            ("put_states", self._states.values()),
            ("put_attempts", self._attempts.values()),
            ("put_results", self._results.values()),
            ("add_events", self._events),
            ("add_idempotency", self._idempotency),
        ):
            if rows:
                written += _execute(connection, WRITE[name], rows)
        for number in self._unstage:
            connection.execute(WRITE["unstage"], (number,))
        for reason, workflow in self._quarantine:
            connection.execute(WRITE["quarantine"], (reason, workflow))
        return written

    def _add_tasks(self, number: int, rows: list[tuple[Any, ...]], counted: Sequence[NewTask]) -> None:
        self._tasks += rows
        if counted:
            base = first_place(number)
            self._first_states += [(base + task.seq, task.status.value) for task in counted]
            self._counts.update((number, task.status.value) for task in counted)


def check_contiguous(expected_sequence: int, events: Sequence[EventRecord]) -> int:
    """The sequence after these events. Raises ValueError where they leave a gap."""
    sequence = expected_sequence
    for event in events:
        sequence += 1
        if event.sequence != sequence:
            raise ValueError(f"event {event.type!r} has sequence {event.sequence}, {sequence} is next")
    return sequence


def _check_seqs(workflow: str, total: int, changes: Changes) -> int:
    """The number of tasks after the changes. Raises ValueError for a seq that is not there or leaves a gap."""
    for task in changes.added:
        total += 1
        if task.seq != total:
            raise ValueError(f"task {task.id!r} of workflow {workflow!r} has seq {task.seq}, {total} is next")
    for changed in (changes.tasks, changes.attempts):
        for row in changed:
            if not 1 <= row.seq <= total:
                raise ValueError(f"no task {row.seq} in workflow {workflow!r}, which has {total}")
    for seq in changes.results:
        if not 1 <= seq <= total:
            raise ValueError(f"no task {seq} in workflow {workflow!r}, which has {total}")
    return total


def _execute(connection: sqlite3.Connection, sql: str, rows: Iterable[tuple[Any, ...]]) -> int:
    rows = list(rows)
    done = 0
    while done < len(rows):
        # Powers of two, so that few different statements have to be prepared and kept.
        count = min(ROWS_PER_STATEMENT, 1 << ((len(rows) - done).bit_length() - 1))
        values: list[Any] = []
        for row in rows[done : done + count]:
            values += row
        connection.execute(repeated(sql, count), values)
        done += count
    return done
