"""The local runner keeps the promises of the port, with real processes."""

from __future__ import annotations

from pathlib import Path

from provisioning_orchestrator.ports import AttemptId, AttemptSpec, Dispatch
from provisioning_orchestrator.runner import LocalDispatch
from provisioning_orchestrator.testing.dispatch_suite import Behaviour, DispatchSuite

from .host import Host

OPERATIONS = {
    "succeeds": "exit 0",
    "fails": "exit 7",
    "killed": "kill -9 $$",
    "reports": """
echo '{"type": "progress", "message": "half"}' >> "$PROVISIONING_EVENTS"
echo '{"type": "resource.created", "kind": "server", "id": "s-1"}' >> "$PROVISIONING_EVENTS"
""",
    "prints": r"printf 'first line\nsecond line, \377\000 not text\n'",
    "long": "exec sleep 60",
    "overdue": "exec sleep 60",
}


class World:
    def __init__(self, path: Path) -> None:
        self.host = Host(path)
        for name, code in OPERATIONS.items():
            self.host.operation(
                name, f'echo start >> "{path}/starts.$(basename "$PROVISIONING_RESULT" .1.result)"\n' + code
            )
        self.path = path

    async def open(self) -> Dispatch:
        dispatch = self.host.dispatch()
        await dispatch.open()
        return dispatch

    async def crash(self, dispatch: Dispatch) -> None:
        await self.close(dispatch)

    async def close(self, dispatch: Dispatch) -> None:
        assert isinstance(dispatch, LocalDispatch)
        await dispatch.close()

    def spec(self, id: AttemptId, behaviour: Behaviour) -> AttemptSpec:
        timeout_s = 0.3 if behaviour == "overdue" else 60.0
        return self.host.spec("test/" + behaviour, id=id, timeout_s=timeout_s)

    def starts(self, id: AttemptId) -> int:
        file = self.path / f"starts.{id.task}"
        return file.read_text().count("start") if file.exists() else 0


class TestLocalDispatch(DispatchSuite):
    def world(self, tmp_path: Path) -> World:
        return World(tmp_path)


class SyncedWorld(World):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.host.settings["sync_attempts"] = True


class TestSyncedLocalDispatch(DispatchSuite):
    def world(self, tmp_path: Path) -> World:
        return SyncedWorld(tmp_path)
