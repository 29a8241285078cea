"""What a planned task expects to meet, and that it refuses (`plan_stale`) where the world has gone on since.

As a task's param `expect`: {"plan": the plan's id} and
    {"absent": true}                            a create: nothing has this key, or what has it is as wished already
    {"id", "fields": [[path, before, after]]}   an update: each field is as it was, or as it is to be already
    {"id", "observed": {field: digest}}         a delete or start: this resource, as it was
    {…, "replaced": true}                       a delete, before its key is used again
    {"folder": digest}                          a taskserv: the files that install it are the plan's (taskservs/wish)

A task that was killed half-way meets what it has left behind itself, and has to go on: an update knows the fields that
are done already, and a delete marks that it has begun, `<workspace>/.provisioning/begun/<digest of plan and key>`. So
does the same plan when it is applied again: what is done is found done.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import stale_plan
from ..provider import Provider, Resource
from ..yamlfile import shown
from .comparing import observation
from .model import Change, FieldChange, Plan

BEGUN = Path(".provisioning", "begun")
NAMED_MAX = 5


def expect_absent(plan: Plan) -> dict[str, Any]:
    return {"plan": plan.id, "absent": True}


def expect_fields(plan: Plan, change: Change) -> dict[str, Any]:
    fields = [[each.path, each.before, each.after] for each in change.fields]
    return {"plan": plan.id, "id": change.id, "fields": fields}


def expect_seen(plan: Plan, change: Change, *, replaced: bool = False) -> dict[str, Any]:
    seen = {"plan": plan.id, "id": change.id, "observed": dict(change.observed or {})}
    return seen | ({"replaced": True} if replaced else {})


def expect_folder(plan: Plan, change: Change) -> dict[str, Any] | None:
    """None where the plan does not know it (one of an older form; a removal whose folder was not there)."""
    folder = (change.wish or {}).get("folder")
    return {"plan": plan.id, "folder": folder} if folder else None


def check_create(expect: Mapping[str, Any], found: Resource | None, left: Sequence[FieldChange], what: str) -> None:
    """found: what has the key. left: how it is not as wished. Raises ConflictError (`plan_stale`)."""
    if expect.get("absent"):
        if found is not None and left:
            raise stale_plan(what, f"{found.id} has been made since, and is not as planned: {_words(left)}")
        return
    _check_id(expect, found, what)
    if left:
        raise stale_plan(what, f"it has been changed since: {_words(left)}")


def check_update(expect: Mapping[str, Any], found: Resource | None, left: Sequence[FieldChange], what: str) -> None:
    """Raises ConflictError (`plan_stale`)."""
    _check_id(expect, found, what)
    planned = {_plain(*field) for field in expect.get("fields", ())}
    unplanned = [each for each in left if _plain(each.path, each.before, each.after) not in planned]
    if unplanned:
        raise stale_plan(what, f"it has been changed since: {_words(unplanned)}")


def starts(expect: Mapping[str, Any] | None) -> bool:
    """Whether an update is to start what does not run; without an expectation it is."""
    return expect is None or any(path == "state" for path, *_ in expect.get("fields", ()))


def check_delete(expect: Mapping[str, Any], found: Resource | None, provider: Provider, begun: bool, what: str) -> bool:
    """Whether it is to be deleted; not where it is gone already. Raises ConflictError (`plan_stale`)."""
    if found is None:
        return False
    if found.id != expect["id"]:
        if expect.get("replaced") and provider.get(found.kind, expect["id"]) is None:
            return False  # it is gone, and what has its key now is for the next task to judge
        raise stale_plan(what, f"it is {found.id} now, planned was {expect['id']}")
    before, now = expect.get("observed", {}), observation(found)
    # What has got into error meanwhile may go all the same; what has come out of it may not.
    names = {*before, *now} - ({"state"} - before.keys())
    changed = sorted(name for name in names if before.get(name) != now.get(name))
    if changed and not begun:
        raise stale_plan(what, f"it has been changed since: {', '.join(changed[:NAMED_MAX])}")
    return True


class Begun:
    """The mark that the planned deletion of this key has begun."""

    def __init__(self, workspace: Path, expect: Mapping[str, Any], key: str) -> None:
        name = hashlib.sha256(f"{expect.get('plan')}\n{expect.get('id')}\n{key}".encode()).hexdigest()
        self._file = workspace / BEGUN / name

    @property
    def there(self) -> bool:
        return self._file.exists()

    @contextmanager
    def held(self) -> Iterator[None]:
        """From before the first effect until all is done; stays where the block does not end well."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        yield
        self.forget()

    def forget(self) -> None:
        self._file.unlink(missing_ok=True)


def _check_id(expect: Mapping[str, Any], found: Resource | None, what: str) -> None:
    if found is None:
        raise stale_plan(what, f"{expect.get('id')} is gone")
    if found.id != expect.get("id"):
        raise stale_plan(what, f"it is {found.id} now, planned was {expect.get('id')}")


def _plain(path: Any, before: Any, after: Any) -> str:
    return json.dumps([path, before, after], sort_keys=True)


def _words(fields: Sequence[FieldChange]) -> str:
    told = [f"{each.path} is {shown(each.before)}, not {shown(each.after)}" for each in fields[:NAMED_MAX]]
    return ", ".join(told) + (" …" if len(fields) > NAMED_MAX else "")
