"""The files of the ledger provider: what exists, all that ever did, and the faults that were planted."""

from __future__ import annotations

import fcntl
import json
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import ProviderError


class LedgerFile:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(exist_ok=True)

    @contextmanager
    def resources(self) -> Iterator[dict[str, Any]]:
        """What exists, by id, under the lock; written whole when the block ends well."""
        with (self.directory / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            file = self.directory / "ledger.json"
            before = file.read_text() if file.exists() else '{"resources": {}, "history": []}'
            ledger = json.loads(before)
            there = _things(ledger["resources"])
            yield ledger["resources"]
            now = _things(ledger["resources"])
            for event, here, gone in (("created", now, there), ("deleted", there, now)):
                ledger["history"] += [{"event": event, **here[id]} for id in here if id not in gone]
            after = json.dumps(ledger)
            if after != before:
                part = file.with_suffix(".part")
                part.write_text(after)
                part.replace(file)

    def append(self, name: str, line: Mapping[str, Any]) -> None:
        with (self.directory / name).open("ab", buffering=0) as file:
            file.write(json.dumps(line).encode() + b"\n")

    def fault(self, verb: str, at: str, name: str) -> None:
        """Do what faults.json says of this point, and count it off."""
        file = self.directory / "faults.json"
        if not file.exists():
            return
        with (self.directory / "fault-lock").open("a") as lock:
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
            (self.directory / f"hanging-{at}-{name}").touch()
            while True:
                signal.pause()
        elif action == "crash":
            raise RuntimeError(f"a planted bug at {at} of {name}")
        raise ProviderError(f"a planted fault at {at} of {name}", code=action, retryable=action == "busy")


def _is_for(fault: Mapping[str, Any], name: str) -> bool:
    return fault.get("name") in (None, name)


def _things(resources: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """By id, what history tells of each: the resources, and the storages that are parts of servers."""
    things = {id: {field: one[field] for field in ("kind", "id", "key")} for id, one in resources.items()}
    for id, one in resources.items():
        for storage in one["attributes"].get("spec", {}).get("storages", ()) if one["kind"] == "server" else ():
            part = f"{id}/{storage['name']}"
            things[part] = {"kind": "storage", "id": part, "key": f"{one['key']}/storage/{storage['name']}"}
    return things
