"""What the inventory remembers and no list shows, although it is there: its labels were taken away at the provider.

To create it again would make a second one, beside one that nobody looks after any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from ..capabilities import Adopting, capabilities_of
from ..clouds import Clouds
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
