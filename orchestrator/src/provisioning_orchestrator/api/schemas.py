"""The shapes of the API's bodies: what is taken is checked by them, what is answered is encoded by them, and the
OpenAPI document is made of them."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal

import msgspec

from ..workflow.faults import kind, unknown_fields
from ..workflow.spec import TASK_ID_PATTERN, Fault

NAME_PATTERN = r"[a-z][a-z0-9-]{0,62}"
WORKFLOW_NAME_CHARACTERS_MAX = 255

Name = Annotated[str, msgspec.Meta(pattern=f"^{NAME_PATTERN}$")]
TaskId = Annotated[str, msgspec.Meta(pattern=f"^{TASK_ID_PATTERN}$")]
Time = Annotated[
    str, msgspec.Meta(description="RFC 3339, UTC, six decimals", extra_json_schema={"format": "date-time"})
]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
# A JSON object that is encoded already.
Reported = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "object"})]
WorkflowName = Annotated[str, msgspec.Meta(min_length=1, max_length=WORKFLOW_NAME_CHARACTERS_MAX)]

# --- taken -----------------------------------------------------------------------------------------------------------


class Retry(msgspec.Struct, forbid_unknown_fields=True):
    """When a task is attempted again. jitter: the share of the delay drawn at random; true is 0.2, false none."""

    attempts_max: Annotated[int, msgspec.Meta(ge=1)] = 3
    backoff: Literal["constant", "fixed", "linear", "exponential"] = "exponential"
    delay_s: Seconds = 5.0
    delay_max_s: Seconds = 300.0
    jitter: Annotated[float, msgspec.Meta(ge=0, le=1)] | bool = 0.2


class Task(msgspec.Struct, forbid_unknown_fields=True):
    """A node as submitted. What it leaves out comes from the operation's sidecar, then from the contract."""

    id: TaskId
    operation: str
    params: dict[str, Any] = {}
    needs: list[str] = []
    key: str | None = None
    repeatable: bool | None = None
    timeout_s: Annotated[float, msgspec.Meta(gt=0)] | None = None
    retry: Retry | None = None


class Submission(msgspec.Struct, forbid_unknown_fields=True):
    """A whole workflow. Its tasks are read by `workflow.taskdoc`; in the document they are of type Task."""

    name: WorkflowName
    tasks: list[Any]


class OperationCall(msgspec.Struct, forbid_unknown_fields=True):
    """One operation on one infra: a workflow of one task whose params are these plus `infra`."""

    infra: WorkflowName
    params: dict[str, Any] = {}


class Resolution(msgspec.Struct, forbid_unknown_fields=True, rename={"as_": "as"}):
    """What a person found out about a task of unknown end."""

    as_: Literal["succeeded", "failed", "retry"]


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """An empty object, or no body at all."""


# --- answered --------------------------------------------------------------------------------------------------------


class Accepted(msgspec.Struct):
    """The workflow is durable."""

    workflow_id: str
    status: str


class Parent(msgspec.Struct):
    """The task of another workflow that submitted this one."""

    workflow_id: str
    task: str


class Workflow(msgspec.Struct):
    """tasks: how many tasks are in which state. quarantined: why it was set aside, null where it was not."""

    workflow_id: str
    name: str
    status: str
    created_at: Time
    started_at: Time | None
    ended_at: Time | None
    tasks: dict[str, int]
    tasks_total: int
    cancel_requested: bool
    quarantined: str | None
    sequence: int
    parent: Parent | None = None


class Error(msgspec.Struct):
    code: str
    message: str
    retryable: bool
    retry_after_s: float | None = None


class Attempt(msgspec.Struct):
    """note: what else is known of its end, e.g. why nobody saw it."""

    number: int
    status: str
    started_at: Time
    ended_at: Time | None
    exit_code: int | None
    signal: int | None
    error: Error | None
    note: str | None


class TaskState(msgspec.Struct):
    """partial: it succeeded, and said that not all was done.

    due_at: when a waiting task goes on. result: what its operation returned, any JSON.
    waits_for: what a ready task waits for, or a running one that has child workflows, in words.
    """

    id: str
    workflow_id: str
    operation: str
    status: str
    needs: list[str]
    key: str | None
    repeatable: bool
    timeout_s: float
    depth: int
    attempts: list[Attempt]
    result: msgspec.Raw
    error: Error | None
    partial: bool
    due_at: Time | None
    expanded: int
    resources: list[Reported]
    waits_for: str | None = None


class Event(msgspec.Struct):
    """A committed fact. sequence: 1, 2, 3 … in the workflow, without gaps."""

    sequence: int
    at: Time
    type: str
    task: str | None
    data: Reported


class Operation(msgspec.Struct):
    """problem: why the operation can't be used, null where it can."""

    name: str
    repeatable: bool
    timeout_s: float | None
    params_schema: dict[str, Any] | None
    problem: str | None = None


class Health(msgspec.Struct):
    """degraded: it serves, but something is wrong; detail says what."""

    status: Literal["starting", "ok", "stopping", "degraded"]
    version: str
    pid: int
    detail: str | None = None


class Workflows(msgspec.Struct):
    items: list[Workflow]
    next_cursor: str | None


class Tasks(msgspec.Struct):
    items: list[TaskState]
    next_cursor: str | None


class Events(msgspec.Struct):
    items: list[Event]
    next_cursor: str | None


class Operations(msgspec.Struct):
    items: list[Operation]
    next_cursor: str | None


# --- checking --------------------------------------------------------------------------------------------------------


def check(doc: Any, shape: type[msgspec.Struct]) -> list[Fault]:
    """All that is wrong with the outer fields. msgspec stops at the first fault; so each field is tried by itself."""
    if type(doc) is not dict:
        return [Fault("", f"the body is {kind(doc)}; an object is expected")]
    fields = _fields(shape)
    faults = [] if doc.keys() <= fields.keys() else unknown_fields(doc, list(fields), "")
    for name, (type_, required) in fields.items():
        if name in doc:
            try:
                msgspec.convert(doc[name], type_)
            except msgspec.ValidationError as error:
                faults.append(Fault(f"/{name}", str(error)))
        elif required:
            faults.append(Fault("", f"the field `{name}` is missing"))
    return faults


@cache
def _fields(shape: type[msgspec.Struct]) -> dict[str, tuple[Any, bool]]:
    """By name: the type, and whether it has to be there."""
    return {field.encode_name: (field.type, field.required) for field in msgspec.structs.fields(shape)}
