"""What definitions look like: JSON Schemas (draft 2020-12) as data, and the interpreter that checks nodes with them.

The very files that editors are given are what the reader checks with; `interpreter` gives each fault its place.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from .interpreter import Checker as Checker

NAMES = ("infra", "workspace", "sidecar")


def schema_text(name: str) -> str:
    """The file as it is: one of NAMES."""
    return (Path(__file__).parent / f"{name}.schema.json").read_text("utf-8")


@lru_cache
def load_schema(name: str) -> dict[str, Any]:
    """Not to be changed: all share it."""
    schema: dict[str, Any] = json.loads(schema_text(name))
    return schema


__all__ = ["NAMES", "Checker", "load_schema", "schema_text"]
