"""Where values are kept: every store gives back what it was given, and is read by nobody else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from provisioning_core.errors import UsageError
from provisioning_core.secrets.age import AgeStore
from provisioning_core.secrets.stores import SECRETS, FileStore, KeyringStore, Store

HOSTILE = [
    "plain-value",
    "q\"u\\o'te$`!",
    "two\nlines\r\n\tand tab",
    "é 🚀 \x7f \x01",
    "x" * 16_000,
    "= [section] # no",
]


@pytest.fixture
def keyring_in_memory() -> Iterator[None]:
    """A keyring of the real library whose entries are in memory; nothing where the library is not installed."""
    if find_spec("keyring") is None:
        yield
        return
    import keyring
    from keyring.backend import KeyringBackend

    class InMemory(KeyringBackend):
        priority = 1

        def __init__(self) -> None:
            self.entries: dict[tuple[str, str], str] = {}

        def get_password(self, service: str, username: str) -> str | None:
            return self.entries.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            self.entries[(service, username)] = password

        def delete_password(self, service: str, username: str) -> None:
            del self.entries[(service, username)]

    before = keyring.get_keyring()
    keyring.set_keyring(InMemory())
    yield
    keyring.set_keyring(before)


@pytest.mark.skipif(find_spec("keyring") is None, reason="the package keyring is not installed")
def test_a_system_without_a_keyring_holds_nothing_and_says_so() -> None:
    import keyring
    from keyring.backends.fail import Keyring

    before = keyring.get_keyring()
    keyring.set_keyring(Keyring())  # type: ignore[no-untyped-call]
    try:
        assert KeyringStore().get(SECRETS, "a") is None and KeyringStore().names(SECRETS) == []
        with pytest.raises(UsageError, match="this system has none") as refused:
            KeyringStore().set(SECRETS, "a", "long enough")
        assert (refused.value.code, refused.value.hint) == ("no_keyring", "--backend file or --backend age")
    finally:
        keyring.set_keyring(before)


Make = Callable[[Path], Store]
STORES: list[Make] = [
    lambda path: FileStore(path / "config" / "secrets.toml"),
    lambda path: AgeStore(path / "config" / "secrets.age", {}),
    lambda path: KeyringStore(),
]


@pytest.mark.usefixtures("keyring_in_memory")
@pytest.mark.parametrize(("make", "library"), list(zip(STORES, (None, "pyrage", "keyring"), strict=True)))
def test_a_store_gives_back_what_it_was_given_and_nothing_after_a_delete(
    make: Make, library: str | None, tmp_path: Path
) -> None:
    if library is not None:
        pytest.importorskip(library)
    store = make(tmp_path)
    assert store.get("secrets", "db") is None and store.names("secrets") == [] and not store.delete("secrets", "db")
    for number, value in enumerate(HOSTILE):
        store.set("secrets", f"db/{number}.x", value)
    assert [make(tmp_path).get("secrets", f"db/{number}.x") for number in range(len(HOSTILE))] == HOSTILE
    assert store.names("secrets") == [f"db/{number}.x" for number in range(len(HOSTILE))]
    store.set("secrets", "db/0.x", "changed-value")
    assert store.get("secrets", "db/0.x") == "changed-value"
    assert store.delete("secrets", "db/0.x") and store.get("secrets", "db/0.x") is None
    assert store.get("other", "db/1.x") is None


def test_the_file_can_be_read_by_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = FileStore(tmp_path / "config" / "secrets.toml")
        store.set("secrets", "db", "hunter2-hunter2")
    finally:
        os.umask(before)
    assert (tmp_path / "config" / "secrets.toml").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "config").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o620])
def test_a_file_that_others_can_read_or_write_is_refused_with_the_command_that_mends_it(
    mode: int, tmp_path: Path
) -> None:
    file = tmp_path / "secrets.toml"
    store = FileStore(file)
    store.set("secrets", "db", "hunter2-hunter2")
    file.chmod(mode)
    with pytest.raises(UsageError) as refused:
        store.get("secrets", "db")
    assert refused.value.hint == f"chmod 600 {file}" and "hunter2" not in refused.value.message
    file.chmod(0o600)
    assert store.get("secrets", "db") == "hunter2-hunter2"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file away")
def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secrets.toml"
    FileStore(file).set("secrets", "db", "hunter2-hunter2")
    os.chown(file, 65534, 65534)
    with pytest.raises(UsageError, match="belongs to another user"):
        FileStore(file).get("secrets", "db")


@pytest.mark.parametrize("text", ["[secrets]\ndb = hunter2-hunter2", "db = 'hunter2-hunter2'", "[secrets]\ndb = [1]\n"])
def test_a_file_that_is_not_understood_is_named_without_its_values(text: str, tmp_path: Path) -> None:
    file = tmp_path / "secrets.toml"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(UsageError) as refused:
        FileStore(file).get("secrets", "db")
    assert str(file) in refused.value.message and "hunter2" not in repr(refused.value)


def test_values_of_an_age_file_are_not_in_it(tmp_path: Path) -> None:
    pytest.importorskip("pyrage")
    store = AgeStore(tmp_path / "secrets.age", {})
    store.set("secrets", "db", "hunter2-hunter2")
    assert b"hunter2" not in (tmp_path / "secrets.age").read_bytes()
    assert (tmp_path / "age.key").stat().st_mode & 0o777 == 0o600
    elsewhere = tmp_path / "moved.key"
    (tmp_path / "age.key").rename(elsewhere)
    with pytest.raises(UsageError, match="there is no identity"):
        AgeStore(tmp_path / "secrets.age", {}).get("secrets", "db")
    named = AgeStore(tmp_path / "secrets.age", {"PROVISIONING_AGE_IDENTITY": str(elsewhere)})
    assert named.get("secrets", "db") == "hunter2-hunter2"


def test_writers_at_the_same_time_lose_nothing_of_each_other(tmp_path: Path) -> None:
    code = """
import sys; from pathlib import Path
from provisioning_core.secrets.stores import FileStore
for number in range(20):
    FileStore(Path(sys.argv[1])).set("secrets", f"{sys.argv[2]}-{number}", "value-value")
"""
    file = str(tmp_path / "secrets.toml")
    writers = [subprocess.Popen([sys.executable, "-c", code, file, str(number)]) for number in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert len(FileStore(Path(file)).names("secrets")) == 60
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def test_what_a_killed_writer_left_goes_with_the_next_write(tmp_path: Path) -> None:
    left = tmp_path / ".secrets.toml.4711.part"
    left.write_text("hunter2-hunter2")
    FileStore(tmp_path / "secrets.toml").set("secrets", "db", "value-value")
    assert not left.exists()
