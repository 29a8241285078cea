"""What came of an install or a remove, whatever it is written in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Deployed:
    """facts: what it says of itself. changed: the names of the operations that changed something."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
