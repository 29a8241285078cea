"""The built-in taskservs, really installed on local servers of level `image`, and what they promise beyond that.

Where this machine cannot have such a server, or reaches no package sources, each is skipped by name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioning_core.errors import ConflictError, ProviderError, UsageError
from provisioning_core.installing import Told, install_one
from provisioning_core.taskservs.folders import builtin_root, find_taskserv
from provisioning_core.trial import run_trial, trial_params

from .attempts import Attempt, until
from .conftest import Box, given

jinja2 = pytest.importorskip("jinja2", reason="jinja2 comes with the extra `taskservs`")
pytestmark = pytest.mark.slow
PARAMS_OF = trial_params
SSHD = """\
from provisioning_core.taskservs.operations import packages

def install(server, params):
    packages(["openssh-server"])
    from pyinfra.operations import server as shell
    shell.shell(["mkdir -p /run/sshd; pgrep -x sshd || /usr/sbin/sshd -p 2200"])
"""


@pytest.mark.parametrize("name", ["nginx", "redis", "postgresql", "node-exporter", "podman", "hardening"])
def test_it_passes_its_trial(image_box: Box, name: str) -> None:
    """Installed, healthy; the same wish: nothing to do; all operations once more: nothing changes; removed."""
    image_box.add_builtin(name)
    run_trial(image_box, find_taskserv(image_box.workspace, None, name))


@pytest.mark.parametrize("purge", [False, True])
@pytest.mark.parametrize(
    ("name", "wish", "asked"),
    [
        ("redis", {"port": 6391, "maxmemory": "64mb"}, "redis-cli -p 6391 config get maxmemory | tail -n 1"),
        ("nginx", {"port": 8083, "index": "again\n"}, "curl -s http://127.0.0.1:8083/"),
    ],
)
def test_what_was_removed_and_is_installed_again_runs_with_its_configuration(
    image_box: Box, name: str, wish: dict[str, Any], asked: str, purge: bool
) -> None:
    """A package starts its service by itself, before our configuration is there: with none of our settings."""
    image_box.add_builtin(name)
    image_box.install(name, wish)
    before = image_box.says(asked)
    image_box.remove(name, purge=purge)
    assert image_box.install(name, wish)["outcome"] == "installed"
    assert image_box.says(asked) == before
    image_box.remove(name, purge=True)


def test_two_taskservs_at_once_wait_for_each_others_packages(image_box: Box, tmp_path: Path) -> None:
    for name in ("nginx", "node-exporter"):
        image_box.add_builtin(name)
    wishes: dict[str, dict[str, Any]] = {"nginx": {"port": 8081, "index": "both\n"}, "node-exporter": {"port": 9102}}
    path = image_box.workspace.path
    both = [Attempt(path, tmp_path / name, name, params) for name, params in wishes.items()]
    assert [each.result()["outcome"] for each in both] == ["installed", "installed"]
    for name, params in wishes.items():
        assert image_box.install(name, params)["outcome"] == "unchanged"


def test_an_install_killed_while_packages_are_being_installed_is_healthy_after_the_same_again(
    image_box: Box, tmp_path: Path
) -> None:
    image_box.add_builtin("redis")
    image_box.remove("redis", purge=True)
    killed = Attempt(image_box.workspace.path, tmp_path / "killed", "redis", {"port": 6390})
    busy = "fuser -s /var/lib/dpkg/lock 2>/dev/null || grep -q Unpacking /run/provisioning/apt.log 2>/dev/null"
    image_box.says("rm -f /run/provisioning/apt.log")
    until(lambda: killed.process.poll() is not None or image_box.run(busy).code == 0, "dpkg")
    assert killed.process.poll() is None, "it was too quick to be killed"
    killed.kill()
    assert image_box.markers()["redis"].done is False
    done = Attempt(image_box.workspace.path, tmp_path / "again", "redis", {"port": 6390}).result()
    assert done["outcome"] == "installed"
    assert image_box.says("redis-cli -p 6390 ping") == "PONG"
    assert image_box.says("dpkg --audit") == ""


def test_an_interrupted_dpkg_is_set_right_before_anything_else(image_box: Box) -> None:
    """A package whose installation broke off half way, as a kill leaves it."""
    build = (
        "set -e; rm -rf /tmp/half; mkdir -p /tmp/half/DEBIAN; cd /tmp/half; "
        "printf 'Package: half\\nVersion: 1\\nArchitecture: all\\nMaintainer: x <x@x>\\n' >DEBIAN/control; "
        "echo 'Description: x' >>DEBIAN/control; "
        "printf '#!/bin/sh\\ntest -e /tmp/may-configure\\n' >DEBIAN/postinst; chmod 755 DEBIAN/postinst; "
        "cd /tmp; dpkg-deb -b half half.deb >/dev/null; dpkg -i half.deb >/dev/null 2>&1 || true; "
        "dpkg --audit | head -n 1"
    )
    assert image_box.says(build) != ""
    image_box.says("touch /tmp/may-configure")
    manifest = 'version: "1"\nsupports: [root, apt]\n'
    text = "from provisioning_core.taskservs.operations import packages\n\ndef install(server, params):\n"
    image_box.add("nothing-new", manifest, install__py=text + "    packages(['bash'], name='have a shell')\n")
    assert image_box.install("nothing-new")["operations"] == ["have a shell"]
    assert image_box.says("dpkg --audit; dpkg-query -W -f '${db:Status-Abbrev}' half").strip() == "ii"


def test_a_service_is_restarted_for_what_was_changed_before_a_kill(image_box: Box) -> None:
    """The file is as it should be, but the server was never told of it: an event would be lost, the digest is not."""
    image_box.add_builtin("nginx")
    image_box.install("nginx", {"port": 8083, "index": "first\n"})
    image_box.says("echo 'server { listen 8084; return 200 second; }' >/etc/nginx/conf.d/by-hand.conf")
    image_box.forget("nginx")
    again = image_box.install("nginx", {"port": 8083, "index": "first\n"})
    assert again["operations"] == ["have nginx run with this configuration"]
    assert image_box.says("curl -s http://127.0.0.1:8084/") == "second"
    image_box.says("rm /etc/nginx/conf.d/by-hand.conf")


def test_postgresql_lets_its_users_in_with_their_passwords_also_with_another_one_later(image_box: Box) -> None:
    image_box.add_builtin("postgresql")
    params = PARAMS_OF(find_taskserv(image_box.workspace, None, "postgresql"))
    secret = {"secret://db/app": "first 'password' \\ of it"}
    wish = given("postgresql", params)

    def install() -> dict[str, Any]:
        return install_one(image_box.workspace, wish, told=Told(image_box.tell, resolve=secret.__getitem__))

    def login() -> str:
        password = secret["secret://db/app"].replace("'", "'\\''")
        ended = image_box.run(
            f"PGPASSWORD='{password}' psql -h 127.0.0.1 -p 5433 -U app shop -Atc 'select current_user'"
        )
        return ended.out.strip() or ended.error

    install()
    assert login() == "app"
    secret["secret://db/app"] = "another password"
    assert "password authentication failed" in login()
    assert install()["operations"] == ["have the user app"]
    assert login() == "app"


def test_redis_asks_for_its_password(image_box: Box) -> None:
    image_box.add_builtin("redis")
    secret = 'quote " and \\ backslash'
    wish = given("redis", {"port": 6391, "password": "secret://redis"})
    install_one(image_box.workspace, wish, told=Told(image_box.tell, resolve=lambda _: secret))
    assert "NOAUTH" in image_box.run("redis-cli -p 6391 ping").out
    quoted = secret.replace("'", "'\\''")
    assert image_box.says(f"REDISCLI_AUTH='{quoted}' redis-cli -p 6391 ping") == "PONG"


def test_hardening_configures_users_and_a_real_ssh_server_and_never_locks_us_out(image_box: Box) -> None:
    image_box.add_builtin("hardening")
    image_box.add("sshd", 'version: "1"\nsupports: [root, apt]\n', install__py=SSHD)
    image_box.install("sshd")
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE1hZGVVcEZvckFUZXN0QW5kT2ZOb1VzZUF0QWxs ann"
    users = [{"name": "ann", "keys": [key], "sudo": True}, {"name": "root", "keys": [key]}]
    done = image_box.install("hardening", {"users": users, "auth_tries": 4})
    assert done["facts"] == {"sshd": "configured", "sysctl": "written, not applied"}
    assert image_box.says("sshd -T | grep -E '^(maxauthtries|passwordauthentication)'").splitlines() == [
        "maxauthtries 4",
        "passwordauthentication no",
    ]
    assert image_box.says("cat ~ann/.ssh/authorized_keys; stat -c '%a %U' ~ann/.ssh") == f"{key}\n700 ann"
    assert image_box.says("wc -l </root/.ssh/authorized_keys") == "2", "ours stays, though it was not named"
    with pytest.raises(ConflictError) as refused:
        image_box.install("hardening", {"root_login": "no"})
    assert refused.value.code == "lock_out"
    before = image_box.says("cat /etc/ssh/sshd_config.d/60-provisioning.conf")
    image_box.says("echo 'NoSuchSetting yes' >>/etc/ssh/sshd_config")
    with pytest.raises(ProviderError, match=r"configure the SSH server failed.*NoSuchSetting"):
        image_box.install("hardening", {"users": users, "auth_tries": 6})
    assert image_box.says("cat /etc/ssh/sshd_config.d/60-provisioning.conf") == before
    image_box.says("sed -i '/NoSuchSetting/d' /etc/ssh/sshd_config")
    image_box.install("hardening", {"users": [{"name": "ann", "keys": [key]}]})
    assert image_box.says("ls /etc/sudoers.d/60-* 2>/dev/null; true") == "", "she may not any more"
    image_box.remove("hardening", {"users": [{"name": "ann", "keys": [key]}]})
    assert image_box.says("ls /etc/ssh/sshd_config.d/60-* 2>/dev/null; id -un ann") == "ann"


def test_k3s_is_refused_on_local_servers(image_box: Box) -> None:
    image_box.add_builtin("k3s")
    with pytest.raises(ConflictError, match=r"k3s cannot be on trial-1: it needs systemd .*; kernel"):
        image_box.install("k3s", PARAMS_OF(find_taskserv(image_box.workspace, None, "k3s")))
    assert "k3s" not in image_box.markers()


K3S: dict[str, Any] = {
    "checksums": {"amd64": "0" * 64},
    "token": "a token 'with' \"quotes\"",
    "node_ip": None,
    "first": True,
}
K3S |= {"role": "server", "join": None, "tls_names": [], "disable": [], "download": "https://example.com"}


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, {"cluster-init": True, "tls-san": [], "disable": []}),
        (
            {"first": False, "join": "https://10.0.0.2:6443", "disable": ["traefik"]},
            {"server": "https://10.0.0.2:6443", "tls-san": [], "disable": ["traefik"]},
        ),
        ({"role": "agent", "join": "https://10.0.0.2:6443"}, {"server": "https://10.0.0.2:6443"}),
    ],
)
def test_k3s_templates_give_a_good_configuration_in_each_role(
    params: dict[str, Any], said: dict[str, Any], namespace_box: Box
) -> None:
    loader = jinja2.FileSystemLoader(builtin_root() / "k3s" / "templates")
    environment = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined, trim_blocks=True)
    values = K3S | params
    config = yaml.safe_load(environment.get_template("config.yaml.j2").render(**values))
    assert config.pop("token") == K3S["token"]
    assert {name: value for name, value in config.items() if name != "write-kubeconfig-mode"} == said
    unit = environment.get_template("k3s.service.j2").render(**values)
    assert f"ExecStart=/usr/local/bin/k3s {values['role']}\n" in unit
    health = environment.get_template("health.sh.j2").render(**values)
    assert namespace_box.run(f"sh -n <<'END'\n{health}\nEND").code == 0


def test_k3s_puts_its_program_in_place_only_with_the_right_checksum(namespace_box: Box) -> None:
    """The operation itself, with a `curl` that gives a file of this test instead of GitHub's."""
    box = namespace_box
    box.says(
        'printf \'#!/bin/sh\\nwhile [ "$1" != -o ]; do shift; done; echo k3s >"$2"\\n\' '
        ">/usr/local/bin/curl; chmod 755 /usr/local/bin/curl"
    )
    right = box.says("echo k3s | sha256sum | cut -d' ' -f1")
    source = (builtin_root() / "k3s" / "install.py").read_text()
    source = source.replace("def install(", "def whole_install(")
    source += (
        "\n\ndef install(server, params):\n    program('https://example.com/k3s', params['checksum'], name='k3s')\n"
    )
    manifest = 'version: "1"\nsupports: [root]\nparameters: {checksum: {type: text}}\n'
    box.add("k3s-program", manifest, install__py=source)
    with pytest.raises(ProviderError, match="its SHA-256 is another one"):
        box.install("k3s-program", {"checksum": "0" * 64})
    assert box.run("test -e /usr/local/bin/k3s").code == 1
    assert box.install("k3s-program", {"checksum": right})["operations"] == ["k3s"]
    assert box.says("stat -c %a /usr/local/bin/k3s") == "755"


@pytest.mark.parametrize(
    ("params", "part"),
    [
        ({"role": "agent"}, "needs `join`"),
        ({"first": False}, "needs `join`"),
        ({"role": "agent", "join": "https://a", "disable": ["traefik"]}, "are a server's"),
    ],
)
def test_k3s_refuses_roles_that_cannot_be(params: dict[str, Any], part: str) -> None:
    from provisioning_core.taskservs.deploying import load

    with pytest.raises(UsageError, match=part):
        load(builtin_root() / "k3s").check(K3S | params)
