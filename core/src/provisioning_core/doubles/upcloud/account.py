"""The account behind the double: servers, storages and networks, restored from the ledger, changed under one lock."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal
from uuid import UUID, uuid4

from ..faults import Faults
from ..ledger import Ledger
from .refusal import Refused

Kind = Literal["server", "storage", "network", "tag"]
Record = dict[str, Any]
"""What is kept of a resource: fields of the wire where they are simple; those that begin with `_` never leave."""

_PREFIX = {"server": "00", "storage": "01", "network": "03"}
_LABEL_KEY = re.compile(r"[ -^`-~][ -~]{1,31}")
_LABEL_VALUE_MAX = 255


class Account:
    """pace_s: how long a server stays in maintenance after its create, and started after a stop was asked for."""

    def __init__(self, ledger: Ledger, faults: Faults, pace_s: float) -> None:
        self.ledger = ledger
        self.faults = faults
        self.pace_s = pace_s
        self.zone_default = "fi-hel1"
        self._lock = threading.RLock()
        self._kinds: dict[Kind, dict[str, Record]] = {"server": {}, "storage": {}, "network": {}, "tag": {}}
        for entry in ledger.existing():
            if entry.kind in self._kinds:
                self._kinds[entry.kind][entry.id] = dict(entry.data)
        self._addresses = 1 + sum(len(records) for records in self._kinds.values()) * 4

    @contextmanager
    def locked(self) -> Iterator[None]:
        with self._lock:
            yield

    # --- records -----------------------------------------------------------------------------------------------------

    def add(self, kind: Kind, record: Record, id: str | None = None) -> Record:
        """With a uuid of its own, and in the ledger before this returns."""
        if kind != "tag":
            record["uuid"] = f"{_PREFIX[kind]}{str(uuid4())[2:]}"
            record["_visible_at"] = time.time() + self.faults.waits.lag_s
        key = id or record["uuid"]
        self.ledger.create(kind, key, record)
        self._kinds[kind][key] = record
        return record

    def save(self, kind: Kind, record: Record) -> None:
        self.ledger.change(kind, record["uuid"] if kind != "tag" else record["name"], record)

    def remove(self, kind: Kind, id: str) -> None:
        self.ledger.delete(kind, id)
        del self._kinds[kind][id]

    def all(self, kind: Kind) -> list[Record]:
        return list(self._kinds[kind].values())

    def listed(self, kind: Kind) -> list[Record]:
        """Those that lists show already."""
        now = time.time()
        return [record for record in self.all(kind) if record.get("_visible_at", 0) <= now]

    def get(self, kind: Kind, id: str, *, status: int = 404) -> Record:
        """Raises Refused: `…_INVALID` for what is no uuid, `…_NOT_FOUND`."""
        name = kind.upper()
        if kind != "tag" and not _is_uuid(id):
            raise Refused(400, f"{name}_INVALID", f"The {kind} UUID is invalid.")
        if (record := self._kinds[kind].get(id)) is None:
            raise Refused(status, f"{name}_NOT_FOUND", f"The {kind} {id} does not exist.")
        return record

    # --- what a resource gets -----------------------------------------------------------------------------------------

    def address(self) -> str:
        """From a range for benchmarks (RFC 2544), which leads nowhere."""
        with self._lock:
            self._addresses += 1
            return f"198.{18 + self._addresses // 65_536 % 2}.{self._addresses // 256 % 256}.{self._addresses % 256}"

    def mac(self) -> str:
        return "da:45:c4:" + ":".join(f"{random.randrange(256):02x}" for _ in range(3))  # noqa: S311


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def check_labels(value: Any) -> list[dict[str, str]]:
    """A list of {key, value}. Raises Refused."""
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise Refused(400, "INVALID_OPTIONS", "The labels are not a list of objects.")
    labels = [{"key": each.get("key", ""), "value": each.get("value", "")} for each in value]
    for label in labels:
        if not isinstance(label["key"], str) or not _LABEL_KEY.fullmatch(label["key"]):
            raise Refused(400, "INVALID_LABEL_KEY", f"The label key {label['key']!r} is invalid.")
        if not isinstance(label["value"], str) or len(label["value"]) > _LABEL_VALUE_MAX:
            raise Refused(400, "INVALID_LABEL_VALUE", f"The value of the label {label['key']!r} is invalid.")
    if len({label["key"].lower() for label in labels}) < len(labels):
        raise Refused(400, "DUPLICATE_LABEL_KEYS", "Label keys must be unique.")
    return labels


def matches(record: Mapping[str, Any], filters: list[str]) -> bool:
    """Each filter: `key` or `key=value`; keys regardless of case; all must hold."""
    labels = {label["key"].lower(): label["value"] for label in record.get("labels", ())}
    for each in filters:
        key, equals, value = each.partition("=")
        if key.lower() not in labels or (equals and labels[key.lower()] != value):
            return False
    return True


def number(fields: Mapping[str, Any], name: str, default: int, check: Callable[[int], bool], code: str) -> int:
    """A number of the wire, where text and numbers both occur. Raises Refused."""
    value = fields.get(name, default)
    try:
        whole = int(value)
    except (TypeError, ValueError):
        whole = -1
    if isinstance(value, bool) or not check(whole):
        raise Refused(400, code, f"The value of {name} is invalid.")
    return whole
