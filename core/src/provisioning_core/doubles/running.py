"""A double from its start to its end: it answers, holds its ledger, and has machines behind its servers, or none."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from .faults import Faults
from .http import Server
from .ledger import Ledger


class Behind(Protocol):
    """What is behind a double's servers."""

    def close(self, *, remove: bool) -> None: ...


class Running:
    """Its subclass makes `server` and `behind`; used as a context it answers within the block.

    directory: of its ledger. Raises ConflictError where another double uses it.
    """

    server: Server
    behind: Behind

    def __init__(self, directory: Path, faults: Faults | None) -> None:
        self.ledger = Ledger(directory)
        self.ledger.hold()
        self.faults = faults or Faults()

    def start(self) -> None:
        self.server.start()

    def close(self, *, remove_machines: bool = True) -> None:
        """Stop answering. remove_machines: the local machines behind its servers are ended and deleted."""
        self.server.close()
        self.behind.close(remove=remove_machines)
        self.ledger.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()
