"""Files that are old, new, foreign or damaged, and rows that cannot be read."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest

from provisioning_orchestrator.ports import NotFound, StoreCorrupt, StoreFailed, UnreadableRecord
from provisioning_orchestrator.store import SqliteStore, connection
from provisioning_orchestrator.store.statements import migrations
from provisioning_orchestrator.testing.store_world import a_row, a_task, an_event, ended, started, submit
from provisioning_orchestrator.workflow.records import Parent

from .consistency import assert_whole

DATABASE = "orchestrator.db"
PATIENCE_S = 20.0


async def _open(directory: Path) -> SqliteStore:
    def fail(error: Exception) -> None:
        raise AssertionError(error)

    return await SqliteStore.open(directory, fail)


async def _filled(directory: Path, workflows: int = 2) -> None:
    store = await _open(directory)
    for n in range(workflows):
        await submit(store, f"wf_{n}", 3)
        await store.append(f"wf_{n}", 1, started(1, 2))
        await store.append(f"wf_{n}", 2, ended(1, 3))
    await store.close()


def _sql(directory: Path, *statements: str) -> list[tuple[Any, ...]]:
    """Meddle with the file of a closed store; the rows of the last statement."""
    meddler = sqlite3.connect(directory / DATABASE, isolation_level=None)
    try:
        return [meddler.execute(statement).fetchall() for statement in statements][-1]
    finally:
        meddler.close()


async def _until(met: Any) -> None:
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    while not met():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


# --- settings and upkeep ---------------------------------------------------------------------------------------------


class Nosy(sqlite3.Connection):
    """Notes the settings of every connection that begins a transaction."""

    seen: ClassVar[set[tuple[str, Any]]] = set()

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if sql.startswith("BEGIN"):
            kind = "writer" if "IMMEDIATE" in sql else "reader"
            for name in ("synchronous", "journal_mode", "trusted_schema", "query_only", "mmap_size"):
                found = super().execute(f"PRAGMA {name}").fetchone()
                self.seen.add((f"{kind} {name}", found[0] if found else 0))
        return super().execute(sql, *values)


def test_the_writer_syncs_in_full_and_readers_cannot_write(tmp_path: Path) -> None:
    async def main() -> None:
        store = await SqliteStore.open(tmp_path, print, factory=Nosy)
        await submit(store, "wf_a")
        store.records.workflow("wf_a")
        await store.load("wf_a")
        await store.close()

    asyncio.run(main())
    assert Nosy.seen == {
        ("writer synchronous", 2),
        ("writer journal_mode", "wal"),
        ("writer trusted_schema", 0),
        ("writer query_only", 0),
        ("writer mmap_size", 0),
        ("reader synchronous", 2),
        ("reader journal_mode", "wal"),
        ("reader trusted_schema", 0),
        ("reader query_only", 1),
        ("reader mmap_size", 0),
    }


def test_only_the_owner_can_read_the_files(tmp_path: Path) -> None:
    async def main() -> None:
        store = await _open(tmp_path / "data")
        await submit(store, "wf_a")
        for path in (tmp_path / "data").iterdir():
            assert path.stat().st_mode & 0o077 == 0, path
        assert (tmp_path / "data").stat().st_mode & 0o077 == 0
        await store.close()

    asyncio.run(main())


def test_the_log_is_emptied_when_idle(tmp_path: Path) -> None:
    async def main() -> None:
        store = await _open(tmp_path)
        await submit(store, "wf_a", 1_000)
        log = tmp_path / f"{DATABASE}-wal"
        await _until(lambda: log.stat().st_size == 0)
        await store.append("wf_a", 1, started(1, 2))
        await store.close()

    asyncio.run(main())


def test_a_stop_is_clean_and_a_kill_is_not(tmp_path: Path) -> None:
    killed = "import os, signal, asyncio, sys\nfrom pathlib import Path\n"
    killed += "from provisioning_orchestrator.store import SqliteStore\n"
    killed += "asyncio.run(SqliteStore.open(Path(sys.argv[1]), print))\nos.kill(os.getpid(), signal.SIGKILL)\n"

    async def was_clean() -> bool:
        store = await _open(tmp_path)
        await store.check()
        await store.close()
        return store.was_clean

    assert asyncio.run(was_clean())
    assert asyncio.run(was_clean())
    assert subprocess.run([sys.executable, "-c", killed, str(tmp_path)], timeout=30).returncode == -9
    assert not asyncio.run(was_clean())
    assert asyncio.run(was_clean())


def test_half_written_submissions_are_purged_after_the_start(tmp_path: Path) -> None:
    tasks = ", ".join(
        f"({(7 << 32) + n}, 7, 't{n}', 'o', x'7b7d', 0, 0, 0, 1.0, '[]', 'ready')" for n in range(1, 5000)
    )
    states = ", ".join(f"({(7 << 32) + n}, 'ready')" for n in range(1, 5000))

    async def main() -> None:
        store = await _open(tmp_path)
        ready = store.records.tasks(workflow=None, status="ready", cursor=None, limit=1000)
        assert {view.workflow for view in ready.items} <= {"wf_0", "wf_1"}
        await submit(store, "wf_new")
        gone = sqlite3.connect(f"file:{tmp_path / DATABASE}?mode=ro", uri=True)
        await _until(lambda: gone.execute("SELECT count(*) FROM staged").fetchone() == (0,))
        counts = "SELECT (SELECT count(*) FROM tasks), (SELECT count(*) FROM task_states)"
        assert gone.execute(counts).fetchone() == (9, 9)
        gone.close()
        assert set(await assert_whole(store)) == {"wf_0", "wf_1", "wf_new"}
        await store.close()

    asyncio.run(_filled(tmp_path))
    _sql(
        tmp_path,
        "INSERT INTO staged VALUES (7)",
        "INSERT INTO tasks (place, workflow, id, operation, params, parent, depth, repeatable, timeout_s, retry, "
        f"first_status) VALUES {tasks}",
        f"INSERT INTO task_states (place, status) VALUES {states}",
    )
    asyncio.run(main())


def test_pages_of_large_results_end_early(tmp_path: Path) -> None:
    async def main() -> None:
        store = await _open(tmp_path)
        large = b'"' + b"x" * 1_000_000 + b'"'
        tasks = [a_task(seq) for seq in range(1, 31)]
        await store.submit(a_row("wf_a", 30), tasks, [an_event(1)], None)
        for seq in range(1, 31):
            await store.append("wf_a", seq, ended(seq, seq + 1, large))
        seen, cursor, pages = [], None, 0
        while True:
            page = store.records.tasks(workflow=None, status=None, cursor=cursor, limit=1000)
            assert sum(len(view.result) for view in page.items) <= 9_000_000
            seen += [view.task.seq for view in page.items]
            pages, cursor = pages + 1, page.next_cursor
            if cursor is None:
                break
        assert seen == list(range(1, 31))
        assert pages >= 4
        await store.close()

    asyncio.run(main())


# --- damage ----------------------------------------------------------------------------------------------------------


def test_a_corrupted_page_is_found_by_check_while_questions_are_answered(tmp_path: Path) -> None:
    async def main() -> None:
        store = await _open(tmp_path)
        with pytest.raises(StoreCorrupt, match=r"check of the database.*restore a backup"):
            await store.check()
        assert store.records.workflow("wf_0").row.id == "wf_0"
        await store.close()

    asyncio.run(_filled(tmp_path, 40))
    root = _sql(tmp_path, "SELECT rootpage FROM sqlite_master WHERE name = 'events'")[0][0]
    with (tmp_path / DATABASE).open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xa5" * 2048)
    asyncio.run(main())


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE task_states SET status = 'dancing' WHERE place >> 32 = 1",
        "UPDATE task_states SET error = '{' WHERE place >> 32 = 1",
        "UPDATE task_states SET error = '{\"code\": 1}' WHERE place >> 32 = 1",
        "UPDATE tasks SET needs = '[1, \"x\"]' WHERE workflow = 1",
        "UPDATE tasks SET needs = 'garbage' WHERE workflow = 1",
        "UPDATE tasks SET retry = '[3, \"never\", 1, 1, 1]' WHERE workflow = 1",
        "UPDATE tasks SET operation = CAST(x'ff00fe' AS TEXT) WHERE workflow = 1",
        "UPDATE workflows SET status = 'exploded' WHERE number = 1",
        "DELETE FROM task_states WHERE place >> 32 = 1",
        "DELETE FROM tasks WHERE place = (1 << 32) + 2",
    ],
)
def test_an_unreadable_workflow_is_set_aside_and_shown_and_the_others_go_on(tmp_path: Path, damage: str) -> None:
    async def main() -> None:
        store = await _open(tmp_path)
        assert await store.unfinished() == ["wf_0", "wf_1"]
        with pytest.raises(UnreadableRecord) as unreadable:
            await store.load("wf_0")
        await store.quarantine("wf_0", str(unreadable.value))
        assert await store.unfinished() == ["wf_1"]
        assert store.records.workflow("wf_0").quarantined == str(unreadable.value)
        assert len(store.records.workflows(status=None, cursor=None, limit=10).items) == 2
        shown = store.records.tasks(workflow="wf_0", status=None, cursor=None, limit=10).items
        assert store.records.task("wf_0", "t1") == shown[0]
        assert len(store.records.events("wf_0", after=0, limit=10)) == 3
        await store.load("wf_1")
        await store.append("wf_1", 3, started(2, 4))
        await store.close()

    asyncio.run(_filled(tmp_path))
    _sql(tmp_path, damage)
    asyncio.run(main())


def test_an_unreadable_event_is_shown_as_such(tmp_path: Path) -> None:
    async def main() -> None:
        store = await _open(tmp_path)
        assert [event.data for event in store.records.events("wf_0", after=0, limit=2)] == [{"unreadable": True}] * 2
        await store.close()

    asyncio.run(_filled(tmp_path))
    _sql(tmp_path, "UPDATE events SET data = '[1' WHERE place >> 32 = 1")
    asyncio.run(main())


def test_a_file_that_is_no_database_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / DATABASE).write_bytes(b"this is no database " * 500)
    with pytest.raises(StoreCorrupt, match=DATABASE):
        asyncio.run(_open(tmp_path))


def test_a_database_of_another_program_is_refused_untouched(tmp_path: Path) -> None:
    _sql(tmp_path, "CREATE TABLE theirs (x)")
    with pytest.raises(StoreFailed, match="another program"):
        asyncio.run(_open(tmp_path))
    assert _sql(tmp_path, "SELECT name FROM sqlite_master") == [("theirs",)]


# --- schema versions -------------------------------------------------------------------------------------------------


def test_a_newer_schema_is_refused_with_the_versions(tmp_path: Path) -> None:
    asyncio.run(_filled(tmp_path))
    _sql(tmp_path, "PRAGMA user_version = 99")
    with pytest.raises(StoreFailed, match=r"schema 99, this program knows up to \d+"):
        asyncio.run(_open(tmp_path))


def test_an_older_schema_is_migrated_and_kept_as_a_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(_filled(tmp_path))
    first = list(migrations())
    second = (len(first) + 1, "ALTER TABLE workflows ADD COLUMN colour TEXT;\nUPDATE workflows SET colour = 'grey';")
    monkeypatch.setattr(connection, "migrations", lambda: iter([*first, second]))

    async def main() -> None:
        store = await _open(tmp_path)
        assert set(await assert_whole(store)) == {"wf_0", "wf_1"}
        await submit(store, "wf_2")
        await store.close()

    asyncio.run(main())
    assert _sql(tmp_path, "SELECT colour FROM workflows ORDER BY number") == [("grey",), ("grey",), (None,)]
    assert _sql(tmp_path, "PRAGMA user_version") == [(len(first) + 1,)]
    (tmp_path / DATABASE).unlink()
    (tmp_path / f"{DATABASE}.schema-{len(first)}.bak").rename(tmp_path / DATABASE)
    monkeypatch.undo()

    async def older() -> None:
        store = await _open(tmp_path)
        assert set(await assert_whole(store)) == {"wf_0", "wf_1"}
        with pytest.raises(NotFound):
            store.records.workflow("wf_2")
        await store.close()

    asyncio.run(older())


def test_a_store_of_the_first_version_gets_every_later_column(tmp_path: Path) -> None:
    """Rows that the first version's statements wrote: parents came later, and are absent."""
    path = tmp_path / DATABASE
    with contextlib.closing(sqlite3.connect(path)) as old:
        old.executescript(next(migrations())[1])
        old.execute(
            "INSERT INTO workflows (number, id, name, intent, status, created_at, cancel_requested, tasks_total,"
            " sequence) VALUES (1, 'wf_old', 'servers/create wuji', 'i', 'running', 1, 0, 0, 1)"
        )
        old.execute(f"PRAGMA application_id = {connection.APPLICATION_ID}")
        old.execute("PRAGMA user_version = 1")
        old.commit()

    async def main() -> None:
        store = await _open(tmp_path)
        assert store.records.workflow("wf_old").row.parent is None
        await submit(store, "wf_new", parent=Parent("wf_old", "t1", 1))
        assert [
            v.row.id for v in store.records.workflows(status=None, cursor=None, limit=9, parent="wf_old").items
        ] == ["wf_new"]
        await store.close()

    asyncio.run(main())


def test_a_migration_that_fails_leaves_the_old_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(_filled(tmp_path))
    first = list(migrations())
    broken = (len(first) + 1, "ALTER TABLE workflows ADD COLUMN colour TEXT;\nUPDATE nowhere SET colour = 'grey';")
    monkeypatch.setattr(connection, "migrations", lambda: iter([*first, broken]))
    with pytest.raises(StoreFailed, match="nowhere"):
        asyncio.run(_open(tmp_path))
    monkeypatch.undo()
    assert _sql(tmp_path, "PRAGMA user_version") == [(len(first),)]

    async def main() -> None:
        store = await _open(tmp_path)
        assert set(await assert_whole(store)) == {"wf_0", "wf_1"}
        await store.close()

    asyncio.run(main())
