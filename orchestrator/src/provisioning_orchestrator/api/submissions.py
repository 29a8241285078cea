"""Bodies → what the engine is asked to do. Pure, and in a thread where the body is large."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from ..ports import AmbiguousOperation, Library, Operation, OrchestratorError, UnknownOperation
from ..settings import Limits
from ..workflow import events
from ..workflow.graph import check_graph
from ..workflow.spec import Fault, TaskSpec
from ..workflow.taskdoc import FAULTS_MAX, UnknownOperationFault, read_task, read_tasks
from .json_guard import BadJson, decode
from .problems import Refused, invalid
from .schemas import NAME_PATTERN, OperationCall, Resolution, Submission, check

VERBS = ("cancel", "events", "log", "resolve", "tasks")
ROOT_TASK = "root"
THREADS_MAX = 2
T = TypeVar("T")

_name = re.compile(NAME_PATTERN)
_canonical = msgspec.json.Encoder(order="sorted").encode
_threads = asyncio.Semaphore(THREADS_MAX)


@dataclass(frozen=True, slots=True)
class Asked:
    """A checked submission. digest: SHA-256 of the canonical body, hex."""

    name: str
    tasks: Sequence[TaskSpec]
    digest: str


async def beside_the_loop(work: Callable[[], T], size: int, limits: Limits) -> T:
    """Do it here where the body is small; else in a thread, at most THREADS_MAX at a time."""
    if size <= limits.inline_bytes_max:
        return work()
    async with _threads:
        return await asyncio.to_thread(work)


def read_json(body: bytes, limits: Limits) -> Any:
    try:
        return decode(body, depth_max=limits.json_depth_max, string_max=limits.string_characters_max)
    except BadJson as error:
        raise Refused("bad_json", error.detail, error.faults) from None


def read_submission(body: bytes, library: Library, limits: Limits) -> Asked:
    """A whole workflow: its shape, its tasks, its graph. Raises Refused with all faults, at most FAULTS_MAX."""
    doc = read_json(body, limits)
    faults = check(doc, Submission)
    tasks = doc.pop("tasks", None) if isinstance(doc, dict) else None
    if not isinstance(tasks, list):
        raise invalid(faults)
    if not 0 < len(tasks) <= limits.tasks_max:
        raise invalid([*faults, Fault("/tasks", f"{len(tasks)} tasks", f"1 to {limits.tasks_max}")])
    digest = hashlib.sha256(_canonical(doc))
    specs, found = read_tasks(_consumed(tasks, digest.update), "/tasks", _describing(library), submitted=True)
    # Tasks with faults are nodes of the graph as well. They were let go of, so they are read once more.
    nodes = _nodes(read_json(body, limits)["tasks"]) if found else specs
    faults += [*found, *check_graph(nodes)]
    if faults:
        raise refused(faults[:FAULTS_MAX])
    return Asked(doc["name"], specs, digest.hexdigest())


def read_call(resource: str, action: str, body: bytes, library: Library, limits: Limits) -> Asked:
    """One operation on one infra. Raises Refused."""
    check_names(resource, action)
    operation = f"{resource}/{action}"
    doc = read_json(body, limits)
    faults = check(doc, OperationCall)
    if not isinstance(doc, dict):
        raise invalid(faults)
    infra, params = doc.get("infra"), doc.get("params", {})
    said = ["/params/infra"] if faults else []
    if not isinstance(params, dict):
        params, said = {}, ["/params", "/params/infra"]
    elif not faults and params.get("infra", infra) != infra:
        faults.append(Fault("/params/infra", "it differs from `infra`", "leave it out"))
    task = {"id": ROOT_TASK, "operation": operation, "params": {**params, "infra": infra}}
    spec, found = read_task(task, "", _describing(library), submitted=True)
    faults += [fault for fault in found if fault.pointer not in said]
    if faults or spec is None:
        raise refused(faults)
    return Asked(f"{operation} {infra}", [spec], hashlib.sha256(_canonical(doc)).hexdigest())


def digest_of_submission(body: bytes, limits: Limits) -> str | None:
    """What Asked.digest is of a body that read_submission takes; None of one that it never took."""
    doc = _object_in(body, limits)
    tasks = doc.pop("tasks", None)
    if not isinstance(tasks, list):
        return None
    digest = hashlib.sha256(_canonical(doc))
    for task in tasks:
        digest.update(b"\n" + _canonical(task))
    return digest.hexdigest()


def digest_of_call(body: bytes, limits: Limits) -> str | None:
    """The same for read_call."""
    doc = _object_in(body, limits)
    return hashlib.sha256(_canonical(doc)).hexdigest() if doc else None


def _object_in(body: bytes, limits: Limits) -> dict[str, Any]:
    try:
        doc = read_json(body, limits)
    except Refused:
        return {}
    return doc if isinstance(doc, dict) else {}


def read_resolution(body: bytes, limits: Limits) -> events.Resolution:
    """Raises Refused."""
    doc = read_json(body, limits)
    faults = check(doc, Resolution)
    if faults:
        raise invalid(faults)
    word: events.Resolution = doc["as"]
    return word


def read_nothing(body: bytes, limits: Limits) -> None:
    """No body, or an empty object. Raises Refused."""
    if body.strip():
        doc = read_json(body, limits)
        if doc != {}:
            raise invalid([Fault("", "nothing is expected here", "send {} or no body")])


def check_names(resource: str, action: str) -> None:
    """Raises Refused for what can be no operation."""
    for what, word in (("resource", resource), ("action", action)):
        if word in VERBS:
            detail = f"the {what} {word!r} is a verb of the API; {', '.join(VERBS)} can't name operations"
            raise Refused("invalid", detail)
        if not _name.fullmatch(word):
            raise Refused("unknown_operation", f"the {what} {word[:80]!r} does not match {NAME_PATTERN}")


def refused(faults: Sequence[Fault]) -> Refused:
    """404 where unknown operations are all that is wrong, else 422."""
    if all(isinstance(fault, UnknownOperationFault) for fault in faults):
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        return Refused("unknown_operation", faults[0].detail + more, faults, hint="GET /operations lists all")
    return invalid(faults)


def _describing(library: Library) -> Callable[[str], Operation]:
    def describe(name: str) -> Operation:
        try:
            return library.describe(name)
        except (UnknownOperation, AmbiguousOperation):
            raise
        except OrchestratorError as error:  # a sidecar that can't be read is the library's fault, and no bug of ours
            raise ValueError(str(error)) from error

    return describe


def _nodes(docs: Sequence[Any]) -> list[TaskSpec]:
    """The tasks as nodes of a graph, whatever else is wrong with them. One without an id has a name nobody can need."""
    nodes = []
    for position, doc in enumerate(docs):
        fields = doc if isinstance(doc, dict) else {}
        id, needs = fields.get("id"), fields.get("needs")
        named = dict.fromkeys(need for need in (needs if isinstance(needs, list) else ()) if isinstance(need, str))
        nodes.append(TaskSpec(id if isinstance(id, str) else f"\0{position}", "", needs=tuple(named)))
    return nodes


class _consumed(Sequence[Any]):
    """The tasks one after the other, each counted into the digest and let go of once it was read.

    Dropping a million objects in one go would hold the event loop up for some 100 ms; so would one digest over all.
    """

    def __init__(self, tasks: list[Any], digest: Callable[[bytes], None]) -> None:
        self._tasks = tasks
        self._digest = digest

    def __len__(self) -> int:
        return len(self._tasks)

    def __getitem__(self, place: Any) -> Any:
        task, self._tasks[place] = self._tasks[place], None
        self._digest(b"\n" + _canonical(task))
        return task
