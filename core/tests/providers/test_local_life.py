"""How machines and their room begin, die, come back and end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

import provisioning_core
from provisioning_core.errors import ProviderError
from provisioning_core.provider import Resource, Wish
from provisioning_core.providers.local import LocalProvider, destroy, door, processes
from provisioning_core.providers.local.processes import Identity
from provisioning_core.providers.local.registry import Registry

from .machines import eventually, needs_ssh, network, says, server, ssh

CREATE = [
    sys.executable,
    "-m",
    "provisioning_core.testing.create_once",
    "provisioning_core.providers.local:LocalProvider",
]


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    yield workspace
    destroy(workspace)


@pytest.fixture
def provider(workspace: Path) -> LocalProvider:
    return LocalProvider(workspace)


def test_the_environment_says_the_level_before_the_settings_do(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for every setting; seen by what is refused, for that needs no machine."""
    monkeypatch.setenv("PROVISIONING_LOCAL_ISOLATION", "jail")
    with pytest.raises(ProviderError, match="jail"):
        LocalProvider(workspace, {"isolation": "namespace"})


def room_of(workspace: Path) -> Identity:
    room = door.room_of(Registry(workspace))
    assert room is not None
    return room


def machine_of(workspace: Path, resource: Resource) -> Identity:
    record = Registry(workspace).get("server", resource.id)
    assert record is not None
    assert record.process is not None
    return record.process


def state(provider: LocalProvider, resource: Resource) -> str | None:
    found = provider.get("server", resource.id)
    return found.state if found else None


def test_the_room_ends_with_its_last_server_and_leaves_no_process(provider: LocalProvider, workspace: Path) -> None:
    provider.create(network())
    made = [provider.create(server(name, network="net")).resource for name in ("a", "b")]
    room, machine = room_of(workspace), machine_of(workspace, made[0])
    assert provider.delete("server", made[0].id)
    assert not processes.alive(machine)
    assert processes.alive(room)
    assert provider.delete("server", made[1].id)
    assert not processes.alive(room)
    assert list((workspace / ".provisioning/local/servers").iterdir()) == []
    assert list((workspace / ".provisioning/local/trash").iterdir()) == []


@needs_ssh
@pytest.mark.usefixtures("namespaces")
def test_after_kill_9_of_the_room_the_same_machine_comes_back(provider: LocalProvider, workspace: Path) -> None:
    wish = server()
    first = provider.create(wish).resource
    says(first, "echo kept > /var/lib/kept; (setsid sleep 1000 >/dev/null 2>&1 </dev/null &)")
    machine = machine_of(workspace, first)
    os.kill(room_of(workspace).pid, signal.SIGKILL)
    eventually(lambda: not processes.alive(machine))
    assert state(provider, first) == "stopped"
    again = provider.create(wish)
    assert (again.created, again.restarted, again.resource.id) == (False, True, first.id)
    assert again.resource.state == "started"
    assert says(again.resource, "cat /var/lib/kept") == "kept"
    assert provider.create(wish).restarted is False


def test_a_machine_that_died_is_said_to_be_stopped_and_is_started_again(
    provider: LocalProvider, workspace: Path
) -> None:
    other, wish = server("other"), server()
    provider.create(other)
    first = provider.create(wish).resource
    os.kill(machine_of(workspace, first).pid, signal.SIGKILL)
    eventually(lambda: state(provider, first) == "stopped")
    assert provider.create(wish).resource.id == first.id
    assert state(provider, first) == "started"


def test_servers_can_be_deleted_where_no_room_is_left(provider: LocalProvider, workspace: Path) -> None:
    made = provider.create(server()).resource
    os.kill(room_of(workspace).pid, signal.SIGKILL)
    assert provider.delete("server", made.id) is True
    assert provider.list("server") == []


