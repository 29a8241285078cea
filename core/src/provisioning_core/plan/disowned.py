"""What the inventory remembers and no list shows, although it is there: its labels were taken away at the provider.

To create it again would make a second one, beside one that nobody looks after any more; to delete by our labels would
leave it running. Both are refused. That the inventory has its id, and that it is nobody else's now, is the proof that
we made it: with its name confirmed it is deleted all the same, ours again first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from ..capabilities import Adopting, capabilities_of
from ..clouds import Clouds
from ..errors import ConflictError
from ..inventory import Entry
from ..provider import Kind, Resource


def disowned(clouds: Clouds, kind: Kind, missing: Iterable[Entry]) -> dict[str, Resource]:
    """By key, those of the missing that are there without our labels. Nothing is asked where nothing is missing.

    Only of providers that can adopt: the others cannot show what is not ours.
    """
    by_provider: dict[str, list[Entry]] = {}
    for entry in missing:
        if entry.kind == kind and entry.id:
            by_provider.setdefault(entry.provider, []).append(entry)
    found: dict[str, Resource] = {}
    for name, entries in by_provider.items():
        provider = clouds.load(name)
        if "adopt" in capabilities_of(provider).flags:
            free = {each.id: each for each in cast(Adopting, provider).unmanaged(kind)}
            found |= {entry.key: free[entry.id] for entry in entries if entry.id in free}
    return found


def second_refused(infra: str, entries: Sequence[Entry]) -> ConflictError:
    """To be raised where these would be made a second time."""
    forget = f"to have a new one beside it: provisioning infra inventory rebuild {infra}"
    return ConflictError(
        f"without our labels, but there: {_words(entries)}; to create it would make a second one",
        code="disowned",
        hint=f"{_import(infra, entries[0])}; {forget}" if entries[0].kind == "server" else forget,
    )


def leaving_refused(infra: str, entries: Sequence[Entry]) -> ConflictError:
    """To be raised where a delete would leave these running, and nobody has confirmed that they go too."""
    too = f"to delete it too: provisioning infra delete {infra} --confirm={infra}"
    forget = f"to leave it and forget it: provisioning infra inventory rebuild {infra}"
    return ConflictError(
        f"without our labels, but there: {_words(entries)}; a delete by labels would leave it running",
        code="disowned",
        hint=f"{too}; {forget}",
    )


def _words(entries: Sequence[Entry]) -> str:
    return ", ".join(f"{each.kind} {each.name} ({each.id})" for each in entries)


def _import(infra: str, entry: Entry) -> str:
    return f"provisioning server import {infra}/{entry.name} --id {entry.id}"
