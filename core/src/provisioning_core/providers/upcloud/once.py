"""One resource per key at a cloud that has no idempotency tokens and may answer late, or not at all.

A create, in the hands of the one process that holds the key's claim:

    find by label          found: done
    a mark of an earlier   that attempt's request may still take effect: find until the settle window is over
    create request?
    write the mark         on the disk, before the request
    send, once             refused: the mark goes; answered: the id goes into the mark;
                           no answer, or a 5xx: find until the window is over, then the mark goes and it is sent
                           again, a few times
    confirm                once a list shows it, the mark goes; until then a find also asks for the id in the mark

So a kill at any point leaves either nothing sent, or a mark. What is left open: a request that the cloud obeys later
than the settle window after it was sent, and two workspaces on different machines that wish the same key at the same
moment.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...errors import ProviderError
from ...progress import tell
from ...provider import Kind, Wish
from ..claim import Claim, claim, claimed_id, unsettled_s
from .account import WAIT_MAX_S, Account, Raw, labels_of
from .identity import INTENT, KEY, key_of, written_key
from .refusal import UnansweredError, unanswered

SENDS_MAX = 3
_PASSING = ("no_answer", "cloud_error", "throttled")
"""Certainly not done, when the window is over, and may be done in a moment: not a whole attempt has to begin anew."""
_UNSEEN = "an earlier request was sent, and its end was never seen"


class Once:
    def __init__(self, workspace: Path, account: Account) -> None:
        self._workspace = workspace
        self._account = account

    def find(self, kind: Kind, *, intent: str | None = None, key: str | None = None) -> Raw | None:
        """By intent, then by key; with details. While a create of that key is unsettled it is looked for patiently:

        whoever is told that there is none might delete nothing, and leave a server behind that nobody knows of.
        """
        if intent is not None and (found := self._listed(kind, f"{INTENT}={intent}")) is not None:
            return found
        if key is None:
            return None
        told = False
        while True:
            left_s = unsettled_s(self._workspace, _claimed(kind, key), self._account.setting.settle_s)
            found = self._listed(kind, f"{KEY}={written_key(key)}") or self._marked(kind, key)
            if found is not None or left_s <= 0:
                return found
            told = told or _tell(f"looking for {kind} {key}: {_UNSEEN}", left_s)
            time.sleep(min(self._account.setting.poll_s, left_s))

    def create(self, wish: Wish, body: Callable[[], dict[str, Any]]) -> tuple[Raw, bool]:
        """The resource, and whether this call made it; a server is not ready yet. body: of the request, if one is sent.

        It looks for the key only: whoever has the same intent has the same key.
        """
        doing = f"creating {wish.kind} {wish.name}"
        label = f"{KEY}={written_key(wish.key)}"
        with claim(self._workspace, _claimed(wish.kind, wish.key)) as held:
            earlier = f"{doing}: {_UNSEEN}" if held.sent_at is not None else None
            found = self._settled(wish, label, held, why=earlier)
            if found is not None:
                return found, False
            request = body()
            for left in reversed(range(SENDS_MAX)):
                try:
                    made, created = self._sent(wish, request, held, doing)
                except ProviderError as error:
                    pause_s = max(self._account.setting.poll_s, error.retry_after_s or 0.0)
                    if not left or error.code not in _PASSING or pause_s > WAIT_MAX_S:
                        raise
                    tell(f"{error.message.removesuffix('.')}; not made: it is sent again")
                else:
                    return made, created
                time.sleep(pause_s)
        raise AssertionError("the last request returns or raises")

    def _sent(self, wish: Wish, request: dict[str, Any], held: Claim, doing: str) -> tuple[Raw, bool]:
        """One request, to its end or to that of the settle window. Raises what `Account.send` raises: not done then."""
        held.sending()
        try:
            answer = self._account.send(f"/{wish.kind}", request, doing=doing)
            if "uuid" not in answer.get(wish.kind, {}):
                raise unanswered(doing, "an answer without an id")
        except UnansweredError as error:
            found = self._settled(wish, f"{KEY}={written_key(wish.key)}", held, why=error.message)
            if found is None:
                held.settled()
                raise
            return found, True
        except Exception:
            held.settled()
            raise
        made: Raw = answer[wish.kind]
        held.answered(made["uuid"])
        return made, True

    def confirm(self, kind: Kind, key: str) -> None:
        """Take the mark away, if a list shows the resource by now."""
        if claimed_id(self._workspace, _claimed(kind, key)) is not None:
            with claim(self._workspace, _claimed(kind, key)) as held:
                if self._account.rows(kind, [f"{KEY}={written_key(key)}"]):
                    held.settled()

    def forget(self, kind: Kind, key: str) -> None:
        """It has been deleted."""
        if claimed_id(self._workspace, _claimed(kind, key)) is not None:
            with claim(self._workspace, _claimed(kind, key)) as held:
                held.settled()

    def _settled(self, wish: Wish, label: str, held: Claim, *, why: str | None) -> Raw | None:
        """What a list shows, or the mark's id leads to.

        why: a request may have been obeyed, in words; then it is looked for until the window is over.
        """
        told = False
        while True:
            left_s = held.remaining_s(self._account.setting.settle_s) if why else 0.0
            if (found := self._listed(wish.kind, label)) is not None:
                held.settled()
                return found
            if (found := self._marked(wish.kind, wish.key)) is not None or left_s <= 0:
                return found
            told = told or _tell(why or "", left_s)
            time.sleep(min(self._account.setting.poll_s, left_s))

    def _listed(self, kind: Kind, label: str) -> Raw | None:
        rows = sorted(self._account.rows(kind, [label]), key=lambda row: (str(row.get("created", "")), row["uuid"]))
        found = self._account.details(kind, rows)
        if len(found) > 1:
            others = ", ".join(each["uuid"] for each in found[1:])
            sys.stderr.write(f"warning: UpCloud has more than one {kind} with {label}; not used: {others}\n")
        return found[0] if found else None

    def _marked(self, kind: Kind, key: str) -> Raw | None:
        """What no list shows yet, but a create of this workspace has been given the id of."""
        id = claimed_id(self._workspace, _claimed(kind, key))
        found = self._account.get(kind, id) if id else None
        return found if found is not None and key_of(labels_of(found)) == key else None


def _tell(why: str, left_s: float) -> bool:
    """Why nothing seems to happen: a wait may be as long as the settle window."""
    tell(f"{why.removesuffix('.')}; it may have been made all the same: looking for it for up to {left_s:.0f} s")
    return True


def _claimed(kind: Kind, key: str) -> str:
    return f"upcloud/{kind}/{key}"
