"""One owner per data directory, and never a stale lock."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from provisioning_orchestrator.store import DataDirInUse, SqliteStore, lock_data_dir

OWNER = """
import sys
from pathlib import Path
from provisioning_orchestrator.store import lock_data_dir
lock = lock_data_dir(Path(sys.argv[1]))
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def _another_owner(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", OWNER, str(data_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "locked\n"
        try:
            yield owner
        finally:
            owner.kill()


def test_a_second_owner_is_refused_and_told_the_pid(tmp_path: Path) -> None:
    with _another_owner(tmp_path) as owner:
        with pytest.raises(DataDirInUse, match=rf"process {owner.pid} owns it") as refused:
            lock_data_dir(tmp_path)
        assert refused.value.pid == owner.pid
        with pytest.raises(DataDirInUse, match=str(owner.pid)):
            asyncio.run(SqliteStore.open(tmp_path, print))


def test_a_killed_owner_leaves_no_lock(tmp_path: Path) -> None:
    with _another_owner(tmp_path) as owner:
        os.kill(owner.pid, signal.SIGKILL)
        owner.wait()
        with lock_data_dir(tmp_path) as lock:
            assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
            assert os.get_inheritable(lock.fileno()) is False


def test_a_lock_file_removed_by_hand_does_not_make_two_owners_of_one_file(tmp_path: Path) -> None:
    """The one who removes it has been warned; a newcomer at least locks the file that others will find."""
    first = lock_data_dir(tmp_path)
    (tmp_path / "lock").unlink()
    with lock_data_dir(tmp_path), pytest.raises(DataDirInUse):
        lock_data_dir(tmp_path)
    first.close()


def test_a_store_uses_the_lock_of_its_caller_and_leaves_it(tmp_path: Path) -> None:
    async def main() -> None:
        store = await SqliteStore.open(tmp_path, print, lock=lock)
        await store.close()

    with lock_data_dir(tmp_path) as lock:
        asyncio.run(main())
        with pytest.raises(DataDirInUse):
            lock_data_dir(tmp_path)
    lock_data_dir(tmp_path).close()


def test_a_store_that_could_not_be_opened_gives_its_lock_back(tmp_path: Path) -> None:
    (tmp_path / "orchestrator.db").write_bytes(b"this is no database" * 1000)
    with pytest.raises(Exception, match=r"orchestrator\.db"):
        asyncio.run(SqliteStore.open(tmp_path, print))
    lock_data_dir(tmp_path).close()
