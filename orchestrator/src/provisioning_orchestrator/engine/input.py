"""What an attempt is told: its one line of JSON, as contract/task.json has it."""

from __future__ import annotations

import json
from functools import lru_cache
from uuid import UUID, uuid5

from ..ports import TaskInput


def task_intent(workflow_intent: str, task_id: str) -> str:
    """Which wish: the same over attempts, retries and crashes."""
    return str(uuid5(_namespace(workflow_intent), task_id))


_namespace = lru_cache(UUID)


def input_line(workflow: str, intent: str, attempt: int, task: TaskInput) -> bytes:
    """The line without its newline. Params and results are spliced in as they were stored: byte for byte."""
    head = json.dumps(
        {
            "workflow_id": workflow,
            "task_id": task.task_id,
            "attempt": attempt,
            "key": task.key,
            "intent": intent,
            "operation": task.operation,
        },
        ensure_ascii=False,
    ).encode()
    results = b", ".join(json.dumps(id).encode() + b": " + value for id, value in task.results.items())
    return head[:-1] + b', "params": ' + task.params + b', "results": {' + results + b"}}"
