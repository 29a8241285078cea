"""What we remember having made: written whole, read tolerantly, rebuilt from the providers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.errors import UsageError
from provisioning_core.inventory import Entry, Inventory, entry_of, sealed
from provisioning_core.provider import Resource
from provisioning_core.workspace import load_workspace

KEY = "test-ws/wuji/server/web-1"
ENTRY = Entry(
    KEY, "server", "wuji", "web-1", "ledger", "server-1", "i", "wf_1", "servers/create-one", attributes={"a": 1}
)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def inventory(workspace: Any, said: list[str]) -> Inventory:
    return Inventory(load_workspace(workspace.path), said.append)


def file_of(workspace: Any, name: str = "web-1") -> Path:
    path: Path = workspace.path / ".provisioning" / "inventory" / "wuji" / "server" / f"{name}.json"
    return path


def server(name: str, id: str) -> Resource:
    return Resource("server", id, f"test-ws/wuji/server/{name}", "i", "wuji", name, "started", {"spec": {"plan": "p"}})


def test_what_was_recorded_is_read_again(inventory: Inventory) -> None:
    made = inventory.record(ENTRY)
    assert inventory.get(KEY) == made
    assert made.created_at == made.updated_at != ""
    assert inventory.all() == inventory.all("wuji", "server") == [made]
    assert inventory.all("other") == inventory.all("wuji", "network") == []
    assert inventory.infras() == ["wuji"]
    assert inventory.forget(KEY) is True
    assert inventory.forget(KEY) is False
    assert inventory.get(KEY) is None
    assert inventory.infras() == []


def test_the_time_of_creation_stays_as_long_as_it_is_the_same_resource(inventory: Inventory) -> None:
    old = "2020-01-01T00:00:00+00:00"
    inventory.record(Entry(KEY, "server", "wuji", "web-1", "ledger", "server-1", created_at=old))
    assert inventory.record(ENTRY).created_at == old
    assert inventory.record(Entry(KEY, "server", "wuji", "web-1", "ledger", "server-2")).created_at != old


def test_the_host_key_of_a_server_goes_with_its_entry(inventory: Inventory, workspace: Any) -> None:
    """Of one that a provider forgot, nobody calls the deletion that takes it along."""
    hosts = workspace.path / ".provisioning" / "hosts"
    hosts.mkdir(parents=True)
    elsewhere = workspace.path / "known_hosts"
    elsewhere.write_text("shared")

    def entry(id: str, file: Path) -> Entry:
        file.write_text("key")
        return replace(ENTRY, id=id, attributes={"ssh": {"known_hosts_file": str(file)}})

    for number in (1, 2, 2):
        inventory.record(entry(f"server-{number}", hosts / f"ledger-server-{number}"))
    assert [file.name for file in hosts.iterdir()] == ["ledger-server-2"]
    inventory.forget(KEY)
    assert list(hosts.iterdir()) == []
    inventory.record(entry("server-3", elsewhere))
    inventory.forget(KEY)
    assert elsewhere.exists(), "local servers share theirs"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"key": 1}', json.dumps({"key": "test-ws/wuji/server/b"}), "\udcff", "[" * 100_000]
)
def test_a_broken_file_is_set_aside_and_said_and_never_fatal(
    text: str, inventory: Inventory, workspace: Any, said: list[str]
) -> None:
    inventory.record(ENTRY)
    other = inventory.record(Entry("test-ws/wuji/server/web-2", "server", "wuji", "web-2", "ledger", "server-2"))
    file_of(workspace).write_bytes(text.encode("utf-8", "surrogateescape"))
    assert inventory.all() == [other]
    assert len(said) == 1
    assert "web-1.json is broken" in said[0]
    aside = file_of(workspace).with_name("web-1.json.broken-1")
    assert aside.read_bytes() == text.encode("utf-8", "surrogateescape")
    assert inventory.get(KEY) is None
    assert len(said) == 1, "said once"
    inventory.record(ENTRY)
    file_of(workspace).write_text("again")
    assert inventory.get(KEY) is None
    assert "broken-2" in said[1]


def test_fields_of_a_later_version_are_passed_over(inventory: Inventory, workspace: Any) -> None:
    inventory.record(ENTRY)
    document = json.loads(file_of(workspace).read_text()) | {"colour": "blue"}
    file_of(workspace).write_text(json.dumps(document))
    assert inventory.get(KEY) is not None


@pytest.mark.parametrize(
    "key", ["x", "other/wuji/server/a", "test-ws/../server/a", "test-ws/wuji/server/..", "test-ws/wuji/server/a/b", ""]
)
def test_what_is_no_key_of_this_workspace_is_refused(key: str, inventory: Inventory) -> None:
    with pytest.raises(UsageError, match="is no key of this workspace"):
        inventory.get(key)


def test_a_taskserv_has_its_server_in_its_name(inventory: Inventory) -> None:
    key = "test-ws/wuji/taskserv/nginx.web-1"
    inventory.record(Entry(key, "taskserv", "wuji", "nginx.web-1", "ledger", "server-1"))
    assert [entry.key for entry in inventory.all(kind="taskserv")] == [key]


def test_user_data_is_kept_as_a_digest_only(inventory: Inventory, workspace: Any) -> None:
    secret = "hunter2-hunter2"
    attributes = {"user_data": secret, "spec": {"user_data": secret}, "wish": {"spec": {"user_data": secret}}}
    inventory.record(Entry(KEY, "server", "wuji", "web-1", "ledger", "server-1", attributes=attributes))
    assert secret not in file_of(workspace).read_text()
    assert sealed(sealed(attributes)) == sealed(attributes), "a digest stays what it is"
    assert sealed({"user_data": "a"}) != sealed({"user_data": "b"})


def test_a_rebuild_adds_what_exists_and_forgets_what_does_not(inventory: Inventory) -> None:
    wish = {"spec": {"plan": "p"}, "labels": {}}
    inventory.record(entry_of("ledger", server("kept", "server-1"), wish=wish))
    inventory.record(entry_of("ledger", server("gone", "server-2")))
    inventory.record(entry_of("ledger", server("remade", "server-3"), wish=wish))
    for name, id in (("nginx.kept", "server-1"), ("nginx.gone", "server-2"), ("nginx.remade", "server-3")):
        inventory.record(Entry(f"test-ws/wuji/taskserv/{name}", "taskserv", "wuji", name, "ledger", id))
    exist = [
        ("ledger", server("kept", "server-1")),
        ("two", server("new", "s")),
        ("ledger", server("remade", "server-4")),
    ]
    added, forgotten = inventory.rebuild(exist, "wuji")
    assert [key.rpartition("/")[2] for key in added] == ["new", "remade"]
    assert [key.rpartition("/")[2] for key in forgotten] == ["gone", "nginx.gone", "nginx.remade"]
    names = {entry.name: (entry.provider, entry.id, entry.wish) for entry in inventory.all("wuji")}
    assert names == {
        "kept": ("ledger", "server-1", wish),
        "new": ("two", "s", None),
        "remade": ("ledger", "server-4", None),
        "nginx.kept": ("ledger", "server-1", None),
    }
    assert inventory.rebuild(exist, "wuji") == ([], [])


WRITE_FOR_EVER = """
import sys
from dataclasses import replace
from pathlib import Path
from provisioning_core.inventory import Entry, Inventory
from provisioning_core.workspace import load_workspace
inventory = Inventory(load_workspace(Path(sys.argv[1])))
print("begun", flush=True)
number = 0
while True:
    number += 1
    inventory.record(Entry("test-ws/wuji/server/web-1", "server", "wuji", "web-1", "ledger", "x" * 5000 + str(number)))
"""


def test_a_kill_while_it_is_written_leaves_the_old_or_the_new(
    inventory: Inventory, workspace: Any, said: list[str]
) -> None:
    inventory.record(ENTRY)
    for _ in range(3):
        writing = subprocess.Popen(
            [sys.executable, "-c", WRITE_FOR_EVER, str(workspace.path)], stdout=subprocess.PIPE, text=True
        )
        assert writing.stdout is not None
        writing.stdout.readline()
        before = file_of(workspace).read_bytes()
        while file_of(workspace).read_bytes() == before:
            pass
        os.kill(writing.pid, signal.SIGKILL)
        writing.wait()
        writing.stdout.close()
        found = inventory.get(KEY)
        assert found is not None
        assert found.id.startswith("xxxx")
    assert said == []
    assert [entry.key for entry in inventory.all()] == [KEY], "what was half-written is never taken for an entry"
