"""The engine takes its time, its chance and its waiting from the ports: otherwise it could not be simulated."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import provisioning_orchestrator.engine as engine

HOME = Path(engine.__file__).parent
# fmt: off
BANNED_MODULES = frozenset(
    {
        "concurrent", "datetime", "multiprocessing", "os", "pathlib", "queue", "random", "sched", "secrets",
        "select", "selectors", "signal", "socket", "sqlite3", "subprocess", "tempfile", "threading", "time",
    }
)
# fmt: on
BANNED_NAMES = frozenset({"uuid1", "uuid3", "uuid4", "getrandbits", "urandom"})
# Methods of loops: whatever the loop is called, nothing else here has methods of these names.
BANNED_METHODS = frozenset({"time", "call_at", "run_in_executor", "to_thread", "timeout", "timeout_at", "monotonic"})
ADAPTERS = frozenset({"store", "runner", "monitor", "testing", "api", "daemon", "cli", "settings", "logs"})
# asyncio.wait may bound the wait for a clean stop; nothing is decided by it.
WAIT_ALLOWED_IN = "stop"


def faults(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: list[str] = []

    def fault(node: ast.AST, what: str) -> None:
        found.append(f"{path.name}:{getattr(node, 'lineno', 0)} {what}")

    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] in BANNED_MODULES:
                    fault(node, f"imports {alias.name}")
        elif isinstance(node, ast.ImportFrom):
            root = (node.module or "").partition(".")[0]
            names = {alias.name for alias in node.names}
            if node.level == 0 and root in BANNED_MODULES:
                fault(node, f"imports from {node.module}")
            if node.level == 2 and ({root} | (names if not root else set())) & ADAPTERS:
                fault(node, "imports an adapter")
            if names & BANNED_NAMES:
                fault(node, f"imports {sorted(names & BANNED_NAMES)}")
            if root == "asyncio" and names & (BANNED_METHODS | {"sleep"}):
                fault(node, f"imports {sorted(names)} from asyncio")
        elif isinstance(node, ast.Attribute) and node.attr in BANNED_NAMES:
            fault(node, f"uses {node.attr}")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            of_clock = isinstance(node.func.value, ast.Attribute) and node.func.value.attr == "_clock"
            if node.func.attr in BANNED_METHODS and not of_clock:
                fault(node, f"calls {node.func.attr}()")
            elif node.func.attr == "call_later" and not of_clock:
                fault(node, "calls call_later() of something that is not the clock")
            elif node.func.attr == "sleep" and not _is_zero(node):
                fault(node, "sleeps")
            elif node.func.attr == "wait_for":
                fault(node, "waits by the loop's own clock")
    for function in ast.walk(tree):
        if isinstance(function, ast.AsyncFunctionDef) and function.name != WAIT_ALLOWED_IN:
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and any(keyword.arg == "timeout" for keyword in node.keywords):
                    fault(node, "waits by the loop's own clock")
    return found


def _is_zero(call: ast.Call) -> bool:
    return len(call.args) == 1 and isinstance(call.args[0], ast.Constant) and call.args[0].value == 0


@pytest.mark.parametrize("path", sorted(HOME.rglob("*.py")), ids=lambda path: path.name)
def test_the_engine_has_no_clock_no_chance_and_no_sleep_of_its_own(path: Path) -> None:
    assert faults(path) == []


@pytest.mark.parametrize(
    "text",
    [
        "import time",
        "from datetime import datetime",
        "from random import random",
        "import threading",
        "from uuid import uuid4",
        "import uuid\nuuid.uuid4()",
        "async def f(): await asyncio.sleep(0.1)",
        "async def f(): await asyncio.sleep(delay)",
        "from asyncio import sleep",
        "asyncio.get_running_loop().time()",
        "asyncio.get_running_loop().call_later(1, f)",
        "async def f(): await asyncio.wait_for(g(), 1)",
        "async def f(): await asyncio.wait(tasks, timeout=1)",
        "from ..runner import local",
        "from .. import store",
    ],
)
def test_the_check_can_fail(text: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text(text)
    assert len(faults(path)) == 1
