"""A provider of files: for tests of operations, not of machines. It remembers everything that was ever made.

In a workspace: `provider: provisioning_core.testing.ledger_provider:LedgerProvider`. Its files in <workspace>/.ledger/:

    ledger.json   {"resources": what exists, by id, "history": all that was ever made or deleted}; one file, so that no
                  kill comes between the two
    calls.jsonl   one line per call of create
    faults.json   what is to go wrong: an array of {"verb": "create" | "delete", "at": POINT, "do": ACTION, "name": NAME
                  (absent: any), "times": N (absent: 1)}

Points of a create: `begin`, `made` (it exists, nobody was told), `announced`, `end`; of a delete: `begin`, `end`.
Actions: `kill` (SIGKILL to the calling process), `refuse` (a permanent error), `busy` (an error that may be retried),
`crash` (a bug), `hang` (for ever, after making the file `hanging-POINT-NAME`).
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from ..errors import ProviderError
from ..provider import Created, Kind, Resource, Wish
from ..yamlfile import shown


class LedgerProvider:
    name = "ledger"

    def __init__(self, workspace: Path, settings: Mapping[str, Any] = {}) -> None:
        self._directory = workspace / ".ledger"
        self._directory.mkdir(exist_ok=True)

    def create(self, wish: Wish, *, announce: Callable[[Resource], None] = lambda _: None) -> Created:
        if not wish.name.replace("-", "").isalnum() or not wish.name.isascii() or len(wish.name) > 63:
            raise ProviderError(f"{shown(wish.name)} is no name", code="bad_name", retryable=False)
        call = {"kind": wish.kind, "name": wish.name, "key": wish.key, "intent": wish.intent, "pid": os.getpid()}
        self._append("calls.jsonl", call)
        self._fault("create", "begin", wish.name)
        with self._ledger() as resources:
            resource = _find(resources, wish.kind, wish.intent, wish.key)
            created, stopped = resource is None, resource is not None and resource.state == "stopped"
            if resource is None:
                resource = _make(wish)
                resources[resource.id] = asdict(resource)
        self._fault("create", "made", wish.name)
        announce(resource)
        self._fault("create", "announced", wish.name)
        with self._ledger() as resources:
            # Whoever comes by finishes what a killed one began; someone else may have deleted it meanwhile.
            if resource.id in resources:
                resource = replace(resource, state="started")
                resources[resource.id] = asdict(resource)
        self._fault("create", "end", wish.name)
        return Created(resource, created, restarted=stopped)

    def find(self, kind: Kind, *, intent: str | None = None, key: str | None = None) -> Resource | None:
        with self._ledger() as resources:
            return _find(resources, kind, intent, key)

    def get(self, kind: Kind, id: str) -> Resource | None:
        with self._ledger() as resources:
            found = resources.get(id)
            return Resource(**found) if found and found["kind"] == kind else None

    def list(self, kind: Kind, *, infra: str | None = None) -> list[Resource]:
        with self._ledger() as resources:
            every = [Resource(**found) for found in resources.values() if found["kind"] == kind]
        return sorted((one for one in every if infra in (None, one.infra)), key=lambda one: one.key)

    def delete(self, kind: Kind, id: str) -> bool:
        found = self.get(kind, id)
        if found is None:
            return False
        self._fault("delete", "begin", found.name)
        with self._ledger() as resources:
            deleted = resources.pop(id, None) is not None
        self._fault("delete", "end", found.name)
        return deleted

    @contextmanager
    def _ledger(self) -> Iterator[dict[str, Any]]:
        """What exists, by id, under the lock; written whole when the block ends well."""
        with (self._directory / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            file = self._directory / "ledger.json"
            ledger = json.loads(file.read_text()) if file.exists() else {"resources": {}, "history": []}
            before = dict(ledger["resources"])
            yield ledger["resources"]
            after = ledger["resources"]
            for event, here, there in (("created", after, before), ("deleted", before, after)):
                gone = [here[id] for id in here if id not in there]
                ledger["history"] += [{"event": event, **{f: one[f] for f in ("kind", "id", "key")}} for one in gone]
            if after != before:
                part = file.with_suffix(".part")
                part.write_text(json.dumps(ledger))
                part.replace(file)

    def _append(self, name: str, line: Mapping[str, Any]) -> None:
        with (self._directory / name).open("ab", buffering=0) as file:
            file.write(json.dumps(line).encode() + b"\n")

    def _fault(self, verb: str, at: str, name: str) -> None:
        """Do what faults.json says of this point, and count it off."""
        file = self._directory / "faults.json"
        if not file.exists():
            return
        with (self._directory / "fault-lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            faults = json.loads(file.read_text())
            hit = next((one for one in faults if (one["verb"], one["at"]) == (verb, at) and _is_for(one, name)), None)
            if hit is None:
                return
            hit["times"] = hit.get("times", 1) - 1
            file.write_text(json.dumps([one for one in faults if one.get("times", 1) > 0]))
        self._act(hit["do"], at, name)

    def _act(self, action: str, at: str, name: str) -> None:
        if action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif action == "hang":
            (self._directory / f"hanging-{at}-{name}").touch()
            while True:
                signal.pause()
        elif action == "crash":
            raise RuntimeError(f"a planted bug at {at} of {name}")
        raise ProviderError(f"a planted fault at {at} of {name}", code=action, retryable=action == "busy")


def _is_for(fault: Mapping[str, Any], name: str) -> bool:
    return fault.get("name") in (None, name)


def _find(resources: Mapping[str, Any], kind: Kind, intent: str | None, key: str | None) -> Resource | None:
    for field, value in (("intent", intent), ("key", key)):
        for found in resources.values():
            if value is not None and found["kind"] == kind and found[field] == value:
                return Resource(**found)
    return None


def _make(wish: Wish) -> Resource:
    number = uuid4()
    attributes: dict[str, Any] = {"labels": dict(wish.labels), **wish.spec}
    if wish.kind == "server":
        ssh = {"host": "192.0.2.1", "port": 1 + number.int % 65535, "user": "root"}
        ssh |= {"identity_file": "/nowhere", "known_hosts_file": "/nowhere"}
        attributes |= {"address": "192.0.2.1", "zone": "ledger", "plan": wish.spec.get("plan"), "ssh": ssh}
    id = f"{wish.kind}-{number.hex[:12]}"
    return Resource(wish.kind, id, wish.key, wish.intent, wish.infra, wish.name, "creating", attributes)
