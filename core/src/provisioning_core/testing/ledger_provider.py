"""A provider of files: for tests of operations, not of machines. It remembers everything that was ever made.

In a workspace: `provider: provisioning_core.testing.ledger_provider:LedgerProvider`. It can all that a provider can
(`ledger_terms` says what it offers). Its files in <workspace>/.ledger/:

    ledger.json   {"resources": what exists, by id, "history": all that was ever made or deleted}; one file, so that no
                  kill comes between the two. A server's storages are in its spec, and in the history on their own.
    calls.jsonl   one line per call of create
    faults.json   what is to go wrong: an array of {"verb": VERB, "at": POINT, "do": ACTION, "name": NAME (absent: any),
                  "times": N (absent: 1)}

    create        begin, made (it exists, nobody was told), announced, storage (after each of its storages), end
    delete        begin, end
    update        begin, stopped (only where it has to be), changed (after each field), end
    power, adopt  begin, end

Actions: `kill` (SIGKILL to the calling process), `refuse` (a permanent error), `busy` (an error that may be retried),
`crash` (a bug), `hang` (for ever, after making the file `hanging-POINT-NAME`).
"""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

from ..capabilities import Fault, PlanInfo, PowerAction
from ..errors import ProviderError
from ..provider import Created, Kind, Resource, Wish
from ..yamlfile import shown
from . import ledger_terms as terms
from .ledger_file import LedgerFile


class LedgerProvider:
    name = "ledger"
    capabilities = terms.CAPABILITIES
    directory = ".ledger"

    def __init__(self, workspace: Path, settings: Mapping[str, Any] = {}) -> None:
        self._file = LedgerFile(workspace / self.directory)

    # --- the five verbs ----------------------------------------------------------------------------------------------

    def create(self, wish: Wish, *, announce: Callable[[Resource], None] = lambda _: None) -> Created:
        if not terms.is_name(wish.name):
            raise ProviderError(f"{shown(wish.name)} is no name", code="bad_name", retryable=False)
        spec = terms.normalize(wish.kind, wish.spec)
        call = {"kind": wish.kind, "name": wish.name, "key": wish.key, "intent": wish.intent, "pid": os.getpid()}
        self._file.append("calls.jsonl", call)
        self._file.fault("create", "begin", wish.name)
        with self._file.resources() as resources:
            found = _find(resources, wish.kind, wish.intent, wish.key)
            created, stopped = found is None, found is not None and found.state == "stopped"
            resource = found or _made(wish, spec)
            if found is None:
                resources[resource.id] = asdict(resource)
        self._file.fault("create", "made", wish.name)
        announce(resource)
        self._file.fault("create", "announced", wish.name)
        # Whoever comes by finishes what a killed one began; someone else may have deleted it meanwhile.
        if created or resource.state == "creating":
            for storage in spec.get("storages", ()):
                self._attach(resource.id, storage)
                self._file.fault("create", "storage", wish.name)
        resource = self._set(resource, state="started")
        self._file.fault("create", "end", wish.name)
        return Created(resource, created, restarted=stopped)

    def find(self, kind: Kind, *, intent: str | None = None, key: str | None = None) -> Resource | None:
        with self._file.resources() as resources:
            return _find(resources, kind, intent, key)

    def get(self, kind: Kind, id: str) -> Resource | None:
        with self._file.resources() as resources:
            found = resources.get(id)
            return Resource(**found) if found and found["kind"] == kind else None

    def list(self, kind: Kind, *, infra: str | None = None) -> builtins.list[Resource]:
        ours = (one for one in self._all(kind) if one.key and infra in (None, one.infra))
        return sorted(ours, key=lambda one: one.key)

    def delete(self, kind: Kind, id: str) -> bool:
        found = self.get(kind, id)
        if found is None:
            return False
        self._file.fault("delete", "begin", found.name)
        with self._file.resources() as resources:
            deleted = resources.pop(id, None) is not None
        self._file.fault("delete", "end", found.name)
        return deleted

    # --- what it can do beyond them ----------------------------------------------------------------------------------

    def normalize(self, kind: Kind, spec: Mapping[str, Any]) -> dict[str, Any]:
        return terms.normalize(kind, spec)

    def faults(self, wish: Wish, network: Mapping[str, Any] | None = None) -> builtins.list[Fault]:
        return terms.faults(wish)

    def update(self, id: str, wish: Wish) -> Resource:
        """It stops what has to be stopped, changes one field after the other, and starts again what it has stopped."""
        found = self._must_get(wish.kind, id)
        fields = terms.normalize(wish.kind, wish.spec) | {"labels": dict(wish.labels)}
        different = [name for name, value in fields.items() if _observed(found, name) != value]
        effects = {name: self.capabilities.effect(wish.kind, name) for name in different}
        if fixed := [name for name, effect in effects.items() if effect == "replace"]:
            raise ProviderError(
                f"{wish.kind} {found.name}: {', '.join(fixed)} can't be changed in what exists",
                code="needs_replacement",
                retryable=False,
            )
        self._file.fault("update", "begin", found.name)
        if "restart" in effects.values() and found.state == "started":
            # The mark tells whoever repeats this that it was not stopped on purpose.
            found = self._set(found, state="stopped", restarting=True)
            self._file.fault("update", "stopped", found.name)
        for name in different:
            found = self._change(found, name, fields[name])
            self._file.fault("update", "changed", found.name)
        if found.attributes.get("restarting"):
            found = self._set(found, state="started", restarting=None)
        self._file.fault("update", "end", found.name)
        return found

    def power(self, id: str, action: PowerAction) -> Resource:
        found = self._must_get("server", id)
        self._file.fault("power", "begin", found.name)
        if action == "reboot":
            found = self._set(found, state="stopped", restarting=True)
        found = self._set(found, state="stopped" if action == "stop" else "started", restarting=None)
        self._file.fault("power", "end", found.name)
        return found

    def unmanaged(self, kind: Kind) -> builtins.list[Resource]:
        return [one for one in self._all(kind) if not one.key]

    def adopt(self, id: str, wish: Wish) -> Resource:
        self._file.fault("adopt", "begin", wish.name)
        with self._file.resources() as resources:
            one = resources.get(id)
            if one is None or one["kind"] != wish.kind:
                raise _not_found(wish.kind, id)
            holder = _find(resources, wish.kind, None, wish.key)
            if one["key"] not in ("", wish.key) or (holder and holder.id != id):
                whose = f"it is {one['key']!r}" if one["key"] else f"{wish.key!r} is {holder and holder.id}"
                raise ProviderError(
                    f"cannot adopt {wish.kind} {shown(id)}: {whose}", code="adopted_elsewhere", retryable=False
                )
            if not one["key"]:
                one |= {"key": wish.key, "intent": wish.intent, "infra": wish.infra, "name": wish.name}
            one["attributes"]["labels"] = dict(wish.labels)
            resource = Resource(**one)
        self._file.fault("adopt", "end", wish.name)
        return resource

    def zones(self) -> builtins.list[str]:
        return [*terms.ZONES]

    def plans(self, zone: str | None = None) -> builtins.list[PlanInfo]:
        return [*terms.PLANS]

    def images(self) -> builtins.list[str]:
        return [*terms.IMAGES]

    def make_unmanaged(self, kind: Kind, name: str, spec: Mapping[str, Any] = {}) -> str:
        """For tests: what somebody made without us, in the console of the cloud, say. Its id."""
        made = _made(Wish(kind, "", "", "", name), terms.normalize(kind, spec))
        with self._file.resources() as resources:
            resources[made.id] = asdict(made) | {"state": "started"}
        return made.id

    # --- in the file -------------------------------------------------------------------------------------------------

    def _all(self, kind: Kind) -> builtins.list[Resource]:
        with self._file.resources() as resources:
            return [Resource(**found) for found in resources.values() if found["kind"] == kind]

    def _must_get(self, kind: Kind, id: str) -> Resource:
        if (found := self.get(kind, id)) is None:
            raise _not_found(kind, id)
        return found

    def _set(self, resource: Resource, *, state: str, restarting: bool | None = None) -> Resource:
        """Into this state, if it is still there."""
        with self._file.resources() as resources:
            one = resources.get(resource.id) or asdict(resource)
            one["state"] = state
            one["attributes"].pop("restarting", None)
            one["attributes"] |= {"restarting": True} if restarting else {}
            return Resource(**one)

    def _change(self, resource: Resource, name: str, value: Any) -> Resource:
        with self._file.resources() as resources:
            if resource.id not in resources:
                raise _not_found(resource.kind, resource.id)
            attributes = resources[resource.id]["attributes"]
            if name == "labels":
                attributes["labels"] = value
            else:
                attributes["spec"][name] = value
                attributes |= {name: value} if name in attributes else {}
            return Resource(**resources[resource.id])

    def _attach(self, id: str, storage: Mapping[str, Any]) -> None:
        """Found by its name before it is made."""
        with self._file.resources() as resources:
            there = resources[id]["attributes"]["spec"]["storages"] if id in resources else [storage]
            if storage["name"] not in [each["name"] for each in there]:
                there.append(dict(storage))


