"""Floor 2: durable storage on SQLite. The promise is what is listed here."""

from .lock import DataDirInUse, DataDirLock, lock_data_dir
from .store import SqliteStore

__all__ = ["DataDirInUse", "DataDirLock", "SqliteStore", "lock_data_dir"]
