"""ansible/playbook: real ansible-core over SSH on local servers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import pytest

from provisioning_core.attempt import Where, run_attempt
from provisioning_core.infra import Cluster, Infra, Server
from provisioning_core.library import Interpreters, find_operation, library_root
from provisioning_core.outcome import Outcome
from provisioning_core.provider import Resource, Wish
from provisioning_core.providers.local import LocalProvider
from provisioning_core.providers.local.provider import destroy
from provisioning_core.secrets.stores import SECRETS, FileStore
from provisioning_core.tools.ansible import inventory_of
from provisioning_core.workspace import load_workspace

from .conftest import Operations

WUJI = """\
servers:
  - {name: web, count: 2, plan: 1cpu-1gb, labels: {role: web-server}}
"""
PLAYBOOK = """\
- hosts: web
  gather_facts: false
  tasks:
    - name: a file with what was given
      ansible.builtin.copy:
        content: "{{ greeting }} from {{ inventory_hostname }}\\n"
        dest: /var/tmp/greeting
    - name: read it
      ansible.builtin.command: cat /var/tmp/greeting
      register: read
      changed_when: false
    - ansible.builtin.set_fact:
        greeting_read: "{{ read.stdout }}"
    - ansible.builtin.set_stats:
        data: {greeted: "{{ ansible_play_hosts | length }}"}
      run_once: true
"""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A workspace whose two servers run."""
    path = tmp_path_factory.mktemp("ansible") / "workspace"
    (path / "infra").mkdir(parents=True)
    (path / "provisioning.yaml").write_text("name: test-ws\nprovider: local\n")
    (path / "infra/wuji.yaml").write_text(WUJI)
    (path / "greet.yaml").write_text(PLAYBOOK)
    workspace, provider = load_workspace(path), LocalProvider(path)
    for name in ("web-1", "web-2"):
        spec = {"plan": "1cpu-1gb", "cpus": 1, "memory_gb": 1}
        labels = {"role": "web-server"}
        provider.create(Wish("server", workspace.key("wuji", "server", name), str(uuid4()), "wuji", name, spec, labels))
    yield path
    destroy(path)


@pytest.fixture
def ansible(servers: Path, tmp_path: Path) -> Operations:
    return Operations(library_root(), "nu", servers, tmp_path / "attempts")


SECRETIVE = """\
- hosts: web
  gather_facts: false
  tasks:
    - ansible.builtin.debug: {msg: "told {{ database.password }} and {{ token }}"}
    - name: in a template, which Ansible writes here before it copies it
      ansible.builtin.copy:
        content: "{{ [database.user, database.password, database.more[0], database.more[1], database.more[2] or '',
          database.more[3], database.more[4], token, n] | join('|') }}"
        dest: /var/tmp/secret
    - ansible.builtin.command: sha256sum /var/tmp/secret
      register: sum
      changed_when: false
    - ansible.builtin.file: {path: /var/tmp/secret, state: absent}
    - ansible.builtin.set_fact:
        cacheable: true
        digest: "{{ sum.stdout.split()[0] }}"
        address: "postgres://shop:{{ database.password }}@h/"
    - ansible.builtin.file: {path: "{{ place }}/here", state: touch, mode: "0600"}
      delegate_to: localhost
      vars: {ansible_connection: local, ansible_python_interpreter: "{{ ansible_playbook_python }}"}
    - ansible.builtin.wait_for: {path: "{{ place }}/go", timeout: 30}
      delegate_to: localhost
      vars: {ansible_connection: local, ansible_python_interpreter: "{{ ansible_playbook_python }}"}
    - ansible.builtin.fail: {msg: "bad {{ database.password }}"}
      ignore_errors: true
"""


class Secretly:
    """A playbook in direct mode with two secrets; while it waits in its middle, and afterwards, nothing that can be
    seen of it holds them. path: where everything but the values themselves is written."""

    values: Mapping[str, str] = {"db": "sea{{ 1 + 1 }}urchin \"o'clock\\ 🚀%}", "token": "tok-Xy9_0123456789"}

    def __init__(self, path: Path) -> None:
        self.path = path
        self._count = 0

    def play(self, workspace: Path, params: dict[str, Any]) -> tuple[Outcome, str]:
        self._count += 1
        directory = self.path / f"attempt-{self._count}"
        seen: list[str] = []
        done = Event()
        watching = Thread(target=self._watch, args=(seen, done))
        watching.start()
        told = {"workflow_id": "direct_1", "task_id": "root", "attempt": 1, "key": None, "intent": str(uuid4())}
        where = Where(directory, workspace, Interpreters(), 120.0)
        operation = find_operation([library_root()], "ansible/playbook")
        outcome, _ = run_attempt(operation, told | {"params": params, "results": {}}, where, lambda _: None)
        done.set()
        watching.join()
        log = (directory / "log").read_text() if (directory / "log").exists() else ""
        assert (self.path / "go").exists() == (self.path / "here").exists()
        seen += [*self._hits(self.path), *self._hits(workspace), *self._found(repr(outcome).encode(), "the outcome")]
        assert not seen
        return outcome, log

    def _watch(self, seen: list[str], done: Event) -> None:
        while not done.wait(0.02):
            if (self.path / "here").exists() and not (self.path / "go").exists():
                seen += self._hits(self.path)
                for process in Path("/proc").glob("[0-9]*"):
                    for what in ("cmdline", "environ"):
                        try:
                            seen += self._found((process / what).read_bytes(), str(process / what))
                        except OSError:
                            continue
                (self.path / "go").touch()

    def _hits(self, root: Path) -> list[str]:
        files = [file for file in root.rglob("*") if file.is_file() and not file.is_symlink()]
        return [hit for file in files for hit in self._found(file.read_bytes(), str(file))]

    def _found(self, data: bytes, where: str) -> list[str]:
        return [f"{part!r} in {where}" for part in (b"urchin", b"Xy9_0123") if part in data]


