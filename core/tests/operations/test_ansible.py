"""ansible/playbook: real ansible-core over SSH on local servers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from provisioning_core.infra import Cluster, Infra, Server
from provisioning_core.library import library_root
from provisioning_core.provider import Resource, Wish
from provisioning_core.providers.local import LocalProvider
from provisioning_core.providers.local.provider import destroy
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
        assert ansible.run("ansible/playbook", params).result["changed"], "the check had changed nothing"

    def test_a_failing_task_is_named_with_its_server(self, ansible: Operations, servers: Path) -> None:
        (servers / "bad.yaml").write_text(
            "- hosts: web\n  gather_facts: false\n  tasks:\n"
            "    - name: doomed\n      ansible.builtin.fail: {msg: out of luck}\n"
        )
        error = ansible.run("ansible/playbook", {"infra": "wuji", "playbook": "bad.yaml"}).error
        assert (error["code"], error["retryable"]) == ("playbook_failed", False)
        assert "web-1, doomed: out of luck" in error["message"]

    def test_a_command_runs_on_a_server(self, ansible: Operations) -> None:
        params = {"infra": "wuji", "server": "web-1", "argv": ["sh", "-c", 'echo "$(hostname) $A"; cat'], "stdin": "in"}
        found = ansible.run("command/run", params | {"environment": {"A": "b c"}})
        assert found.result == {"exit_code": 0, "output": "web-1 b c\nin", "cut": 0}
        assert ansible.run("command/run", params | {"argv": ["sh", "-c", "exit 7"]}).error["code"] == "command_failed"

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
