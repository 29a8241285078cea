"""What exists in one project of the double: kept in the ledger, so that a double that starts again goes on from there.

Fields that begin with _ are the double's own and never leave it. Actions are kept in memory only: one that was running
when the double ended is unknown afterwards, what it did stays.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from ..backing import Backing
from ..ledger import Ledger
from .refusal import Refusal, not_found

Thing = dict[str, Any]
FIRST_ID = 1_000_001


class World:
    """Call its methods with `lock` held. pace_s: how long an action takes, a boot included."""

    def __init__(self, ledger: Ledger, pace_s: float, backing: Backing) -> None:
        self.lock = threading.RLock()
        self.pace_s = pace_s
        self.backing = backing
        self.lag_s = 0.0
        self.stuck = False  # whether what is begun now never ends
        self._ledger = ledger
        self._things: dict[str, dict[int, Thing]] = {}
        self._actions: dict[int, Thing] = {}
        for entry in ledger.existing():
            self._things.setdefault(entry.kind, {})[int(entry.id)] = dict(entry.data)
        ids = [int(entry.id) for entry in ledger.created()]
        self._ids = itertools.count(max(ids, default=FIRST_ID - 1) + 1)  # one range for all kinds, none given twice
        self._action_ids = itertools.count(int(time.time() * 1000))

    def add(self, kind: str, fields: Thing) -> Thing:
        """It exists from now on. Raises Refusal (`uniqueness_error`) where the name is taken."""
        taken = {each["name"] for each in self._things.get(kind, {}).values()}
        if fields["name"] in taken:
            raise Refusal("uniqueness_error", f"{kind} name is already used", {"fields": [{"name": "name"}]})
        id = next(self._ids)
        thing = {"id": id, "created": moment(time.time()), "_made_at": time.time(), **fields}
        self._ledger.create(kind, str(id), thing)
        self._things.setdefault(kind, {})[id] = thing
        return thing

    def change(self, kind: str, thing: Thing, **fields: Any) -> None:
        thing.update(fields)
        self._ledger.change(kind, str(thing["id"]), thing)

    def drop(self, kind: str, thing: Thing) -> None:
        self._ledger.delete(kind, str(thing["id"]))
        del self._things[kind][thing["id"]]

    def get(self, kind: str, id: Any) -> Thing:
        """Raises Refusal (`not_found`)."""
        thing = self._things.get(kind, {}).get(int(id)) if str(id).isdecimal() else None
        if thing is None:
            raise not_found(kind, id)
        return thing

    def every(self, kind: str) -> list[Thing]:
        return list(self._things.get(kind, {}).values())

    def listed(self, kind: str) -> Iterator[Thing]:
        """Those that lists show by now."""
        return (each for each in self.every(kind) if time.time() >= each["_made_at"] + self.lag_s)

    def act(self, command: str, on: Sequence[tuple[str, Thing]], *, takes_s: float | None = None) -> Thing:
        """An action that has begun; what it is on is locked until it ends. It never ends while `stuck`."""
        now = time.time()
        ends = float("inf") if self.stuck else now + (self.pace_s if takes_s is None else takes_s)
        id = next(self._action_ids)
        resources = [{"id": thing["id"], "type": kind} for kind, thing in on]
        self._actions[id] = {
            "id": id,
            "command": command,
            "started": moment(now),
            "resources": resources,
            "_ends": ends,
        }
        return self.shown_action(id)

    def shown_action(self, id: Any) -> Thing:
        action = self._actions.get(int(id)) if str(id).isdecimal() else None
        if action is None:
            raise not_found("action", id)
        ends, running = action["_ends"], time.time() < action["_ends"]
        progress = 0 if running else 100
        state = {"status": "running" if running else "success", "progress": progress, "error": None}
        return outward(action) | state | {"finished": None if running else moment(ends)}

    def busy(self, kind: str, thing: Thing) -> bool:
        now, wanted = time.time(), {"id": thing["id"], "type": kind}
        return any(now < action["_ends"] and wanted in action["resources"] for action in self._actions.values())

    def free(self, kind: str, thing: Thing) -> bool:
        """End what would never end on it; whether there was something."""
        wanted, found = {"id": thing["id"], "type": kind}, False
        for action in self._actions.values():
            if action["_ends"] == float("inf") and wanted in action["resources"]:
                action["_ends"], found = time.time(), True
        return found

    def must_be_free(self, kind: str, thing: Thing) -> None:
        """Raises Refusal (`locked`)."""
        if self.busy(kind, thing):
            raise Refusal("locked", f"{kind} is locked because another action is running")


def moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def outward(thing: Thing) -> Thing:
    return {name: value for name, value in thing.items() if not name.startswith("_")}
