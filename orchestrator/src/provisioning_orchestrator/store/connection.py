"""Connections to the database file, and the schema in it.

One connection writes and checkpoints; all others are read-only. No memory mapping, and nobody opens the file beside
SQLite: closing any descriptor of it would drop SQLite's POSIX locks.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from provisioning_orchestrator.crash import crash_point
from provisioning_orchestrator.ports import StoreCorrupt, StoreFailed, StoreFull

from .statements import migrations

DATABASE_NAME = "orchestrator.db"
APPLICATION_ID = 0x50524F56  # "PROV"
BUSY_TIMEOUT_S = 5.0

T = TypeVar("T")


def open_writer(path: Path, factory: type[sqlite3.Connection] = sqlite3.Connection) -> sqlite3.Connection:
    """The writing connection, its schema up to date. Raises StoreFailed (StoreCorrupt, StoreFull)."""
    fresh = _create(path)
    connection: sqlite3.Connection | None = None
    try:
        connection = _connect(path, "rw", factory)
        connection.execute("PRAGMA trusted_schema = OFF")
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise StoreFailed(f"cannot keep a write-ahead log at {str(path)!r} (got {mode!r}): use a local file system")
        connection.execute("PRAGMA synchronous = FULL")
        # Without these two a sync on macOS does not reach the drive's platters; elsewhere they do nothing.
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute("PRAGMA checkpoint_fullfsync = ON")
        # The writer checkpoints itself: an automatic checkpoint keeps its errors to itself, a failed sync among them.
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA temp_store = MEMORY")
        _migrate(connection, path)
        if fresh:
            _sync_directory(path.parent)
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        raise translated(error, f"cannot open the database {str(path)!r}") from error
    except BaseException:
        if connection is not None:
            connection.close()
        raise
    return connection


def open_reader(
    path: Path, factory: type[sqlite3.Connection] = sqlite3.Connection, *, any_thread: bool = False
) -> sqlite3.Connection:
    """A connection that cannot write. any_thread: its user sees to it that one thread at a time uses it."""
    connection = _connect(path, "ro", factory, any_thread=any_thread)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    return connection


def in_one_transaction(connection: sqlite3.Connection, question: Callable[[], T]) -> T:
    """The answer of a question whose statements all see one state of the database."""
    connection.execute("BEGIN")
    try:
        answer = question()
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # what went wrong first is what is told
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    return answer


def translated(error: sqlite3.Error, doing: str) -> StoreFailed:
    """The store's own error for one of SQLite's."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return StoreFull(f"{doing}: the disk is full ({error}); make room")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreCorrupt(f"{doing}: {error}; restore a backup")
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return StoreFailed(f"{doing}: {error} ({name})")


def _create(path: Path) -> bool:
    """Make an empty file that only we can read, before SQLite makes one that more can."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return False
    except OSError as error:
        raise StoreFailed(f"cannot create the database {str(path)!r}: {error.strerror}") from error
    return True


def _connect(
    path: Path, mode: str, factory: type[sqlite3.Connection], *, any_thread: bool = False
) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        cached_statements=512,
        factory=factory,
        check_same_thread=not any_thread,
    )


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    todo = list(migrations())
    latest = todo[-1][0]
    if version > latest:
        raise StoreFailed(
            f"the database {str(path)!r} has schema {version}, this program knows up to {latest}: "
            "use the newer program that wrote it, or restore the backup made before it did"
        )
    if application != APPLICATION_ID and (
        application or version or connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    ):
        raise StoreFailed(f"{str(path)!r} is a database of another program (application id {application})")
    if 0 < version < latest:
        _back_up(connection, path, version)
    for number, script in todo:
        if number > version:
            try:
                connection.executescript(
                    f"BEGIN IMMEDIATE;\n{script}\nPRAGMA application_id = {APPLICATION_ID};"
                    f"PRAGMA user_version = {number};"
                )
                crash_point("store-mid-migration")
                connection.execute("COMMIT")
            except sqlite3.Error:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise


def _back_up(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """Keep the file as it was before a migration, beside it; whole or not at all."""
    target = path.with_name(f"{path.name}.schema-{version}.bak")
    partial = target.with_name(target.name + ".partial")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    copy = sqlite3.connect(partial)
    try:
        connection.backup(copy)
    finally:
        copy.close()
    descriptor = os.open(partial, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    partial.replace(target)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