@pytest.fixture
def secretly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Secretly:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    for name, value in Secretly.values.items():
        FileStore(tmp_path / "config" / "provisioning" / "secrets.toml").set(SECRETS, name, value)
    (tmp_path / "written").mkdir()
    return Secretly(tmp_path / "written")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ssh") is None, reason="no OpenSSH client: Ansible connects with it")
class TestOnServers:
    def test_a_playbook_changes_servers_and_its_facts_come_back(self, ansible: Operations) -> None:
        params = {"infra": "wuji", "playbook": "greet.yaml", "variables": {"greeting": "hello 'world' {{ 1 + 1 }}"}}
        first = ansible.run("ansible/playbook", params).result
        assert first["facts"] == {
            name: {"greeting_read": f"hello 'world' 2 from {name}"} for name in ("web-1", "web-2")
        }
        assert first["stats"] == {"greeted": 2}
        assert first["changed"] and all(host["changed"] == 1 for host in first["hosts"].values())
        again = ansible.run("ansible/playbook", params).result
        assert not again["changed"] and again["facts"] == first["facts"]

    def test_some_servers_alone_and_a_check_change_nothing_else(self, ansible: Operations) -> None:
        params = {"infra": "wuji", "playbook": "greet.yaml", "servers": ["web-2"], "variables": {"greeting": "x"}}
        found = ansible.run("ansible/playbook", params | {"check": True})
        assert found.result["changed"] and list(found.result["hosts"]) == ["web-2"], found.log
        assert "Skipping plugin" not in found.log
        assert ansible.run("ansible/playbook", params).result["changed"], "the check had changed nothing"

    def test_a_failing_task_is_named_with_its_server(self, ansible: Operations, servers: Path) -> None:
        (servers / "bad.yaml").write_text(
            "- hosts: web\n  gather_facts: false\n  tasks:\n"
            "    - name: doomed\n      ansible.builtin.fail: {msg: out of luck}\n"
        )
        error = ansible.run("ansible/playbook", {"infra": "wuji", "playbook": "bad.yaml"}).error
        assert (error["code"], error["retryable"]) == ("playbook_failed", False)
        assert "web-1, doomed: out of luck" in error["message"]

    def test_a_diff_of_a_check_is_told_and_a_playbook_may_have_any_name(
        self, ansible: Operations, servers: Path
    ) -> None:
        (servers / "play böoks").mkdir(exist_ok=True)
        (servers / "play böoks" / "greet 'em.yaml").write_text(PLAYBOOK)
        text = "two\nlines, ünïcode 🚀 and 'quotes\""
        params = {"infra": "wuji", "playbook": "play böoks/greet 'em.yaml", "variables": {"greeting": text}}
        found = ansible.run("ansible/playbook", params | {"check": True, "diff": True, "servers": ["web-1"]})
        assert found.result["changed"] and "+lines, ünïcode 🚀" in found.log
        found = ansible.run("ansible/playbook", params | {"servers": ["web-1"]})
        assert found.result["facts"]["web-1"] == {"greeting_read": f"{text} from web-1"}

    def test_a_server_that_does_not_answer_is_worth_another_attempt(self, ansible: Operations, servers: Path) -> None:
        workspace, provider = load_workspace(servers), LocalProvider(servers)
        key = workspace.key("wuji", "server", "web-2")
        (found,) = [each for each in provider.list("server", infra="wuji") if each.key == key]
        provider.power(found.id, "stop")
        try:
            params = {"infra": "wuji", "playbook": "greet.yaml", "variables": {"greeting": "x"}}
            error = ansible.run("ansible/playbook", params).error
            assert (error["code"], error["retryable"]) == ("unreachable", True)
            assert "web-2, " in error["message"] and "web-1" not in error["message"]
        finally:
            provider.power(found.id, "start")

    def test_a_command_runs_on_a_server(self, ansible: Operations) -> None:
        params = {"infra": "wuji", "server": "web-1", "argv": ["sh", "-c", 'echo "$(hostname) $A"; cat'], "stdin": "in"}
        found = ansible.run("command/run", params | {"environment": {"A": "b c"}})
        assert found.result == {"exit_code": 0, "output": "web-1 b c\nin", "cut": 0}
        assert ansible.run("command/run", params | {"argv": ["sh", "-c", "exit 7"]}).error["code"] == "command_failed"

    def test_secrets_reach_a_playbook_and_nothing_that_stays(self, servers: Path, secretly: Secretly) -> None:
        place = secretly.path
        (servers / "secret.yaml").write_text(SECRETIVE)
        kept = f"log_path = {place}/ansible.log\nfact_caching = jsonfile\nfact_caching_connection = {place}/facts\n"
        (servers / "ansible.cfg").write_text(f"[defaults]\n{kept}")
        database = {"user": "shop", "password": "secret://db", "more": ["secret://db", 1e16, None, True, "{{ 1 + 1 }}"]}
        variables = {"database": database, "token": "secret://token", "place": str(place), "n": "{{ 1 + 1 }}"}
        params = {"infra": "wuji", "playbook": "secret.yaml", "servers": ["web-1"], "verbosity": 4}
        outcome, log = secretly.play(servers, params | {"variables": variables})
        (servers / "ansible.cfg").unlink()
        assert outcome.failure is None, log
        db, token = secretly.values["db"], secretly.values["token"]
        whole = f"shop|{db}|{db}|1e+16||True|2|{token}|2"
        assert outcome.result["facts"]["web-1"] == {
            "digest": sha256(whole.encode()).hexdigest(),
            "address": "postgres://shop:[secret db]@h/",
        }
        assert "EXEC ssh" in log or "SSH: EXEC" in log, "the whole of -vvvv"
        assert "told [secret db] and [secret token]" in log

    def test_a_vault_is_opened_with_a_secret(self, servers: Path, secretly: Secretly) -> None:
        password = servers.parent / "password"
        password.write_text(secretly.values["token"])
        vault: list[Any] = [
            Path(sys.executable).parent / "ansible-vault",
            "encrypt_string",
            "--vault-password-file",
            password,
        ]
        text = subprocess.run([*vault, "hidden text", "--name", "opened"], capture_output=True, text=True, check=True)
        password.unlink()
        (servers / "vault.yaml").write_text(
            "- hosts: web\n  gather_facts: false\n  vars:\n"
            + "".join(f"    {line}\n" for line in text.stdout.splitlines())
            + "  tasks:\n    - ansible.builtin.set_fact: {found: '{{ opened }}'}\n"
        )
        params = {"infra": "wuji", "playbook": "vault.yaml", "servers": ["web-1"]}
        outcome, log = secretly.play(servers, params | {"vault_password": "secret://token"})
        assert outcome.failure is None and outcome.result["facts"] == {"web-1": {"found": "hidden text"}}, log
        outcome, _ = secretly.play(servers, params | {"vault_password": "no-reference"})
        assert outcome.failure is not None and "no-reference" not in outcome.failure.message

    def test_a_server_that_is_defined_but_not_there_is_named(self, ansible: Operations, servers: Path) -> None:
        (servers / "infra/other.yaml").write_text("servers: [{name: lonely, plan: 1cpu-1gb}]\n")
        error = ansible.run("ansible/playbook", {"infra": "other", "playbook": "greet.yaml"}).error
        assert error["code"] == "unknown_server" and "lonely" in error["message"]


