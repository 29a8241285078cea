"""What an `install.py` is told about its server, and what it can ask for.

def install(server: Server, params: dict[str, Any]) -> dict[str, Any] | None:   # facts: {"ports": [80], …}
def remove(server: Server, params: dict[str, Any], purge: bool) -> None:        # purge: the data as well
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .manifest import DISTRIBUTION, Offer


@dataclass(frozen=True)
class Server:
    """name: the server's. address: its own, where it has one. login: who connects; public_key: with what, where known.

    version: what is to be installed, as the definition or else the manifest says. folder: the taskserv's own.
    proxy: starts a way to the package sources and gives its URL on the server, None where there is none (`proxying`).
    enter: opens a new connection, as the next task will; raises ProviderError where that is refused.
    """

    name: str
    infra: str
    login: str
    version: str
    offers: frozenset[Offer]
    folder: Path
    address: str | None = None
    public_key: str | None = None
    tell: Callable[[str], None] = print
    proxy: Callable[[], str | None] = field(default=lambda: None)
    enter: Callable[[], None] = field(default=lambda: None)

    @property
    def package_version(self) -> str | None:
        """For `packages(..., version=)`: None where the distribution's own is wanted."""
        return None if self.version == DISTRIBUTION else self.version
