"""The account at UpCloud: requests with a limit on everything, lists read to their end, catalogues asked once."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ...errors import ProviderError
from ...provider import Kind
from ..loopback import is_loopback
from . import credentials
from .refusal import UnansweredError
from .setting import Setting

if TYPE_CHECKING:
    from upcloud_api import CloudManager

Raw = Mapping[str, Any]
"""A resource as UpCloud describes it."""

_LISTS = {"server": "servers", "network": "networks", "storage": "storages"}
_TRIES = 8
_CONNECTS = 4
"""Where nobody is there at all, people are told sooner."""
_TRY_AGAIN_S = 0.3
_PATIENCE_S = 120.0
"""No further try after that: each may take as long as an answer may."""
WAIT_MAX_S = 10.0
_PAGE = 100
_PAGES_MAX = 1000
_AT_ONCE = 8


class Account:
    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    @cached_property
    def cloud(self) -> CloudManager:
        """The SDK's, made at the first request. Raises AuthError without credentials."""
        from upcloud_api import CloudManager

        from .transport import Transport

        manager = CloudManager(**credentials.login())
        manager.api = Transport(
            manager.api.token,
            f"{self.setting.url}/1.3",
            timeout_s=self.setting.http_timeout_s,
            direct=is_loopback(self.setting.url),
        )
        return manager

    @property
    def is_double(self) -> bool:
        return is_loopback(self.setting.url)

    # --- requests ----------------------------------------------------------------------------------------------------

    def ask(
        self, method: str, path: str, body: Any = None, *, doing: str, params: Iterable[tuple[str, str]] = ()
    ) -> dict[str, Any]:
        """A request that may be repeated, and is, a few times. Raises ProviderError."""
        ends = time.monotonic() + _PATIENCE_S
        for left in reversed(range(_TRIES)):
            try:
                return self._send(method, path, body, doing=doing, params=params)
            except ProviderError as error:
                passing = isinstance(error, UnansweredError) or error.code in ("throttled", "unreachable")
                tries = _TRIES - left
                pause_s = error.retry_after_s or _TRY_AGAIN_S * tries
                if error.code == "unreachable":
                    pause_s, left = _TRY_AGAIN_S * tries, min(left, _CONNECTS - tries)
                if not left or not passing or pause_s > WAIT_MAX_S or time.monotonic() > ends:
                    raise
                time.sleep(pause_s)
        raise AssertionError("the last try returns or raises")

    def send(self, path: str, body: Any, *, doing: str) -> dict[str, Any]:
        """A POST, once. Raises UnansweredError where it may have been done, another ProviderError where it was not."""
        return self._send("POST", path, body, doing=doing, params=())

    def _send(
        self, method: str, path: str, body: Any, *, doing: str, params: Iterable[tuple[str, str]]
    ) -> dict[str, Any]:
        api = self.cloud.api
        api.doing = doing
        answer: dict[str, Any] = api.api_request(method, path, body, params=list(params) or None)
        return answer

    # --- resources ---------------------------------------------------------------------------------------------------

    def get(self, kind: Kind, id: str) -> Raw | None:
        """With all details; None where there is none, also for what can be no id."""
        if not _is_uuid(id):
            return None
        try:
            found: Raw = self.ask("GET", f"/{kind}/{id}", doing=f"looking at {kind} {id}")[kind]
        except ProviderError as error:
            if error.code == "not_found":
                return None
            raise
        return found

    def rows(self, kind: Kind, labels: Iterable[str] = ()) -> list[Raw]:
        """The list's rows, without details. labels: `key` or `key=value`, all must hold."""
        found: dict[str, Raw] = {}
        for page in range(_PAGES_MAX):
            params = [*(("label", each) for each in labels), ("limit", str(_PAGE)), ("offset", str(page * _PAGE))]
            answer = self.ask("GET", f"/{kind}", doing=f"listing {_LISTS[kind]}", params=params)
            rows = answer[_LISTS[kind]][kind]
            fresh = {row["uuid"]: row for row in rows if row["uuid"] not in found}
            found |= fresh
            # A full page with news has another one behind it. One that is not exactly full is the last, and also one
            # that repeats what is known: then the API does not page this list, and has given all of it.
            if len(rows) != _PAGE or not fresh:
                break
        return list(found.values())

    def details(self, kind: Kind, rows: Iterable[Raw]) -> list[Raw]:
        """Of those that still exist. Networks are whole in lists; of others each is asked for, some at once."""
        if kind == "network":
            return list(rows)
        ids = [row["uuid"] for row in rows]
        if len(ids) < 2:
            return [found for id in ids if (found := self.get(kind, id)) is not None]
        _ = self.cloud  # made by one thread
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return [found for found in pool.map(lambda id: self.get(kind, id), ids) if found is not None]

    def relabel(self, kind: Kind, id: str, labels: Mapping[str, str]) -> None:
        """All of its labels become these."""
        body = {kind: {"labels": written_labels(kind, labels)}}
        self.ask("PUT", f"/{kind}/{id}", body, doing=f"labelling {kind} {id}")

    @cached_property
    def templates(self) -> dict[str, str]:
        """Title to uuid of the public images."""
        answer = self.ask("GET", "/storage/template", doing="listing images")
        rows = answer["storages"]["storage"]
        return {row["title"]: row["uuid"] for row in rows if row.get("access") == "public"}

    def network_labels(self, id: str) -> dict[str, str]:
        """Empty for a network that is gone."""
        if id not in self._networks:
            self._networks[id] = labels_of(self.get("network", id) or {})
        return self._networks[id]

    @cached_property
    def _networks(self) -> dict[str, dict[str, str]]:
        return {}


def labels_of(raw: Raw) -> dict[str, str]:
    """Servers have them one level deeper than storages and networks."""
    given = raw.get("labels") or []
    rows = given.get("label", []) if isinstance(given, Mapping) else given
    return {row["key"]: row["value"] for row in rows}


def written_labels(kind: Kind, labels: Mapping[str, str]) -> Any:
    rows = [{"key": key, "value": value} for key, value in sorted(labels.items())]
    return {"label": rows} if kind == "server" else rows


def _is_uuid(id: str) -> bool:
    return bool(re.fullmatch(r"[0-9a-f-]{36}", id)) and str(UUID(id)) == id