def test_groups_are_counted_names_clusters_roles_and_labels() -> None:
    infra = Infra(
        "wuji",
        servers=(
            Server("web-1", group="web", labels={"tier": "front-end"}),
            Server("web-2", group="web"),
            Server("db", group="db"),
        ),
        clusters=(Cluster("shop", {"front": ("web-1", "web-2"), "data-base": ("db",)}),),
    )
    ssh = {"host": "127.0.0.1", "port": "22", "user": "root", "identity_file": "/k", "known_hosts_file": "/a b"}
    found = [
        Resource("server", f"id-{name}", f"ws/wuji/server/{name}", "i", "wuji", name, "started", {"ssh": ssh})
        for name in ("web-1", "db")
    ]
    inventory = inventory_of(infra, found)["all"]
    assert {group: list(one["hosts"]) for group, one in inventory["children"].items()} == {
        "web": ["web-1"],
        "label_tier_front_end": ["web-1"],
        "shop": ["web-1", "db"],
        "shop_front": ["web-1"],
        "shop_data_base": ["db"],
    }
    host = inventory["hosts"]["db"]
    assert (host["ansible_host"], host["ansible_port"], host["ansible_user"]) == ("127.0.0.1", 22, "root")
    assert 'UserKnownHostsFile="/a b"' in host["ansible_ssh_common_args"]


def test_a_playbook_outside_of_the_workspace_is_refused(python: Any, workspace: Any) -> None:
    for bad in ("../x.yaml", "/etc/passwd", "nothing.yaml"):
        error = python.run("ansible/playbook", {"infra": "wuji", "playbook": bad}).error
        assert error["code"] == "bad_params" and "no file below" in error["message"]
