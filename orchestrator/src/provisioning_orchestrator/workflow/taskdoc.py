"""Tasks as JSON values, read into TaskSpecs: the same for a submission and for an expansion, all faults at once.

100,000 tasks are read in about a second: facts about an operation are looked up once each, what a task leaves out costs
nothing, and equal retry policies are one object.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Protocol

from .faults import is_number, kind, shown, unknown_fields
from .params import check_params
from .spec import ONCE, REPEATABLE, TASK_ID_PATTERN, TIMEOUT_DEFAULT_S, Backoff, Fault, RetryPolicy, TaskSpec

TASK_FIELDS = ("id", "operation", "params", "needs", "key", "repeatable", "timeout_s", "retry")
RETRY_FIELDS = ("attempts_max", "backoff", "delay_s", "delay_max_s", "jitter")
FAULTS_MAX = 100
KEY_CHARACTERS_MAX = 512
OPERATION_CHARACTERS_MAX = 255
TIMEOUT_MAX_S = 366 * 86_400.0
DELAY_MAX_S = 366 * 86_400.0
ATTEMPTS_MAX = 1_000_000
JITTER_DEFAULT = 0.2

BACKOFFS: dict[str, Backoff] = {
    "constant": "constant",
    "fixed": "constant",
    "linear": "linear",
    "exponential": "exponential",
}

_ID = re.compile(TASK_ID_PATTERN)
_EXPANDED = re.compile(r"\d+\.")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


class Facts(Protocol):
    """What is known of an operation (`ports.Operation` is one)."""

    @property
    def repeatable(self) -> bool: ...
    @property
    def timeout_s(self) -> float | None: ...
    @property
    def retry(self) -> RetryPolicy | None: ...
    @property
    def params_schema(self) -> dict[str, Any] | None: ...


Describe = Callable[[str], Facts]
"""Raises LookupError where there is no such operation, ValueError where it can't be used; their text is shown."""


@dataclass(frozen=True, slots=True)
class UnknownOperationFault(Fault):
    """The task names an operation that no library has."""


def read_task(
    doc: Any, pointer: str, describe: Describe, *, submitted: bool = False
) -> tuple[TaskSpec | None, list[Fault]]:
    """One task, or None and what is wrong with it. See `read_tasks`."""
    specs, faults = read_tasks([doc], pointer, describe, submitted=submitted, single=True)
    return (specs[0] if specs else None), faults


def read_tasks(
    docs: Sequence[Any], pointer: str, describe: Describe, *, submitted: bool = False, single: bool = False
) -> tuple[list[TaskSpec], list[Fault]]:
    """The tasks that are well-formed, in order, and at most FAULTS_MAX faults of the others.

    pointer: the JSON Pointer of the array (single: of the one task).
    submitted: refuse ids that look like an expansion's (`7.web`), as these are given out by the workflow itself.
    Edges are not looked at: that is `graph.check_graph`.
    """
    reader = _Reader(describe, submitted)
    specs: list[TaskSpec] = []
    for position, doc in enumerate(docs):
        spec = reader.read(doc, pointer if single else f"{pointer}/{position}")
        if spec is not None:
            specs.append(spec)
        elif len(reader.faults) >= FAULTS_MAX:
            break
    return specs, reader.faults[:FAULTS_MAX]


