"""What belongs to servers, looked up as it is needed: their networks, firewalls and volumes.

all: for many servers: each kind is listed once. Otherwise each is fetched by its id, which shows also what
no list shows yet.
"""

from __future__ import annotations

from typing import Any

from .account import Account
from .identity import ID, OF


class Parts:
    def __init__(self, account: Account, *, all: bool = False) -> None:
        self._account = account
        self._all = all
        self._known: dict[str, dict[int, Any]] = {}

    def network(self, id: int) -> Any:
        found: Any = self._get("networks", id, ID)
        return found

    def firewall(self, id: int) -> Any:
        found: Any = self._get("firewalls", id, OF)
        return found

    def volume(self, id: int) -> Any:
        found: Any = self._get("volumes", id, OF)
        return found

    def _get(self, kind: str, id: int, selector: str) -> Any:
        client = getattr(self._account.client, kind)
        if self._all and kind not in self._known:
            every = self._account.ask(f"listing {kind}", lambda: client.get_all(label_selector=selector))
            self._known[kind] = {each.id: each for each in every}
        known = self._known.setdefault(kind, {})
        if id not in known:
            known[id] = self._account.ask_if_there(f"looking at one of {kind}", lambda: client.get_by_id(id))
        return known[id]
