"""Floor 1: what the engine needs of the world. No path, pid, descriptor or host appears in any of these.

Every port has one suite in `provisioning_orchestrator.testing` that all its implementations pass, the fakes included.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from .workflow.events import Resolution
from .workflow.records import AttemptChange, Changes, EventRecord, NewTask, Parent, Snapshot, TaskChange, WorkflowRow
from .workflow.spec import RetryPolicy

# --- errors ----------------------------------------------------------------------------------------------------------


class OrchestratorError(Exception):
    """Base of all that this package raises on purpose.

    OrchestratorError
    ├── Conflict            another writer was first: rebuild and look again
    ├── StoreFailed         the disk or the database failed: stop, never retry a sync
    │   ├── StoreFull       no room on the disk: nothing was written, the store goes on
    │   └── StoreCorrupt    the database is damaged
    ├── UnreadableRecord    one workflow's rows make no sense: quarantine it
    ├── BadCursor           the caller's cursor is none of ours (a ValueError too)
    ├── StartRefused        nothing was started and nothing will be: try again later
    ├── UnknownOperation    the caller named an operation that is not there
    ├── AmbiguousOperation  the library holds it twice
    ├── NotFound            the caller named a workflow, task or attempt that is not there
    ├── NotPossibleNow      the wish does not fit the state that it met (HTTP 409)
    └── IdempotencyMismatch the key was used before with another body
    """


class Conflict(OrchestratorError):
    pass


class StoreFailed(OrchestratorError):
    pass


class StoreFull(StoreFailed):
    pass


class StoreCorrupt(StoreFailed):
    pass


class UnreadableRecord(OrchestratorError):
    pass


class BadCursor(OrchestratorError, ValueError):
    pass


class StartRefused(OrchestratorError):
    pass


class UnknownOperation(OrchestratorError, LookupError):
    def __init__(self, operation: str, suggestions: Sequence[str] = ()) -> None:
        hint = f"; did you mean {', '.join(repr(s) for s in suggestions)}?" if suggestions else ""
        super().__init__(f"no operation {operation!r} in any library{hint}")
        self.operation = operation
        self.suggestions = tuple(suggestions)


class AmbiguousOperation(OrchestratorError, ValueError):
    pass


class NotFound(OrchestratorError):
    pass


class NotPossibleNow(OrchestratorError):
    pass


class IdempotencyMismatch(OrchestratorError):
    pass


# --- attempts --------------------------------------------------------------------------------------------------------


class AttemptId(NamedTuple):
    workflow: str
    task: int
    number: int

    def __str__(self) -> str:
        return f"{self.workflow}/{self.task}/{self.number}"


@dataclass(frozen=True, slots=True)
class Submitter:
    """An attempt that submits a workflow. intent: its task's, the same over attempts."""

    parent: Parent
    intent: str


@dataclass(frozen=True, slots=True)
class AttemptSpec:
    """All that is needed to run one attempt, anywhere.

    input: the one line of JSON that the operation reads on standard input, without its newline.
    fence: the number of this daemon's reign over the store; grows at each start of a daemon.
    timeout_s: the attempt is killed after it, daemon or no daemon. grace_s: between TERM and KILL.
    token: opens the API for this attempt alone; empty: it gets none.
    """

    id: AttemptId
    operation: str
    input: bytes
    timeout_s: float
    grace_s: float
    fence: int
    token: str = ""


@dataclass(frozen=True, slots=True)
class Exited:
    """The attempt ran and its end was seen. Exactly one of exit_code and signal is set.

    result: the bytes of the result file, None where there was none. result_oversized: it was larger than may be read.
    timed_out, cancelled: why it was killed, where it was. started_at, ended_at: µs UTC by the runner's clock.
    refused: set where the operation could not be run at all (not executable, interpreter missing): permanent, in words.
    log_truncated: bytes cut from the middle of its log.
    """

    exit_code: int | None = None
    signal: int | None = None
    result: bytes | None = None
    result_oversized: bool = False
    timed_out: bool = False
    cancelled: bool = False
    refused: str | None = None
    started_at: int = 0
    ended_at: int = 0
    log_truncated: int = 0


