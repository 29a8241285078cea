"""Floor 0 stays pure: what it imports is the standard library, and none of it knows a clock, chance or the outside."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import provisioning_orchestrator.workflow as workflow

HOME = Path(workflow.__file__).parent
# fmt: off
BANNED = frozenset(
    {
        "asyncio", "builtins", "concurrent", "contextvars", "ctypes", "datetime", "fcntl", "http",
        "importlib", "io", "logging", "mmap", "multiprocessing", "os", "pathlib", "platform", "queue",
        "random", "sched", "secrets", "select", "selectors", "shutil", "signal", "socket", "sqlite3",
        "subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid",
    }
)
# fmt: on
BANNED_CALLS = frozenset({"open", "print", "input", "eval", "exec", "__import__", "hash", "id"})


def imports(tree: ast.AST) -> Iterator[tuple[int, int, str]]:
    """(line, level, module) of every import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, 0, alias.name
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.level, node.module or ""


def faults(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = []
    for line, level, module in imports(tree):
        root = module.partition(".")[0]
        if level > 1:
            found.append(f"{path.name}:{line} imports from a floor above")
        elif level == 0 and root not in sys.stdlib_module_names:
            found.append(f"{path.name}:{line} imports {module}, which is not in the standard library")
        elif level == 0 and root in BANNED:
            found.append(f"{path.name}:{line} imports {module}: floor 0 has no clock, no chance, no outside")
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BANNED_CALLS:
            found.append(f"{path.name}:{node.lineno} calls {node.func.id}()")
        if isinstance(node, ast.AsyncFunctionDef | ast.Await):
            found.append(f"{path.name}:{node.lineno} is asynchronous")
    return found


@pytest.mark.parametrize("path", sorted(HOME.rglob("*.py")), ids=lambda path: path.name)
def test_floor_0_is_pure(path: Path) -> None:
    assert faults(path) == []


@pytest.mark.parametrize(
    "text",
    [
        "import time",
        "from datetime import datetime",
        "import os.path",
        "from .. import ports",
        "from ..ports import Store",
        "import msgspec",
        "def f():\n    import random",
        "open('x')",
        "async def f(): pass",
    ],
)
def test_the_check_can_fail(text: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text(text)
    assert len(faults(path)) == 1
