"""The tasks that a result adds, checked: all faults at once, or the tasks. Cases: contract/examples/expansions.json."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from .errors import ProvisioningError
from .yamlfile import shown, suggestion

TASKS_MAX = 10_000
BYTES_MAX = 4 * 1024 * 1024
FAULTS_MAX = 10
ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
FIELDS = ("id", "operation", "params", "needs", "key", "repeatable", "timeout_s", "retry")
RETRY_FIELDS = ("attempts_max", "backoff", "delay_s", "delay_max_s", "jitter")
BACKOFFS = ("constant", "fixed", "linear", "exponential")


def expansion_faults(tasks: Sequence[Any], check_operation: Callable[[str], object]) -> list[str]:
    """What is wrong with it, in words; empty where it can be taken. check_operation: raises ProvisioningError."""
    if len(tasks) > TASKS_MAX:
        return [f"{len(tasks)} tasks; at most {TASKS_MAX} are taken"]
    size = len(json.dumps(tasks, ensure_ascii=False, separators=(",", ":")).encode())
    if size > BYTES_MAX:
        return [f"{size} bytes of tasks; at most {BYTES_MAX} are taken"]
    faults: list[str] = []
    for place, task in enumerate(tasks):
        faults += [f"tasks[{place}]: {fault}" for fault in _task_faults(task)]
    if not faults:
        faults = _operation_faults(tasks, check_operation) + _edge_faults(tasks)
    return faults[:FAULTS_MAX]


def _task_faults(task: Any) -> list[str]:
    if not isinstance(task, dict):
        return [f"{shown(task)} is not an object"]
    faults = [f"unknown field {shown(name)}.{suggestion(name, FIELDS)}" for name in task if name not in FIELDS]
    id, needs, timeout_s = task.get("id"), task.get("needs", []), task.get("timeout_s")
    if not isinstance(id, str) or not ID.fullmatch(id):
        faults.append(f"id is {shown(id)}; accepted: {ID.pattern}")
    if not isinstance(task.get("operation"), str):
        faults.append(f"operation is {shown(task.get('operation'))}; accepted: a name like servers/create")
    if not isinstance(task.get("params", {}), dict):
        faults.append("params is not an object")
    if not isinstance(needs, list) or not all(isinstance(need, str) for need in needs):
        faults.append("needs is not an array of ids")
    if not isinstance(task.get("key"), str | None):
        faults.append(f"key is {shown(task['key'])}; accepted: a string or null")
    if not isinstance(task.get("repeatable"), bool | None):
        faults.append(f"repeatable is {shown(task['repeatable'])}; accepted: true or false")
    if timeout_s is not None and not (_is_number(timeout_s) and timeout_s > 0):
        faults.append(f"timeout_s is {shown(timeout_s)}; accepted: a number above 0")
    return faults + (_retry_faults(task["retry"]) if task.get("retry") is not None else [])


def _retry_faults(retry: Any) -> list[str]:
    """Direct mode does not retry, but what the orchestrator would refuse is refused here too."""
    if not isinstance(retry, dict):
        return ["retry is not an object"]
    faults = [f"retry: unknown field {shown(name)}" for name in retry if name not in RETRY_FIELDS]
    attempts_max = retry.get("attempts_max", 1)
    if type(attempts_max) is not int or attempts_max < 1:
        faults.append(f"retry.attempts_max is {shown(attempts_max)}; accepted: 1 or more")
    if retry.get("backoff", "constant") not in BACKOFFS:
        faults.append(f"retry.backoff is {shown(retry['backoff'])}; accepted: {', '.join(BACKOFFS)}")
    for name, most in (("delay_s", float("inf")), ("delay_max_s", float("inf")), ("jitter", 1)):
        value = retry.get(name, 0)
        if not (_is_number(value) and 0 <= value <= most) and not (name == "jitter" and isinstance(value, bool)):
            faults.append(f"retry.{name} is {shown(value)}; accepted: a number of 0 or more")
    return faults


def _operation_faults(tasks: Sequence[dict[str, Any]], check_operation: Callable[[str], object]) -> list[str]:
    faults = []
    for name in dict.fromkeys(task["operation"] for task in tasks):
        try:
            check_operation(name)
        except ProvisioningError as error:
            faults.append(f"{error.message}{f' ({error.hint})' if error.hint else ''}")
    return faults


def _edge_faults(tasks: Sequence[dict[str, Any]]) -> list[str]:
    ids = Counter(task["id"] for task in tasks)
    faults = [f"{count} tasks have the id {id}" for id, count in ids.items() if count > 1]
    for task in tasks:
        for need in task.get("needs", ()):
            if need not in ids:
                faults.append(f"task {task['id']} needs {shown(need)}, which is not among its siblings")
            elif need == task["id"]:
                faults.append(f"task {task['id']} needs itself")
    if not faults:
        try:
            TopologicalSorter({task["id"]: task.get("needs", ()) for task in tasks}).prepare()
        except CycleError as error:
            faults.append(f"a cycle: {' → '.join(error.args[1][:20])}")
    return faults


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