@dataclass(frozen=True, slots=True)
class NeverStarted:
    """It is certain that nothing ran and that nothing will."""

    reason: str


@dataclass(frozen=True, slots=True)
class Vanished:
    """Nobody saw the end: it may have had effects. Nothing of it is alive any more."""

    reason: str


@dataclass(frozen=True, slots=True)
class Alive:
    """It runs; its end will come as a fact."""


Verdict = Exited | NeverStarted | Vanished | Alive


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """A fact: how an attempt ended. May come twice, and late."""

    id: AttemptId
    verdict: Exited | NeverStarted | Vanished


@dataclass(frozen=True, slots=True)
class AttemptReported:
    """A fact: JSON objects that the operation appended to its event file, in order.

    offset, next_offset: the bytes of that file which they were read from; a fact that comes twice is known by them.
    """

    id: AttemptId
    offset: int
    next_offset: int
    records: tuple[dict[str, Any], ...]


Fact = AttemptEnded | AttemptReported


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Bytes of an attempt's log from `offset` on. `hole`: this many bytes before `data` were cut by the cap.

    next_offset: where to go on. ended: the attempt is over and data reaches its end.
    """

    offset: int
    data: bytes
    next_offset: int
    hole: int = 0
    ended: bool = False


class Dispatch(Protocol):
    """Runs attempts. Facts come at least once; an attempt starts at most once, whatever is called how often."""

    async def start(self, spec: AttemptSpec) -> None:
        """Start the attempt; a second call with the same id does nothing. Raises StartRefused: nothing runs."""

    async def cancel(self, id: AttemptId, grace_s: float) -> None:
        """Ask its whole tree to end (TERM, grace, KILL). Its end comes as a fact. Unknown or ended ids are ignored."""

    async def reconcile(self, ids: Sequence[AttemptId]) -> dict[AttemptId, Verdict]:
        """What became of attempts that an earlier daemon started. Alive ones are watched from now on."""

    def facts(self) -> AsyncIterator[Fact]:
        """All facts from now on; one reader."""

    async def settled(self, ids: Sequence[AttemptId]) -> None:
        """Their ends are committed: what the runner kept only to be able to say it again may go."""

    async def log(self, id: AttemptId, offset: int, limit: int) -> LogChunk:
        """Up to `limit` bytes of its log. An attempt without a log gives an empty, ended chunk."""

    async def log_grown(self, id: AttemptId, offset: int) -> None:
        """Return when its log reaches beyond `offset`, or it ended."""


# --- operations ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Operation:
    """What a library says of one operation (its sidecar's words, else the defaults; None: not said)."""

    name: str
    digest: str
    repeatable: bool = False
    timeout_s: float | None = None
    retry: RetryPolicy | None = None
    params_schema: dict[str, Any] | None = None


class Library(Protocol):
    def describe(self, operation: str) -> Operation:
        """Raises UnknownOperation, AmbiguousOperation (names both files)."""

    def operations(self) -> list[str]:
        """The names of all operations, sorted."""


# --- store -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Idempotency:
    """token: which token asked. route: which route. key: the header. digest: SHA-256 of the canonical body, hex."""

    token: str
    route: str
    key: str
    digest: str


@dataclass(frozen=True, slots=True)
class TaskInput:
    """What an attempt is told: results maps the flat ids of the tasks it needs (and its parent's) to JSON, encoded."""

    task_id: str
    operation: str
    key: str | None
    params: bytes
    results: dict[str, bytes] = field(default_factory=dict)


class Store(Protocol):
    async def submit(
        self, row: WorkflowRow, tasks: Sequence[NewTask], events: Sequence[EventRecord], idempotency: Idempotency | None
    ) -> str:
        """Make the workflow durable, all of it or nothing, and return its id.

        Large ones go in bounded slices, so that others commit in between. Where the idempotency key is known with the
        same digest nothing is written and the id of the first submission is returned; with another digest:
        IdempotencyMismatch. Raises StoreFailed.
        """

    async def append(self, workflow: str, expected_sequence: int, changes: Changes) -> None:
        """Commit the changes if the workflow still is at that sequence, else Conflict. Raises StoreFailed."""

    async def load(self, workflow: str) -> Snapshot:
        """The rows of one workflow. Raises NotFound, UnreadableRecord."""

    async def unfinished(self) -> list[str]:
        """Ids of workflows that have not ended, oldest first (and quarantined ones left out)."""

    async def quarantine(self, workflow: str, reason: str) -> None:
        """Set the workflow aside: it is shown with the reason and never scheduled."""

    def task_input(self, workflow: str, seq: int) -> TaskInput:
        """What the next attempt of the task is told; a point read."""

    async def reign(self) -> int:
        """The fence of this daemon: one more than the last daemon's, committed."""


# --- records: what the API shows -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WorkflowView:
    row: WorkflowRow
    counts: dict[str, int]
    quarantined: str | None = None


@dataclass(frozen=True, slots=True)
class TaskView:
    """started_at: of its first attempt that ran; ended_at: None until the task ended."""

    workflow: str
    task: NewTask
    state: TaskChange
    needs: tuple[str, ...]
    attempts: tuple[AttemptChange, ...]
    result: bytes | None
    resources: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Page:
    """items of one page. next_cursor: opaque, None at the end."""

    items: tuple[Any, ...]
    next_cursor: str | None


class Records(Protocol):
    """Read-only questions, answered at once from what is committed. Cursors are stable while rows are inserted."""

    def workflow(self, id: str) -> WorkflowView: ...

    def workflows(self, *, status: str | None, cursor: str | None, limit: int, parent: str | None = None) -> Page:
        """Newest first. parent: only those that tasks of this workflow submitted."""

    def task(self, workflow: str, id: str) -> TaskView: ...

    def tasks(self, *, workflow: str | None, status: str | None, cursor: str | None, limit: int) -> Page:
        """In order of creation (over all workflows: newest workflow first)."""

    def events(self, workflow: str, *, after: int, limit: int) -> tuple[EventRecord, ...]: ...

    def submitted(self, idempotency: Idempotency) -> str | None:
        """The workflow that was submitted with this very key and digest; None: there is none."""


# --- the rest --------------------------------------------------------------------------------------------------------


class Clock(Protocol):
    def now(self) -> int:
        """Microseconds since 1970 UTC."""

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back after delay_s of running time; returns what cancels it."""


class Observer(Protocol):
    def committed(self, workflow: str, events: Sequence[EventRecord]) -> None:
        """Told after the commit; must return at once and cannot change a decision."""


class Chance(Protocol):
    """The only source of randomness of the engine."""

    def fraction(self) -> float:
        """0.0 ≤ x < 1.0"""

    def workflow_id(self) -> str: ...

    def intent(self) -> str:
        """A random UUID."""


class Engine(Protocol):
    """What the API calls. Raises NotFound, NotPossibleNow, StoreFailed, IdempotencyMismatch."""

    async def submit(
        self, name: str, tasks: Sequence[Any], idempotency: Idempotency | None, parent: Parent | None = None
    ) -> tuple[str, bool]:
        """Takes checked TaskSpecs; returns the workflow's id once it is durable, and whether it was there before.

        parent: the task that submits it; its attempt lends its slot until the child has ended. NotPossibleNow where
        that task is too deep or has too many children.
        """

    def submitter(self, attempt: AttemptId) -> Submitter | None:
        """Who that attempt is, where it runs at this moment and may submit; else None."""

    def waits_for(self, workflow: str, seq: int) -> str | None:
        """What that task waits for though nothing in its own workflow keeps it: a slot, or its children; in words."""

    async def cancel(self, workflow: str) -> None: ...

    async def resolve(self, workflow: str, task: str, as_: Resolution) -> None:
        """What a person found out about a task of unknown end."""
