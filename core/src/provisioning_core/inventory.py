"""The inventory: what this workspace has made, one JSON file per key, written as operations finish.

    <workspace>/.provisioning/inventory/<infra>/<kind>/<name>.json

The providers are the truth about what exists; the inventory is what we remember: at which provider a key was made, by
which wish, and what was asked for that the provider cannot show. A killed operation leaves its entry unwritten, and
writes it when it runs again; a lost inventory is rebuilt from the providers (`infra inventory rebuild`). So nothing
here decides whether something is created: that does the key, at the provider.

A file is written whole or not at all. One that cannot be read is set aside beside its place (`<name>.json.broken-<n>`)
and said, never fatal. User data is kept as its digest, never as text.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .errors import UsageError
from .provider import Resource
from .workspace import Workspace
from .yamlfile import shown

PLACE = Path(".provisioning", "inventory")
PART = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,190}[A-Za-z0-9])?")
BYTES_MAX = 1024 * 1024
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Entry:
    """kind: server, network or taskserv. id: the provider's; of a taskserv, its server's: on another one it is gone.

    provider: the name by which the workspace calls it. intent, workflow_id, operation: of the task that wrote it.
    created_at, updated_at: RFC 3339, UTC; filled in when it is recorded.
    attributes: of a server or network those of its Resource; `wish`: {"spec", "labels"}, what was asked for, in the
    provider's terms; `unfinished`, true, from when its create has said its id until that create has ended well. Of a
    taskserv {"taskserv", "server", "version", "params"} and what else its operation wants kept.
    """

    key: str
    kind: str
    infra: str
    name: str
    provider: str
    id: str
    intent: str = ""
    workflow_id: str = ""
    operation: str = ""
    created_at: str = ""
    updated_at: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def wish(self) -> Mapping[str, Any] | None:
        """What was asked for: {"spec", "labels"}; None where that is not known (a rebuilt entry)."""
        wish = self.attributes.get("wish")
        return wish if isinstance(wish, Mapping) else None

    def unfinished(self, resource: Resource) -> bool:
        """Whether it is this very one, and its create has never been seen to end well."""
        return self.id == resource.id and self.attributes.get("unfinished") is True


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)


class Inventory:
    """say: told of each file that was set aside, in words."""

    def __init__(self, workspace: Workspace, say: Callable[[str], None] = _warn) -> None:
        self._id = workspace.id
        self._root = workspace.path / PLACE
        self._say = say

    def record(self, entry: Entry) -> Entry:
        """As it was written: `created_at` stays that of an older entry of the same resource. Raises OSError."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        before = self.get(entry.key)
        same = before is not None and before.id == entry.id
        made = entry.created_at or (before.created_at if before is not None and same else "") or now
        entry = replace(entry, created_at=made, updated_at=now, attributes=sealed(entry.attributes))
        file = self._file(entry.key)
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f".{file.name}.{os.getpid()}.part")
        try:
            with part.open("w", encoding="utf-8") as out:
                json.dump(asdict(entry), out)
                out.flush()
                os.fsync(out.fileno())  # renamed before its bytes are safe, a power cut would leave an empty file
            part.replace(file)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        if before is not None and not same:
            self._forget_host(before)
        return entry

    def forget(self, key: str) -> bool:
        """Whether there was one."""
        before = self.get(key)
        try:
            self._file(key).unlink()
        except FileNotFoundError:
            return False
        if before is not None:
            self._forget_host(before)
        return True

    def get(self, key: str) -> Entry | None:
        return self._read(self._file(key), key)

    def all(self, infra: str | None = None, kind: str | None = None) -> list[Entry]:
        """Sorted by key."""
        pattern = f"{infra or '*'}/{kind or '*'}"
        files = sorted(file for place in self._root.glob(pattern) for file in place.glob("*.json"))
        entries = [self._read(file, f"{self._id}/{file.relative_to(self._root).as_posix()[:-5]}") for file in files]
        return sorted((entry for entry in entries if entry is not None), key=lambda entry: entry.key)

    def infras(self) -> list[str]:
        """The infrastructures that something is remembered of."""
        return sorted(place.name for place in self._root.glob("*") if any(place.glob("*/*.json")))

    def rebuild(
        self, resources: Iterable[tuple[str, Resource]], infra: str | None = None
    ) -> tuple[list[str], list[str]]:
        """Make it say what exists: networks and servers, each with its provider's name. The keys added, and forgotten.

        resources: all that the providers show of that infrastructure, None: of all. What an entry knows of a resource
        that is still there is kept: no provider can say again what was asked for. Taskservs go with their servers.
        """
        found = {resource.key: (provider, resource) for provider, resource in resources}
        added = []
        for key, (provider, resource) in found.items():
            before = self.get(key)
            if before is not None and (before.id, before.provider) == (resource.id, provider):
                continue
            self.record(entry_of(provider, resource, intent=resource.intent))
            added.append(key)
        ids = {resource.id for _, resource in found.values()}
        forgotten = []
        for entry in self.all(infra):
            gone = entry.id not in ids if entry.kind == "taskserv" else entry.key not in found
            if gone and self.forget(entry.key):
                forgotten.append(entry.key)
        return added, forgotten

    def _forget_host(self, entry: Entry) -> None:
        """The host key of a server that is no more: a deletion takes it along, this is for one that went without us."""
        ssh = entry.attributes.get("ssh")
        file = Path(str(ssh.get("known_hosts_file"))) if isinstance(ssh, Mapping) and entry.kind == "server" else None
        if file is not None and file.parent == self._root.parent / "hosts":
            file.unlink(missing_ok=True)

    def _file(self, key: str) -> Path:
        parts = key.split("/")
        if len(parts) != 4 or parts[0] != self._id or not all(PART.fullmatch(part) for part in parts[1:]):
            raise UsageError(
                f"{shown(key)} is no key of this workspace; accepted: {self._id}/<infra>/<kind>/<name>", code="bad_key"
            )
        return self._root / parts[1] / parts[2] / f"{parts[3]}.json"

    def _read(self, file: Path, key: str) -> Entry | None:
        try:
            with file.open("rb") as opened:
                data = opened.read(BYTES_MAX + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self._say(f"inventory: {file} cannot be read and is left out: {error.strerror}")
            return None
        try:
            return _decoded(data, key)
        except (ValueError, TypeError, RecursionError) as error:
            self._set_aside(file, str(error))
            return None

    def _set_aside(self, file: Path, why: str) -> None:
        for number in itertools.count(1):
            aside = file.with_name(f"{file.name}.broken-{number}")
            if not aside.exists():
                break
        try:
            file.rename(aside)
        except OSError:
            aside = file  # somebody else did, or it may not be written here: it is left out all the same
        self._say(
            f"inventory: {file.relative_to(self._root)} is broken ({why}); set aside as {aside.name}, "
            "`provisioning infra inventory rebuild` asks the providers again"
        )


def entry_of(
    provider: str,
    resource: Resource,
    *,
    intent: str = "",
    workflow_id: str = "",
    operation: str = "",
    wish: Mapping[str, Any] | None = None,
    unfinished: bool = False,
) -> Entry:
    """The entry about a network or server. wish: {"spec", "labels"}, in the provider's terms."""
    attributes = dict(resource.attributes) | ({"wish": wish} if wish is not None else {})
    attributes |= {"unfinished": True} if unfinished else {}
    made = attributes.get("created_at")
    return Entry(
        resource.key,
        resource.kind,
        resource.infra,
        resource.name,
        provider,
        resource.id,
        intent,
        workflow_id,
        operation,
        made if isinstance(made, str) else "",
        "",
        attributes,
    )


def sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same, every `user_data` in it a digest: it may hold secrets, and is told apart all the same."""
    return {name: _sealed(name, value) for name, value in values.items()}


def digest(text: str) -> str:
    return text if DIGEST.fullmatch(text) else "sha256:" + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _sealed(name: str, value: Any) -> Any:
    if name == "user_data" and isinstance(value, str):
        return digest(value)
    return sealed(value) if isinstance(value, Mapping) else value


def _decoded(data: bytes, key: str) -> Entry:
    """Raises ValueError, TypeError."""
    if len(data) > BYTES_MAX:
        raise ValueError(f"more than {BYTES_MAX} bytes")
    document = json.loads(data)
    if not isinstance(document, dict):
        raise ValueError("no JSON object")
    known = {
        each.name: document[each.name] for each in fields(Entry) if each.name in document
    }  # later ones may know more
    for name in ("key", "kind", "infra", "name", "provider", "id"):
        if not isinstance(known.get(name), str):
            raise ValueError(f"{name} is {shown(known.get(name))}; text is expected")
    if known["key"] != key:
        raise ValueError(f"it is about {shown(known['key'])}")
    if not isinstance(known.get("attributes", {}), dict):
        raise ValueError("attributes is no object")
    return Entry(**known)
