"""One of what EC2 gives no token for (VPCs, internet gateways): a mark on the disk before the request, see `claim`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ...errors import ProviderError
from ...progress import tell
from ..claim import Claim
from .account import Account, is_open, is_passing

SENDS_MAX = 4
Found = Callable[[], dict[str, Any] | None]


def make_once(account: Account, held: Claim, find: Found, create: Callable[[], Any], doing: str) -> tuple[Any, bool]:
    """What find finds, and whether it was made now. create: sends its request once.

    A request that was sent and never seen to end is looked for until the settle window is over, before another is sent:
    of those a few, so that what was made before it is not asked for anew by a whole attempt.
    """
    earlier = f"{doing}: an earlier request was sent, and its end was never seen"
    found = find() if held.sent_at is None else _awaited(account, held, find, earlier)
    if found is not None:
        held.settled()
        return found, False
    for left in reversed(range(SENDS_MAX)):
        held.sending()
        try:
            account.ask_once(doing, create)
            break
        except ProviderError as error:
            found = _awaited(account, held, find, error.message) if is_open(error) else None
            held.settled()
            if found is not None:
                return found, True
            if not left or not is_passing(error):
                raise
        time.sleep(account.poll_s)
    account.until(doing, lambda: find() is not None)
    held.settled()
    found = find()
    if found is None:
        raise ProviderError(f"{doing}: it was deleted meanwhile", code="not_found", retry_after_s=1)
    return found, True


def _awaited(account: Account, held: Claim, find: Found, why: str) -> dict[str, Any] | None:
    """why: the request may have been obeyed, for people."""
    told = False
    while (found := find()) is None and (left_s := held.remaining_s(account.settle_s)) > 0:
        if not told:
            doubt = f"it may have been made all the same: looking for it for up to {left_s:.0f} s"
            tell(f"{why.removesuffix('.')}; {doubt}")
            told = True
        time.sleep(account.poll_s)
    return found
