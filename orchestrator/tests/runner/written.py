"""State files as they are found: written by hand, region by region."""

from __future__ import annotations

from pathlib import Path

from provisioning_orchestrator.runner import processes, statefile
from provisioning_orchestrator.runner.boot import Boot
from provisioning_orchestrator.runner.files import AttemptFiles
from provisioning_orchestrator.testing.dispatch_suite import an_id

HERE = Boot(processes.boot_id(), doubtful=False, sync=False)
ELSEWHERE = Boot("another-boot", doubtful=True, sync=False)
ID = an_id(1)


def header(**changes: object) -> dict[str, object]:
    return {"id": ID, "mark": "m", "boot": HERE.id, "sync": 0, "work": "1", **changes}


def write(files: AttemptFiles, claim: bytes = b"", outcome: bytes = b"", **changes: object) -> None:
    Path(files.state).write_bytes(statefile.new_content(statefile.head(header(**changes)), b"{}", claim, outcome))


def a_claim(**changes: object) -> bytes:
    return statefile.record(statefile.CLAIM, {"pid": 1, "start": 1, "boot": HERE.id, "inode": 0, **changes})


def an_outcome(code: int = 4) -> bytes:
    fields: dict[str, object] = {"kind": "exited", "code": code, "started": 5, "ended": 6, "cut": 7}
    return statefile.record(statefile.OUTCOME, fields)