class _Reader:
    def __init__(self, describe: Describe, submitted: bool) -> None:
        self.faults: list[Fault] = []
        self._describe = describe
        self._submitted = submitted
        self._facts: dict[str, Facts | Fault] = {}
        self._policies: dict[RetryPolicy, RetryPolicy] = {}

    def read(self, doc: Any, at: str) -> TaskSpec | None:
        if type(doc) is not dict:
            self._fault(at, f"a task is an object, not {kind(doc)}")
            return None
        before = len(self.faults)
        if not doc.keys() <= _TASK_FIELDS:
            self.faults.extend(unknown_fields(doc, TASK_FIELDS, at))
        id = self._id(doc, at)
        facts = self._operation(doc, at)
        needs = self._needs(doc["needs"], at) if "needs" in doc else ()
        key = doc.get("key")
        if key is not None:
            self._key(key, at)
        params = self._params(doc["params"], at, facts) if "params" in doc else self._params({}, at, facts)
        repeatable, timeout_s, retry = self._defaults(doc, at, facts)
        if len(self.faults) > before:
            return None
        return TaskSpec(id, doc["operation"], params, needs, key, repeatable, timeout_s, retry)

    # --- fields ------------------------------------------------------------------------------------------------------

    def _id(self, doc: dict[str, Any], at: str) -> str:
        id = doc.get("id")
        if type(id) is not str or not _ID.fullmatch(id):
            if "id" not in doc:
                self._fault(at, "the field `id` is missing", f"an id matches {TASK_ID_PATTERN}")
            else:
                self._fault(f"{at}/id", f"{shown(id)} is no task id", f"an id matches {TASK_ID_PATTERN}")
            return ""
        if self._submitted and _EXPANDED.match(id):
            self._fault(
                f"{at}/id",
                f"{shown(id)} looks like the id of an expanded task",
                "digits and a dot in front are given out by the workflow; begin with a letter",
            )
        return id

    def _operation(self, doc: dict[str, Any], at: str) -> Facts | None:
        name = doc.get("operation")
        if type(name) is not str or not 0 < len(name) <= OPERATION_CHARACTERS_MAX or _CONTROL.search(name):
            if "operation" not in doc:
                self._fault(at, "the field `operation` is missing", "e.g. servers/create")
            else:
                self._fault(f"{at}/operation", f"{shown(name)} is no operation's name", "e.g. servers/create")
            return None
        found = self._facts.get(name)
        if found is None:
            found = self._facts[name] = self._look_up(name)
        if isinstance(found, Fault):
            self.faults.append(type(found)(f"{at}/operation", found.detail, found.hint))
            return None
        return found

    def _look_up(self, name: str) -> Facts | Fault:
        try:
            return self._describe(name)
        except LookupError as error:
            return UnknownOperationFault("", str(error))
        except ValueError as error:
            return Fault("", str(error))

    def _needs(self, needs: Any, at: str) -> tuple[str, ...]:
        if type(needs) is not list:
            self._fault(f"{at}/needs", f"`needs` is an array of task ids, not {kind(needs)}")
            return ()
        for place, need in enumerate(needs):
            if type(need) is not str:
                self._fault(f"{at}/needs/{place}", f"{shown(need)} is no task id", "name a task of this workflow")
                return ()
        return tuple(needs) if len(set(needs)) == len(needs) else tuple(dict.fromkeys(needs))

    def _key(self, key: Any, at: str) -> None:
        if type(key) is not str:
            self._fault(f"{at}/key", f"`key` is a string or null, not {kind(key)}")
        elif not 0 < len(key) <= KEY_CHARACTERS_MAX or _CONTROL.search(key):
            hint = f"1 to {KEY_CHARACTERS_MAX} characters without control characters"
            self._fault(f"{at}/key", f"{shown(key)} is no key", hint)

    def _params(self, params: Any, at: str, facts: Facts | None) -> bytes:
        if type(params) is not dict:
            self._fault(f"{at}/params", f"`params` is an object, not {kind(params)}")
            return b"{}"
        if facts is not None and facts.params_schema is not None:
            self.faults.extend(check_params(params, facts.params_schema, f"{at}/params"))
        return _encode(params).encode() if params else b"{}"

    def _defaults(self, doc: dict[str, Any], at: str, facts: Facts | None) -> tuple[bool, float, RetryPolicy]:
        """What the task says, else the operation's sidecar, else the contract."""
        repeatable = doc.get("repeatable")
        if repeatable is None:
            repeatable = facts.repeatable if facts else False
        elif type(repeatable) is not bool:
            self._fault(f"{at}/repeatable", f"`repeatable` is true or false, not {kind(repeatable)}")
        timeout_s = doc.get("timeout_s")
        if timeout_s is None:
            timeout_s = (facts.timeout_s if facts else None) or TIMEOUT_DEFAULT_S
        elif not (is_number(timeout_s) and 0 < timeout_s <= TIMEOUT_MAX_S):
            self._fault(f"{at}/timeout_s", f"{shown(timeout_s)} is no timeout", f"above 0, at most {TIMEOUT_MAX_S:.0f}")
        retry = doc.get("retry")
        if retry is not None:
            policy, faults = read_retry(retry, f"{at}/retry")
            self.faults.extend(faults)
            policy = self._policies.setdefault(policy, policy)
        elif facts is not None and facts.retry is not None:
            policy = facts.retry
        else:
            policy = REPEATABLE if repeatable is True else ONCE
        return repeatable, timeout_s, policy

    def _fault(self, pointer: str, detail: str, hint: str | None = None) -> None:
        self.faults.append(Fault(pointer, detail, hint))


_TASK_FIELDS = frozenset(TASK_FIELDS)


def read_retry(doc: Any, pointer: str) -> tuple[RetryPolicy, list[Fault]]:
    """A retry policy as a task or a sidecar writes it; what it leaves out is as for a repeatable task (3 attempts).

    jitter: a number from 0 to 1, or a boolean: true is the default share (0.2), false none.
    backoff: `fixed` is another word for `constant`.
    """
    if type(doc) is not dict:
        return REPEATABLE, [Fault(pointer, f"`retry` is an object, not {kind(doc)}")]
    faults = unknown_fields(doc, RETRY_FIELDS, pointer)
    attempts_max = doc.get("attempts_max", REPEATABLE.attempts_max)
    if type(attempts_max) is not int or not 1 <= attempts_max <= ATTEMPTS_MAX:
        faults.append(Fault(f"{pointer}/attempts_max", f"{shown(attempts_max)} is no number of attempts", "1 or more"))
    backoff = doc.get("backoff", REPEATABLE.backoff)
    if type(backoff) is not str or backoff not in BACKOFFS:
        close = get_close_matches(backoff, BACKOFFS, n=1) if type(backoff) is str else []
        hint = f"did you mean {close[0]!r}?" if close else f"one of {', '.join(BACKOFFS)}"
        faults.append(Fault(f"{pointer}/backoff", f"{shown(backoff)} is no backoff", hint))
        backoff = REPEATABLE.backoff
    delays = []
    for name, default in (("delay_s", REPEATABLE.delay_s), ("delay_max_s", REPEATABLE.delay_max_s)):
        delay = doc.get(name, default)
        if not (is_number(delay) and 0 <= delay <= DELAY_MAX_S):
            faults.append(
                Fault(f"{pointer}/{name}", f"{shown(delay)} is no delay in seconds", f"0 to {DELAY_MAX_S:.0f}")
            )
            delay = default
        delays.append(float(delay))
    jitter = doc.get("jitter", JITTER_DEFAULT)
    if type(jitter) is bool:
        jitter = JITTER_DEFAULT if jitter else 0.0
    elif not (is_number(jitter) and 0 <= jitter <= 1):
        faults.append(Fault(f"{pointer}/jitter", f"{shown(jitter)} is no jitter", "0 to 1, or true or false"))
        jitter = JITTER_DEFAULT
    if faults:
        return REPEATABLE, faults
    return RetryPolicy(attempts_max, BACKOFFS[backoff], delays[0], delays[1], float(jitter)), []
