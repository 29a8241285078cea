"""`ports.Records`: what people look at, read at once from what is committed.

Point reads and pages only, on a read-only connection of the event loop's thread; each method is one read transaction,
opened and ended within it. Nothing unreadable in the file makes a view fail: it is shown as far as it goes, and the
workflow says why under `quarantined`. Raises NotFound, BadCursor; StoreFailed where the file itself cannot be read.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from provisioning_orchestrator.ports import (
    BadCursor,
    Idempotency,
    NotFound,
    Page,
    StoreFailed,
    TaskView,
    WorkflowView,
)
from provisioning_orchestrator.workflow.records import EventRecord

from .connection import in_one_transaction, translated
from .cursor import POSITION_MAX, cursor_of, position_of
from .rows import SEQ_BITS, SEQ_MAX, Decoder, Row, first_place, last_place, number_of, seq_of
from .statements import READ

# A page ends early rather than hold more than this of params and results.
PAGE_BYTES_MAX = 8 * 1024 * 1024

T = TypeVar("T")


class SqliteRecords:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def workflow(self, id: str) -> WorkflowView:
        def read() -> WorkflowView:
            row = self._one("workflow", id)
            if row is None:
                raise NotFound(f"no workflow {id!r}")
            return self._workflow_views([row])[0]

        return self._read(read)

    def workflows(self, *, status: str | None, cursor: str | None, limit: int, parent: str | None = None) -> Page:
        before = position_of(cursor, "w", 1)[0] if cursor else POSITION_MAX

        def read() -> Page:
            if parent is not None:
                rows = self._all("workflows_of_parent", parent, before, status, limit + 1)
            elif status is None:
                rows = self._all("workflows", before, limit + 1)
            else:
                rows = self._all("workflows_of_status", before, status, limit + 1)
            views = self._workflow_views(rows[:limit])
            return Page(tuple(views), cursor_of("w", rows[limit - 1][0]) if len(rows) > limit else None)

        return self._read(read)

    def task(self, workflow: str, id: str) -> TaskView:
        def read() -> TaskView:
            row = self._one("task_place", self._number(workflow), id)
            if row is None:
                raise NotFound(f"no task {id!r} in workflow {workflow!r}")
            return self._task_views([row[0]])[0]

        return self._read(read)

    def tasks(self, *, workflow: str | None, status: str | None, cursor: str | None, limit: int) -> Page:
        def read() -> Page:
            only = None if workflow is None else self._number(workflow)
            number, seq = position_of(cursor, "t", 2) if cursor else (POSITION_MAX if only is None else only, 0)
            if only is not None and number != only:
                raise BadCursor(f"the cursor {cursor!r} belongs to another workflow; start again without one")
            places, more = self._places(only, status, number << SEQ_BITS | min(seq, SEQ_MAX), limit)
            last = places[-1] if places else 0
            return Page(
                tuple(self._task_views(places)), cursor_of("t", number_of(last), seq_of(last)) if more else None
            )

        return self._read(read)

    def events(self, workflow: str, *, after: int, limit: int) -> tuple[EventRecord, ...]:
        def read() -> tuple[EventRecord, ...]:
            number = self._number(workflow)
            start = first_place(number) + min(max(after, 0), SEQ_MAX)
            decoder = Decoder(lenient=True)
            return tuple(decoder.event(row) for row in self._all("events", start, last_place(number), limit))

        return self._read(read)

    def submitted(self, idempotency: Idempotency) -> str | None:
        i = idempotency
        row = self._read(lambda: self._one("submitted", i.token, i.route, i.key, i.digest))
        return None if row is None else str(row[0])

    # --- pages of tasks ----------------------------------------------------------------------------------------------

    def _places(self, only: int | None, status: str | None, after: int, limit: int) -> tuple[list[int], bool]:
        """Places of the tasks of a page, and whether there are more. Newest workflow first, each in order of seq."""
        places: list[int] = []
        size = 0
        number: int | None = number_of(after)
        while number is not None:
            for place, size_of_one in self._places_within(number, status, after, limit + 1 - len(places)):
                if len(places) == limit or (places and size + size_of_one > PAGE_BYTES_MAX):
                    return places, True
                places.append(place)
                size += size_of_one
            number = None if only is not None else self._older(number, status)
            after = 0 if number is None else first_place(number)
        return places, False

    def _places_within(self, number: int, status: str | None, after: int, limit: int) -> list[Row]:
        if status is None:
            return self._all("task_places", after, last_place(number), limit)
        return self._all("task_places_of_status", after, last_place(number), limit, status)

    def _older(self, number: int, status: str | None) -> int | None:
        """The next older workflow that has such tasks and is complete."""
        while True:
            before = first_place(number)
            row = (
                self._one("older_place", before)
                if status is None
                else self._one("older_place_of_status", before, status)
            )
            if row is None or row[0] is None:
                return None
            number = number_of(row[0])
            if self._one("visible", number) is not None:
                return number

    # --- views -------------------------------------------------------------------------------------------------------

    def _workflow_views(self, rows: Sequence[Row]) -> list[WorkflowView]:
        counts: defaultdict[int, dict[str, int]] = defaultdict(dict)
        for number, status, tasks in self._all("counts", _list(row[0] for row in rows)):
            counts[number][status] = tasks
        views = []
        for row in rows:
            decoder = Decoder(lenient=True)
            record = decoder.workflow(row)
            reason = row[14] if row[14] is not None else "; ".join(decoder.faults) or None
            views.append(WorkflowView(record, counts[row[0]], reason))
        return views

    def _task_views(self, places: Sequence[int]) -> list[TaskView]:
        decoder = Decoder(lenient=True)
        wanted = _list(places)
        tasks = {row[0]: decoder.task(row) for row in self._all("tasks", wanted)}
        attempts = defaultdict(list)
        for row in self._all("attempts", wanted):
            attempts[row[0]].append(decoder.attempt(row))
        results: dict[int, bytes] = {row[0]: row[1] for row in self._all("results", wanted)}
        names = self._names(tasks)
        resources = self._resources(tasks, decoder)
        ids = {number: self._one("visible", number)[0] for number in {number_of(place) for place in tasks}}  # type: ignore[index]
        views = []
        for place in places:
            task, state = tasks[place]
            base = first_place(number_of(place))
            views.append(
                TaskView(
                    workflow=ids[number_of(place)],
                    task=task,
                    state=state,
                    needs=tuple(names[base + need] for need in task.needs if base + need in names),
                    attempts=tuple(attempts[place]),
                    result=results.get(place),
                    resources=tuple(resources[number_of(place), task.id]),
                )
            )
        return views

    def _names(self, tasks: dict[int, Any]) -> dict[int, str]:
        """The flat ids of all that these tasks need."""
        wanted = {first_place(number_of(place)) + need for place, (task, _) in tasks.items() for need in task.needs}
        return {row[0]: row[1] for row in self._all("ids", _list(sorted(wanted)))} if wanted else {}

    def _resources(self, tasks: dict[int, Any], decoder: Decoder) -> dict[tuple[int, str], list[dict[str, Any]]]:
        ids = defaultdict(list)
        for place, (task, _) in tasks.items():
            ids[number_of(place)].append(task.id)
        found = defaultdict(list)
        for number, of_workflow in ids.items():
            rows = self._all("resources", json.dumps(of_workflow), first_place(number), last_place(number))
            for task, data in rows:
                found[number, task].append(decoder.data(data, first_place(number)))
        return found

    # --- the connection ----------------------------------------------------------------------------------------------

    def _read(self, question: Callable[[], T]) -> T:
        """Answer in one read transaction."""
        try:
            try:
                return in_one_transaction(self._connection, question)
            except sqlite3.OperationalError as error:
                if "decode to UTF-8" not in str(error):
                    raise
                self._connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
                try:
                    return in_one_transaction(self._connection, question)
                finally:
                    self._connection.text_factory = str
        except sqlite3.ProgrammingError as error:
            raise StoreFailed("the store is closed") from error
        except sqlite3.Error as error:
            raise translated(error, "cannot read") from error

    def _number(self, workflow: str) -> int:
        row = self._one("number_of", workflow)
        if row is None:
            raise NotFound(f"no workflow {workflow!r}")
        number: int = row[0]
        return number

    def _one(self, name: str, *values: Any) -> Row | None:
        row: Row | None = self._connection.execute(READ[name], values).fetchone()
        return row

    def _all(self, name: str, *values: Any) -> list[Row]:
        return self._connection.execute(READ[name], values).fetchall()


def _list(numbers: Iterable[int]) -> str:
    return json.dumps(list(numbers))
