"""What the tests of attempts with secrets share: a resolver, an operation that tells much, and what is left of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from .host import Host, an_id

VALUE = "correct-horse/battery 'staple'"
VALUES = {"db": VALUE, "team/token": "tok-1234567890"}
PARAMS = {"password": "secret://db", "more": [{"token": "secret://team/token"}], "text": "no secret://db"}


class Vault:
    """A resolver: a program with a file of answers, that notes when it was asked."""

    def __init__(self, path: Path) -> None:
        self.path = path / "vault"
        self.path.mkdir()
        self.asked = self.path / "asked"
        self.program = self.path / "resolve"
        self.answers(VALUES)
        self.does('cat >> "$HERE/asked"; echo >> "$HERE/asked"; cat "$HERE/answer"')

    def does(self, script: str) -> None:
        self.program.write_text(f"#!/bin/sh\nHERE='{self.path}'\n{script}\n")
        self.program.chmod(0o755)

    def answers(self, values: dict[str, str], **failures: Any) -> None:
        (self.path / "answer").write_text(json.dumps({"secrets": values, "failures": failures}))


def told(params: Any = PARAMS, **more: Any) -> bytes:
    return json.dumps({"params": params, "results": {}, **more}).encode()


def kept(host: Host) -> dict[str, bytes]:
    """All files of the data directory."""
    return {str(file): file.read_bytes() for file in host.data.rglob("*") if file.is_file()}


def private_of(host: Host) -> list[Path]:
    """What is left of the directories in memory."""
    from provisioning_orchestrator.runner.references import private_root

    root = Path(private_root(host.data))
    return [root, *root.iterdir()] if root.exists() else []


def forms(value: str) -> list[bytes]:
    raw = value.encode()
    return [raw, base64.b64encode(raw)[:-4], raw.hex().encode(), json.dumps(value)[1:-1].encode()]


def assert_clean(host: Host) -> None:
    for name, content in kept(host).items():
        for value in VALUES.values():
            assert not [form for form in forms(value) if form in content], name
    assert private_of(host) == []


LINES = 400
WRITES = f"""
import json, os, sys, time
from pathlib import Path
db = json.load(open(os.environ["PROVISIONING_SECRETS"]))["db"]
for number in range({LINES}):
    sys.stdout.write(f"line {{number}} {{db}}\\n")
    sys.stdout.flush()
    with open(os.environ["PROVISIONING_EVENTS"], "a") as events:
        events.write(json.dumps({{"type": "progress", "message": f"{{number}} {{db}}"}}) + "\\n")
    if number == {LINES // 2}:
        Path(sys.argv[0] + ".half").write_text(f"{{os.getpid()}}\\n")
        while not Path(sys.argv[0] + ".go").exists():
            time.sleep(0.01)
Path(os.environ["PROVISIONING_RESULT"]).write_text(json.dumps({{"result": db}}))
"""
ALL_LINES = [f"line {number} [secret db]" for number in range(LINES)]


def filters_of(shim: int) -> list[int]:
    """Its children that are not the operation: a fork has its name."""
    found = []
    for pid in Path(f"/proc/{shim}/task/{shim}/children").read_text().split():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            if b"forker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(int(pid))
    return found


def replaced(shim: int, shot: int) -> Callable[[], bool]:
    return lambda: filters_of(shim) not in ([], [shot])


def events_in(host: Host) -> list[str]:
    return [json.loads(line)["message"] for line in host.file(an_id(1), ".events").read_text().splitlines()]


def claimed(host: Host) -> bool:
    return host.file(an_id(1)).exists() and b"pid=" in host.file(an_id(1)).read_bytes()[768:1024]