def test_an_attempt_that_is_cleared_away_takes_no_machine_with_it(workspace: Path, tmp_path: Path) -> None:
    """Everything below the attempt is killed, except what it handed over and what is below that."""
    leave = tmp_path / "leave"
    attempt = subprocess.Popen(
        [*CREATE, str(workspace)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PROVISIONING_LEAVE": str(leave)},
    )
    out, _ = attempt.communicate(json.dumps(asdict(server())).encode())
    assert out.startswith(b"announced ")
    room = room_of(workspace)
    assert leave.read_text() == f"{room.pid} {room.started}\n"
    below = {each.pid for each in processes.descendants(room.pid)}
    provider = LocalProvider(workspace)
    assert {machine_of(workspace, each).pid for each in provider.list("server")} <= below
    provider.create(server("second"))
    assert leave.read_text().count("\n") == 1  # one room, handed over once


def test_a_room_whose_starter_has_gone_never_listens(workspace: Path) -> None:
    gone = subprocess.Popen(["true"])
    identity = f"{gone.pid} 1"
    gone.wait()
    argv = [sys.executable, "-m", "provisioning_core.providers.local", "room", str(workspace), identity]
    done = subprocess.run(argv, capture_output=True, timeout=60, check=False)
    assert b"has gone" in done.stdout
    assert not (workspace / ".provisioning/local/room.socket").exists()


@pytest.mark.slow
def test_an_attempt_killed_while_it_starts_a_room_stops_nobody(workspace: Path) -> None:
    for tenth in range(8):
        attempt = subprocess.Popen([*CREATE, str(workspace)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        assert attempt.stdin is not None
        attempt.stdin.write(json.dumps(asdict(server())).encode())
        attempt.stdin.close()
        try:
            attempt.wait(tenth * 0.06)
        except subprocess.TimeoutExpired:
            attempt.kill()
            attempt.wait()
        provider = LocalProvider(workspace)
        made = provider.create(server()).resource
        assert [each.id for each in provider.list("server")] == [made.id]
        destroy(workspace)


def test_a_workspace_may_have_a_long_path(tmp_path: Path) -> None:
    workspace = tmp_path / ("long " * 20) / ("path" * 30)
    workspace.mkdir(parents=True)
    try:
        assert LocalProvider(workspace).create(server()).resource.state == "started"
    finally:
        destroy(workspace)


def test_destroy_leaves_nothing_and_may_be_repeated(provider: LocalProvider, workspace: Path) -> None:
    provider.create(network())
    made = provider.create(server(network="net")).resource
    room, machine = room_of(workspace), machine_of(workspace, made)
    argv = [sys.executable, "-m", "provisioning_core.providers.local", "destroy", str(workspace)]
    for _ in range(2):
        assert subprocess.run(argv, timeout=60, check=False).returncode == 0
        assert list(workspace.iterdir()) == []
        assert not processes.alive(room)
        assert not processes.alive(machine)
    assert str(workspace) not in Path("/proc/self/mountinfo").read_text()


@needs_ssh
@pytest.mark.usefixtures("namespaces")
def test_names_of_a_network_follow_its_machines(provider: LocalProvider) -> None:
    provider.create(network())
    made = [provider.create(server(name, network="net")).resource for name in ("a", "b")]
    says(made[0], "echo 10.9.8.7 mine >> /etc/hosts")
    provider.delete("server", made[1].id)
    eventually(lambda: "10.88.0.3" not in says(made[0], "cat /etc/hosts"))
    assert says(made[0], "getent hosts mine a").split("\n") == ["10.9.8.7        mine", "127.0.1.1       a"]


@needs_ssh
@pytest.mark.usefixtures("namespaces")
def test_a_machine_made_anew_is_where_its_neighbours_remember_it(provider: LocalProvider) -> None:
    def seen_by(machine: Resource) -> str:
        """The hardware address that it uses for 10.88.0.3: the one that it remembers, else the one that it asks for."""
        says(machine, "bash -c 'exec 3<>/dev/tcp/10.88.0.3/9' 2>/dev/null; true")
        rows = says(machine, "cat /proc/net/arp").splitlines()
        return next(row.split()[3] for row in rows if row.startswith("10.88.0.3 "))

    provider.create(network())
    web, db = (provider.create(server(name, network="net")).resource for name in ("web-1", "db-1"))
    assert db.attributes["address"] == "10.88.0.3"
    before = seen_by(web)
    assert provider.delete("server", db.id)
    again = provider.create(server("db-1", network="net")).resource
    assert again.attributes["address"] == "10.88.0.3"
    newcomer = provider.create(server("web-2", network="net")).resource
    assert seen_by(newcomer) == before


def test_a_network_that_is_in_use_is_not_deleted(provider: LocalProvider) -> None:
    net = provider.create(network()).resource
    made = provider.create(server(network="net")).resource
    with pytest.raises(ProviderError, match="web-1 still in it"):
        provider.delete("network", net.id)
    provider.delete("server", made.id)
    assert provider.delete("network", net.id) is True


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        (network(cidr="10.0.0.0/33"), "bad_cidr"),
        (network(cidr="10.0.0.1/24"), "bad_cidr"),
        (network(cidr="10.0.0.0/8"), "bad_cidr"),
        (server(network="nowhere"), "network_missing"),
        (server("-rf"), "invalid_name"),
    ],
)
def test_an_impossible_wish_is_refused_and_leaves_nothing(provider: LocalProvider, wish: Wish, code: str) -> None:
    with pytest.raises(ProviderError) as caught:
        provider.create(wish)
    assert caught.value.code == code
    assert provider.list(wish.kind) == []


def test_an_address_can_be_wished_once(provider: LocalProvider) -> None:
    provider.create(network())
    for wanted in ("10.88.0.1", "10.99.0.9", "x"):
        with pytest.raises(ProviderError, match="no host of"):
            provider.create(server(network="net", address=wanted))
    assert provider.create(server(network="net", address="10.88.0.9")).resource.state == "started"
    with pytest.raises(ProviderError, match="it is taken"):
        provider.create(server("other", network="net", address="10.88.0.9"))


def test_an_intent_does_not_make_two_things(provider: LocalProvider) -> None:
    provider.create(Wish("network", "k1", "one-intent", "wuji", "a"))
    with pytest.raises(ProviderError) as caught:
        provider.create(Wish("network", "k2", "one-intent", "wuji", "b"))
    assert (caught.value.code, caught.value.retryable) == ("intent_reused", False)


@needs_ssh
def test_a_plain_process_says_what_it_shares_and_takes_its_sessions_with_it(
    workspace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    provider = LocalProvider(workspace, isolation="process")
    made = provider.create(server()).resource
    assert "web-1" in capfd.readouterr().err
    assert made.attributes["isolation"] == "process"
    assert made.attributes["shared_with_host"] == ["hostname", "processes", "file system", "network"]
    assert says(made, "pwd").startswith(str(workspace))
    assert ssh(made, "exit 4")[0] == 4
    left = int(says(made, "setsid sleep 1000 >/dev/null 2>&1 </dev/null & echo $!"))
    sleeper = processes.identify(left)
    assert processes.alive(sleeper)
    provider.delete("server", made.id)
    assert not processes.alive(sleeper)


@needs_ssh
def test_plain_processes_end_with_a_room_that_was_killed(workspace: Path) -> None:
    provider = LocalProvider(workspace, isolation="process")
    made = provider.create(server()).resource
    left = processes.identify(int(says(made, "setsid sleep 1000 >/dev/null 2>&1 </dev/null & echo $!")))
    os.kill(room_of(workspace).pid, signal.SIGKILL)
    eventually(lambda: state(provider, made) == "stopped" and not processes.alive(left))


@needs_ssh
def test_a_machine_can_be_an_interpreter_of_its_own_where_forking_is_unsafe(tmp_path: Path) -> None:
    from provisioning_core.providers.local import keys, launch
    from provisioning_core.providers.local.setting import Setting

    public = keys.make_pair(tmp_path / "key", "test")
    setting = Setting("mac", "somebody", str(tmp_path), (tmp_path / "key").read_text(), public, first=False)
    listener = socket.create_server(("127.0.0.1", 0))
    ours, theirs = socket.socketpair()
    with open(tmp_path / "log", "wb") as log, listener:  # noqa: PTH123
        pid = launch.spawn_beside(setting, listener, theirs, log.fileno())
        port = listener.getsockname()[1]
    theirs.close()
    assert ours.recv(100) == b"ready\n", (tmp_path / "log").read_text()
    (tmp_path / "known").write_text(f"[127.0.0.1]:{port} {public}")
    attributes = {"host": "127.0.0.1", "port": port, "user": "somebody"}
    attributes |= {"identity_file": str(tmp_path / "key"), "known_hosts_file": str(tmp_path / "known")}
    assert says(Resource("server", "", "", "", "", "", "started", {"ssh": attributes}), "pwd") == str(tmp_path)
    ours.close()  # the room is dead
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.skipif(shutil.which("unshare") is None, reason="this machine has no unshare to forbid namespaces with")
@pytest.mark.usefixtures("namespaces")
def test_where_namespaces_are_refused_it_falls_back_and_says_so(workspace: Path) -> None:
    forbid = ["unshare", "-Ur", "sh", "-c", 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"', "sh"]
    wish = json.dumps(asdict(server())).encode()
    done = subprocess.run([*forbid, *CREATE, str(workspace)], input=wish, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert b"is a plain process" in done.stderr
    (made,) = LocalProvider(workspace).list("server")
    assert (made.state, made.attributes["isolation"]) == ("started", "process")
    with pytest.raises(ProviderError, match="in namespaces: OSError"):
        LocalProvider(workspace, isolation="namespace").create(server("other"))


@pytest.mark.slow
@pytest.mark.usefixtures("namespaces")
@pytest.mark.skipif(os.geteuid() != 0, reason="we are unprivileged already: every other test shows it")
def test_an_unprivileged_user_can_have_machines() -> None:
    nobody = 65534
    python = _python_for_others()
    path = os.pathsep.join(dict.fromkeys([str(Path(provisioning_core.__file__).parents[1]), *_site_packages()]))
    with tempfile.TemporaryDirectory(prefix="provisioning-") as directory:
        workspace = Path(directory, "workspace")
        workspace.mkdir()
        for each in (Path(directory), workspace):
            os.chown(each, nobody, nobody)
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": path,
            "HOME": directory,
            "PYTHONDONTWRITEBYTECODE": "1",
        }

        def run(*argv: str, input: bytes = b"") -> subprocess.CompletedProcess[bytes]:
            return subprocess.run(
                [python, "-m", *argv], input=input, capture_output=True, timeout=60, check=False, env=environment,
                cwd=directory, user=nobody, group=nobody, extra_groups=[],
            )  # fmt: skip

        if b"No module named 'provisioning_core'" in run("provisioning_core", "--version").stderr:
            pytest.skip("other users may not read this clone")
        wish = json.dumps(asdict(server())).encode()
        try:
            done = run(*CREATE[2:], str(workspace), input=wish)
            assert b"created srv-" in done.stdout, done.stderr.decode()
            (made,) = LocalProvider(workspace).list("server")
            assert (made.state, made.attributes["isolation"]) == ("started", "namespace")
            if shutil.which("ssh"):
                assert says(made, "hostname; id -u") == "web-1\n0"
        finally:
            assert run("provisioning_core.providers.local", "destroy", str(workspace)).returncode == 0
        assert list(workspace.iterdir()) == []


def _python_for_others() -> str:
    """An interpreter of our version that other users may run; ours may lie in a home directory."""
    version = "{}.{}".format(*sys.version_info[:2])
    for each in (sys.executable, f"/usr/bin/python{version}"):
        argv = [each, "-c", "import sys, encodings"]
        try:
            if subprocess.run(argv, user=65534, group=65534, extra_groups=[], check=False, env={}).returncode == 0:
                return each
        except OSError:
            continue
    pytest.skip(f"no Python {version} that other users may run")


def _site_packages() -> list[str]:
    import asyncssh

    return [str(Path(asyncssh.__file__).parents[1])]
