"""A machine of the provider `local`, as somebody sees it who works on it by SSH."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pty
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning_core.provider import Resource
from provisioning_core.providers.local import LocalProvider, destroy

from .machines import at, listening, needs_ssh, network, says, server, ssh, ssh_options

pytestmark = [needs_ssh, pytest.mark.usefixtures("namespaces")]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    workspace = tmp_path_factory.mktemp("workspace")
    (workspace / "secret-of-the-workspace").write_text("secret")
    yield workspace
    destroy(workspace)


@pytest.fixture(scope="module")
def machines(workspace: Path) -> list[Resource]:
    provider = LocalProvider(workspace, isolation="namespace")
    provider.create(network())
    return [provider.create(server(name, network="net")).resource for name in ("web-1", "db-1")]


@pytest.fixture
def machine(machines: list[Resource]) -> Resource:
    return machines[0]


def test_it_has_its_own_hostname(machines: list[Resource]) -> None:
    here = socket.gethostname()
    assert [says(each, "hostname") for each in machines] == ["web-1", "db-1"]
    assert socket.gethostname() == here


def test_it_sees_its_own_processes_only(machine: Resource) -> None:
    pids = says(machine, "echo /proc/[0-9]*").split()
    assert "/proc/1" in pids
    assert len(pids) < 10
    assert says(machine, "id -u") == "0"


def test_it_sees_nothing_of_the_hosts_directories(machine: Resource, workspace: Path) -> None:
    code, _, _ = ssh(machine, f"ls {workspace}")
    assert code == 2
    assert says(machine, "ls -A /home /mnt /srv /tmp").split() == ["/home:", "/mnt:", "/srv:", "/tmp:"]
    visible = says(machine, "find / \\( -path /proc -o -path /usr \\) -prune -o -name 'secret-of-*' -print; true")
    assert visible == ""


def test_its_etc_is_its_own_and_the_host_is_untouched(machine: Resource) -> None:
    says(machine, "echo mine > /etc/of-the-machine; echo x > /opt/x; echo x > /usr/local/bin/x; echo x > /var/lib/x")
    assert says(machine, "cat /etc/of-the-machine") == "mine"
    assert not any(Path(each).exists() for each in ("/etc/of-the-machine", "/opt/x", "/usr/local/bin/x", "/var/lib/x"))


def test_the_hosts_programs_cannot_be_changed_even_where_root_runs_us(machine: Resource) -> None:
    for command in (
        "touch /usr/x",
        "mount -o remount,rw,bind /usr",
        "umount /usr",
        "chmod 600 /dev/null",
        "echo x > /proc/sys/kernel/core_pattern",
        "mount -o remount,rw,bind /proc/sys",
    ):
        code, _, error = ssh(machine, command)
        assert code != 0, command
        assert (
            b"ermission denied" in error or b"ead-only" in error or b"not mounted" in error or b"not permitted" in error
        )
    assert not Path("/usr/x").exists()


def test_no_descriptor_of_the_host_leads_out_of_it(machine: Resource) -> None:
    targets = says(machine, "for f in /proc/1/fd/*; do readlink $f; done").split("\n")
    assert all(each.startswith(("socket:", "pipe:", "anon_inode:", "/dev/null")) or ".log" in each for each in targets)
    assert says(machine, "readlink /proc/1/cwd") == "/root"


@pytest.mark.parametrize("target", ["db-1", "10.88.0.3"])
def test_it_reaches_the_others_of_its_network_by_name_and_address(machines: list[Resource], target: str) -> None:
    assert [each.attributes["address"] for each in machines] == ["10.88.0.2", "10.88.0.3"]
    with listening(machines[1], 80, "db"):
        assert says(machines[0], f"bash -c 'exec 3<>/dev/tcp/{target}/80; cat <&3'") == "db"


@pytest.mark.parametrize(
    ("command", "code"), [("true", 0), ("exit 7", 7), ("no-such-command", 127), ("kill -9 $$", 255)]
)
def test_exit_codes_come_through(machine: Resource, command: str, code: int) -> None:
    assert ssh(machine, command)[0] == code


def test_streams_come_through_byte_for_byte_and_apart(machine: Resource) -> None:
    data = os.urandom(5_000_000)
    code, out, error = ssh(machine, "tee /dev/stderr", input=data)
    assert code == 0
    assert [hashlib.sha256(each).digest() for each in (out, error)] == [hashlib.sha256(data).digest()] * 2


def test_environment_of_the_client_comes_through_and_none_of_the_hosts(
    machine: Resource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_WISH", "a b\tc")
    _, out, _ = ssh(machine, "env", flags=("-o", "SendEnv=LC_WISH"))
    lines = out.decode().splitlines()
    assert "LC_WISH=a b\tc" in lines
    assert "HOME=/root" in lines
    assert not any(line.startswith(("PYTHON", "PROVISIONING", "VIRTUAL_ENV")) for line in lines)


def test_a_terminal_has_a_size_can_be_resized_and_interrupted(machine: Resource) -> None:
    child, terminal = pty.fork()
    if child == 0:
        os.execvp("ssh", ["ssh", "-o", "LogLevel=INFO", *ssh_options(machine), "-tt", at(machine)])
    try:
        _until(terminal, b"web-1:~# ")
        os.write(terminal, b"tty; echo rea''dy\n")
        assert b"/dev/pts/" in _until(terminal, b"ready")
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 111, 0, 0))
        os.kill(child, signal.SIGWINCH)
        os.write(terminal, b"until stty size | grep '33 1''11'; do :; done\n")
        _until(terminal, b"33 111")
        # The program itself speaks, so it is in the foreground by then; bash alone would take the key for its own.
        os.write(terminal, b"sh -c 'echo sta\"\"rted; exec sleep 1000'\n")
        _until(terminal, b"started")
        os.write(terminal, b"\x03")
        os.write(terminal, b"exit 9\n")
        _until(terminal, b"closed")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    finally:
        os.close(terminal)  # which ends an ssh that is still there


@pytest.mark.skipif(shutil.which("scp") is None, reason="this machine has no scp")
@pytest.mark.parametrize("mode", [(), ("-O",)], ids=["sftp", "old"])
def test_a_file_goes_there_and_back(machine: Resource, tmp_path: Path, mode: tuple[str, ...]) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "there").write_bytes(data)
    for source, target in ((tmp_path / "there", f"{at(machine)}:file"), (f"{at(machine)}:file", tmp_path / "back")):
        argv = ["scp", "-q", *mode, *ssh_options(machine), source, target]
        done = subprocess.run(argv, capture_output=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "back").read_bytes() == data
    assert says(machine, "stat -c %U:%s /root/file") == f"root:{len(data)}"


def test_a_port_of_the_machine_is_reached_through_ssh(machine: Resource) -> None:
    for _ in range(5):  # who greets and hangs up at once must be heard too
        with listening(machine, 81, "in"):
            assert ssh(machine, flags=("-W", "localhost:81"))[:2] == (0, b"in")
    code, out, error = ssh(machine, flags=("-o", "LogLevel=INFO", "-W", "localhost:2222"))
    assert (code, out) == (255, b"")  # its network is its own: the server that we speak to does not listen there
    assert b"failed" in error


def test_another_key_or_another_user_is_refused(machine: Resource, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    options = ssh_options(machine)
    identity = next(each for each in options if each.startswith("IdentityFile="))
    other = [f"IdentityFile={tmp_path}/key" if each == identity else each for each in options]
    for argv in ([*other, at(machine)], [*options, at(machine).replace("root@", "nobody@")]):
        done = subprocess.run(["ssh", *argv, "true"], capture_output=True, timeout=60, check=False)
        assert done.returncode == 255
        assert b"Permission denied" in done.stderr


def test_a_key_of_its_owner_opens_it_too(machine: Resource, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    assert ssh(machine, "cat >> .ssh/authorized_keys", input=(tmp_path / "key.pub").read_bytes())[0] == 0
    options = [
        f"IdentityFile={tmp_path}/key" if each.startswith("IdentityFile=") else each for each in ssh_options(machine)
    ]
    done = subprocess.run(["ssh", *options, at(machine), "hostname"], capture_output=True, timeout=60, check=False)
    assert done.stdout == b"web-1\n"


@pytest.mark.slow
def test_our_own_client_does_it_without_openssh(machine: Resource) -> None:
    def run(*command: str, **changes: str) -> subprocess.CompletedProcess[bytes]:
        ssh = {**machine.attributes["ssh"], **changes}
        program = (
            f"import sys; from provisioning_core.providers.sshclient import run; sys.exit(run({ssh!r}, {[*command]!r}))"
        )
        return subprocess.run(
            [sys.executable, "-c", program], input=b"line\n", capture_output=True, timeout=60, check=False
        )

    done = run("hostname;", "cat;", "echo e >&2;", "exit 5")
    assert (done.returncode, done.stdout, done.stderr) == (5, b"web-1\nline\n", b"e\n")
    assert run("kill -TERM $$").returncode == 128 + signal.SIGTERM
    unknown = run("true", known_hosts_file="/dev/null")
    assert unknown.returncode == 255
    assert b"cannot connect to root@" in unknown.stderr


@pytest.mark.slow
def test_what_is_typed_while_our_own_client_connects_is_not_lost(machine: Resource) -> None:
    ssh = dict(machine.attributes["ssh"])
    program = f"import sys; from provisioning_core.providers.sshclient import run; sys.exit(run({ssh!r}, []))"
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", program])
    try:
        os.write(terminal, b"echo this is $(hostname); exit 3\n")
        assert b"this is web-1" in _until(terminal, b"logout")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    finally:
        os.close(terminal)


def _until(terminal: int, mark: bytes) -> bytes:
    seen = b""
    while mark not in seen:
        readable, _, _ = select.select([terminal], [], [], 20)
        assert readable, f"waited for {mark!r}, saw {seen!r}"
        seen += os.read(terminal, 65536)
    return seen