class SecondLedger(LedgerProvider):
    """Another cloud, for infrastructures that mix providers; its files are in <workspace>/.ledger-2/."""

    name = "ledger-2"
    directory = ".ledger-2"


def _find(resources: Mapping[str, Any], kind: Kind, intent: str | None, key: str | None) -> Resource | None:
    for field, value in (("intent", intent), ("key", key)):
        for found in resources.values():
            if value and found["kind"] == kind and found[field] == value:
                return Resource(**found)
    return None


def _observed(resource: Resource, name: str) -> Any:
    return resource.attributes["labels"] if name == "labels" else resource.attributes["spec"].get(name)


def _not_found(kind: Kind, id: str) -> ProviderError:
    return ProviderError(f"there is no {kind} {shown(id)}", code="not_found", retryable=False)


def _made(wish: Wish, spec: Mapping[str, Any]) -> Resource:
    number = uuid4()
    id = f"{wish.kind}-{number.hex[:12]}"
    attributes: dict[str, Any] = {"labels": dict(wish.labels), "spec": dict(spec)}
    attributes |= {name: spec[name] for name in ("cidr", "zone", "plan", "network", "size_gb") if name in spec}
    if wish.kind == "server":
        attributes["spec"]["storages"] = []  # each is made after the server, on its own
        ssh = {"host": "192.0.2.1", "port": 1 + number.int % 65535, "user": "root"}
        ssh |= {"identity_file": "/nowhere", "known_hosts_file": "/nowhere"}
        attributes |= {"address": "192.0.2.1", "ssh": ssh}
    return Resource(wish.kind, id, wish.key, wish.intent, wish.infra, wish.name, "creating", attributes)
