"""What the tests of the runner share: a data directory with a library of small operations, and dispatches on it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from provisioning_orchestrator.ports import Alive, AttemptId, AttemptSpec
from provisioning_orchestrator.runner import LibraryFiles, LocalDispatch
from provisioning_orchestrator.testing.dispatch_suite import Listener, an_id, until

__all__ = ["Host", "alive", "an_id", "number_in", "run", "shim_of", "until", "verdicts_of"]


class Host:
    """A directory that stands for a machine: what is started on it outlives the dispatches."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = path / "data"
        self.library = path / "library"
        (self.library / "test").mkdir(parents=True, exist_ok=True)
        self.settings: dict[str, Any] = {}

    def operation(self, name: str, code: str, mode: int = 0o755) -> str:
        """Put an operation into the library; without a suffix it is a shell script unless it says otherwise."""
        file = self.library / "test" / name
        if "." not in name and not code.startswith("#!"):
            code = "#!/bin/sh\n" + code
        file.write_text(code)
        file.chmod(mode)
        return "test/" + name.partition(".")[0]

    def spec(self, operation: str, number: int = 1, **changes: Any) -> AttemptSpec:
        spec = AttemptSpec(an_id(number), operation, b'{"params":{}}', timeout_s=60.0, grace_s=2.0, fence=1)
        return replace(spec, **changes)

    def dispatch(self, **settings: Any) -> LocalDispatch:
        chosen: dict[str, Any] = {"python": Path(sys.executable), "nu": None, "workspace": self.path}
        chosen.update(self.settings)
        chosen.update(settings)
        return LocalDispatch(self.data, LibraryFiles([self.library]), **chosen)

    @asynccontextmanager
    async def opened(self, **settings: Any) -> AsyncIterator[tuple[LocalDispatch, Listener]]:
        dispatch = self.dispatch(**settings)
        await dispatch.open()
        listener = Listener(dispatch)
        try:
            yield dispatch, listener
        finally:
            listener.stop()
            await dispatch.close()

    async def run(self, spec: AttemptSpec, **settings: Any) -> Any:
        """The verdict of one attempt."""
        async with self.opened(**settings) as (dispatch, listener):
            await dispatch.start(spec)
            return await listener.end_of(spec.id)

    def file(self, id: AttemptId, suffix: str = "") -> Path:
        return self.data / "attempts" / id.workflow / f"{id.task}.{id.number}{suffix}"

    def log(self, id: AttemptId) -> bytes:
        return self.file(id, ".log").read_bytes()


def run(body: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(body)


def alive(pid: int) -> bool:
    """Whether the process runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def number_in(path: Path) -> Callable[[], bool]:
    """Whether the file holds a whole line with a number."""
    return lambda: path.is_file() and path.read_text().endswith("\n") and path.read_text().strip().isdigit()


def shim_of(host: Host, id: AttemptId) -> int:
    """The pid in the claim."""
    content = host.file(id).read_bytes()[768:1024]
    return int(content.split(b"pid=")[1].split(b" ")[0])


def verdicts_of(host: Host, count: int) -> dict[AttemptId, Any]:
    """What the next daemon says in the end."""
    ids = [an_id(number) for number in range(1, count + 1)]

    async def body() -> dict[AttemptId, Any]:
        async with host.opened() as (dispatch, listener):
            verdicts = dict(await dispatch.reconcile(ids))
            for id, verdict in verdicts.items():
                if verdict == Alive():
                    verdicts[id] = await listener.end_of(id)
            return verdicts

    found: dict[AttemptId, Any] = run(body())
    return found
