"""Plain progress: one line per change of state, with its time, for logs and pipes. No escapes, nothing is redrawn."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .picture import Picture
from .text import clean, pad, plural
from .times import between, duration, instant, stamp

LABEL_COLUMNS = 20
FACT_COLUMNS = 10
ID_SHOWN = 13  # a beginning that is accepted as an id; the first line has all of it


def plain_line(picture: Picture, type_: str, task: str | None, data: Mapping[str, Any], at: object) -> str | None:
    """The line for an event that was just applied to the picture; None where there is nothing to tell."""
    subject, _, fact = type_.partition(".")
    when = instant(at)
    if when is None or picture.told_before:
        return None
    if subject == "workflow":
        return _line(when, picture.workflow[:ID_SHOWN], fact, _workflow(picture, fact))
    if type_ == "tasks.added":
        total = data.get("total")
        listed = data.get("tasks")
        count = total if isinstance(total, int) else len(listed) if isinstance(listed, list) else 0
        parent = picture.tasks.get(str(data.get("parent") or task))
        return _line(when, parent.label if parent else picture.workflow, "expanded", f"+{plural(count, 'task')}")
    if type_ == "resource.created":
        line = picture.tasks.get(task or "")
        what = " ".join(str(data[name]) for name in ("kind", "id") if name in data)
        return _line(when, line.label if line else picture.workflow, "created", what)
    if subject == "task" and task is not None and task in picture.tasks:
        return _line(when, picture.tasks[task].label, fact, _task(picture, task, fact, data, at))
    return None


def _workflow(picture: Picture, fact: str) -> str:
    if fact in ("succeeded", "failed", "cancelled"):
        took = between(picture.started_at, picture.ended_at)
        from .tree import counts  # here: the tree is not needed for anything else of a plain line

        return f"{took}  {counts(picture)}".strip()
    if fact == "submitted":
        return f"{picture.workflow}  {picture.name}  {plural(picture.total, 'task')}"
    return ""


def _task(picture: Picture, task: str, fact: str, data: Mapping[str, Any], at: object) -> str:
    line = picture.tasks[task]
    of = f"/{line.attempts_max}" if line.attempts_max else ""
    quoted = json.dumps(clean(line.message), ensure_ascii=False) if line.message else ""
    took = between(line.started_at, at)
    if fact == "started":
        return f"attempt={line.attempt}{of}" if line.attempt > 1 else ""
    if fact == "retrying":
        delay = data.get("delay_s")
        wait = f" wait={duration(float(delay))}" if isinstance(delay, int | float) else ""
        return f"attempt={line.attempt + 1}{of}{wait} cause={quoted}"
    if fact == "progress":
        return line.message
    if fact == "failed":
        return f"{took}  {line.code}: {quoted}"
    if fact == "succeeded":
        return f"{took}  in part" if line.partial else took
    return line.message


def _line(when: float, label: str, fact: str, rest: str) -> str:
    text = f"{stamp(when)}  {pad(clean(label), LABEL_COLUMNS)}  {pad(clean(fact), FACT_COLUMNS)}  {clean(rest)}"
    return text.rstrip()
