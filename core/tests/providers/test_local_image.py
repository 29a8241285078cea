"""A machine at the level `image`: packages, users and services as on a server of one's own, and the host untouched."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning_core.errors import ProviderError
from provisioning_core.provider import Resource, Wish
from provisioning_core.providers.local import LocalProvider, destroy, door, processes
from provisioning_core.providers.local.registry import Registry
from provisioning_core.providers.local.removal import remove_tree

from .machines import eventually, needs_ssh, network, says, server, ssh, ssh_options

pytestmark = [needs_ssh, pytest.mark.usefixtures("images")]

_SCRIPT = """#!/bin/sh
### BEGIN INIT INFO
# Provides: greeter
# Required-Start:
# Required-Stop:
# Default-Start: 2 3 4 5
# Default-Stop: 0 1 6
# Short-Description: greets
### END INIT INFO
case $1 in start) start-stop-daemon --start --background --chuid greeter --exec /usr/bin/sleep -- 98765 ;; esac
"""
_POSTINST = """#!/bin/sh
set -e
adduser --system --group --no-create-home --quiet greeter
install -d -o greeter -g greeter /var/lib/greeter
update-rc.d greeter defaults >/dev/null
invoke-rc.d greeter start
"""
_BUILD = f"""set -e
d=$(mktemp -d); mkdir -p $d/DEBIAN $d/etc/init.d $d/usr/share/greeter
cat > $d/DEBIAN/control <<'END'
Package: greeter
Version: 1
Architecture: all
Maintainer: somebody <somebody@example.org>
Description: greets
END
cat > $d/etc/init.d/greeter <<'END'
{_SCRIPT}END
cat > $d/DEBIAN/postinst <<'END'
{_POSTINST}END
echo hello > $d/usr/share/greeter/words
chmod 755 $d $d/DEBIAN/postinst $d/etc/init.d/greeter
dpkg-deb --build $d /tmp/greeter.deb >/dev/null
export DEBIAN_FRONTEND=noninteractive
apt-get install -y /tmp/greeter.deb >/tmp/apt.log 2>&1 || {{ cat /tmp/apt.log >&2; exit 1; }}
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    workspace = tmp_path_factory.mktemp("workspace")
    (workspace / "secret-of-the-workspace").write_text("secret")
    yield workspace
    destroy(workspace)
    assert [each.name for each in workspace.iterdir()] == ["secret-of-the-workspace"]


@pytest.fixture(scope="module")
def provider(workspace: Path) -> LocalProvider:
    return LocalProvider(workspace, isolation="image")


@pytest.fixture(scope="module")
def machine(provider: LocalProvider) -> Resource:
    provider.create(network())
    return provider.create(server(network="net")).resource


def host_files() -> dict[str, str]:
    """What an installation on the host itself would have changed."""
    names = ("/var/lib/dpkg/status", "/etc/passwd", "/etc/group", "/etc/shadow", "/etc/hosts", "/usr/bin/env")
    there = [Path(name) for name in names if Path(name).exists()]
    return {str(each): hashlib.sha256(each.read_bytes()).hexdigest() for each in there if os.access(each, os.R_OK)}


def test_packages_users_and_services_work_and_the_host_is_untouched(machine: Resource) -> None:
    before = host_files()
    code, _, error = ssh(machine, _BUILD)
    assert code == 0, error.decode()
    assert says(machine, "cat /usr/share/greeter/words; dpkg-query -W greeter").split() == ["hello", "greeter", "1"]
    assert says(machine, "stat -c %U /var/lib/greeter") == "greeter"
    assert says(machine, "ps -o user= -C sleep") == "greeter"  # outlives the session that started it
    assert says(machine, "dpkg --audit") == ""
    assert says(machine, "useradd -m somebody && su somebody -c 'cd && id -un && pwd'").split("\n") == [
        "somebody",
        "/home/somebody",
    ]
    assert host_files() == before
    assert not any(Path(each).exists() for each in ("/usr/share/greeter", "/home/somebody", "/var/lib/greeter"))


def test_low_ports_are_the_machines_own(machine: Resource) -> None:
    program = "import socket; s = socket.create_server(('', 80)); print('ok')"
    assert says(machine, f'/usr/bin/python3 -c "{program}"') == "ok"


def test_nothing_of_the_host_shines_through_but_its_programs(machine: Resource, workspace: Path) -> None:
    for path in (workspace, Path(__file__).parent):
        assert ssh(machine, f"ls {path}")[0] != 0, path
    assert (
        says(machine, "ls -A /home /mnt /srv /opt /usr/local/bin /usr/src /boot | grep -v : | grep -v somebody; true")
        == ""
    )
    assert set(says(machine, "ls -A ~").split()) <= {".bashrc", ".profile", ".ssh"}
    assert says(machine, "awk -F: '$2 !~ /^[*!]/' /etc/shadow") == ""
    assert says(machine, "find / -xdev -name 'secret-of-*' 2>/dev/null; ls /etc/ssh/ssh_host_* 2>/dev/null; true") == ""
    assert socket.gethostname() not in says(machine, "cat /etc/hosts /etc/hostname")


@pytest.mark.skipif(os.geteuid() != 0, reason="where root does not run us, the machine's root is ourselves")
def test_its_root_is_nobody_on_the_host(machine: Resource, provider: LocalProvider) -> None:
    record = Registry(provider.workspace).get("server", machine.id)
    assert record is not None and record.process is not None
    status = Path(f"/proc/{record.process.pid}/status").read_text()
    uids = next(line.split()[1:] for line in status.splitlines() if line.startswith("Uid:"))
    assert uids == [str(record.first)] * 4
    assert int(uids[0]) >= 0x20000000
    for command in ("umount /proc", "umount /usr", "mknod /tmp/disk b 8 0", "echo x > /proc/sys/kernel/core_pattern",
                    "chmod 600 /dev/null", "cat /proc/1/environ"):  # fmt: skip
        assert ssh(machine, command)[0] != 0, command


def test_what_is_enabled_is_started_again_with_the_machine(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    provider = LocalProvider(workspace, isolation="image")
    wish = server("returning")
    first = provider.create(wish).resource
    assert ssh(first, _BUILD)[0] == 0
    says(first, "printf '#!/bin/sh\\necho again >> ~/boots\\n' > /etc/provisioning/boot.d/mine")
    says(first, "chmod 755 /etc/provisioning/boot.d/mine")
    room = door.room_of(Registry(workspace))
    assert room is not None
    os.kill(room.pid, signal.SIGKILL)
    eventually(lambda: door.room_of(Registry(workspace)) is None)
    again = provider.create(wish)
    assert (again.created, again.restarted) == (False, True)
    eventually(lambda: ssh(first, "cat ~/boots; ps -o user= -C sleep")[1] == b"again\ngreeter\n")
    destroy(workspace)


def test_a_port_of_the_machine_can_lead_out_through_the_connection(machine: Resource) -> None:
    """As apt needs it: what listens in the machine is answered from where the SSH client runs."""
    with socket.create_server(("127.0.0.1", 0)) as outside:
        port = outside.getsockname()[1]

        def answer() -> None:
            for _ in range(50):
                connection, _ = outside.accept()
                with connection:
                    connection.sendall(connection.recv(100).upper())

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        script = "for n in $(seq 50); do exec 3<>/dev/tcp/127.0.0.1/3128; echo hello $n >&3; cat <&3; done"
        flags = ("-R", f"127.0.0.1:3128:127.0.0.1:{port}", "-o", "ExitOnForwardFailure=yes")
        code, out, error = ssh(machine, f"bash -c '{script}'", flags=flags)
        assert (code, error) == (0, b"")
        assert out.decode().split("\n")[:-1] == [f"HELLO {number}" for number in range(1, 51)]
        thread.join(10)


def test_machines_of_both_levels_meet_in_one_network(
    provider: LocalProvider, workspace: Path, machine: Resource
) -> None:
    other = LocalProvider(workspace, isolation="namespace").create(server("beside", network="net")).resource
    argv = ["ssh", *ssh_options(machine), f"root@{machine.attributes['ssh']['host']}"]
    listen = "import socket; s=socket.create_server(('', 83)); print('up', flush=True); s.accept()[0].sendall(b'met')"
    with subprocess.Popen([*argv, f'/usr/bin/python3 -c "{listen}"'], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        assert says(other, "bash -c 'exec 3<>/dev/tcp/web-1/83; cat <&3'") == "met"
    provider.delete("server", other.id)


def test_deleting_leaves_nothing(provider: LocalProvider, workspace: Path) -> None:
    made = provider.create(server("gone")).resource
    says(made, "useradd -m x; su x -c 'mkdir -p ~/a/b; touch ~/a/b/c; chmod 000 ~/a/b'; chown x /srv")
    (record,) = (each for each in Registry(workspace).all("server") if each.id == made.id)
    assert provider.delete("server", made.id)
    assert not Registry(workspace).home("server", made.id).exists()
    assert list((workspace / ".provisioning/local/trash").iterdir()) == []
    assert made.id not in Path("/proc/self/mountinfo").read_text()
    assert not processes.alive(record.process)


@pytest.mark.skipif(os.geteuid() != 0, reason="the host's own files are root's, and root does not run this")
def test_a_server_whose_spec_has_an_image_gets_one(workspace: Path) -> None:
    provider = LocalProvider(workspace)
    made = provider.create(server("imaged", image="host")).resource
    assert (made.attributes["isolation"], made.attributes["image"]) == ("image", "host")
    with pytest.raises(ProviderError, match=r"image: 'hosd' is not accepted.* Did you mean 'host'\?"):
        provider.create(server("other", image="hosd"))
    assert [each.name for each in provider.list("server") if each.name == "other"] == []
    provider.delete("server", made.id)


def test_a_wish_may_be_made_with_any_key(provider: LocalProvider) -> None:
    made = provider.create(Wish("server", "a key, with: what overlays dislike", "i-1", "wuji", "odd")).resource
    assert made.attributes["isolation"] == "image"
    provider.delete("server", made.id)


@pytest.mark.slow
def test_a_delete_that_was_killed_is_finished_by_whatever_comes_next(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    provider = LocalProvider(workspace, isolation="image")
    keeper = provider.create(server("keeper")).resource
    program = (
        "import sys; from pathlib import Path; from provisioning_core.providers.local import LocalProvider; "
        "print('begun', flush=True); LocalProvider(Path(sys.argv[1])).delete('server', sys.argv[2])"
    )
    for moment in range(12):
        made = provider.create(server(f"s{moment}")).resource
        says(made, "useradd -m x; su x -c 'mkdir -p ~/a/b; touch ~/a/b/c'; cd /srv; touch $(seq 500)")
        argv = [sys.executable, "-c", program, str(workspace), made.id]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(moment * 0.004)
            process.kill()
        found = provider.get("server", made.id)
        if found is not None:
            assert provider.delete("server", made.id)
        else:
            provider.create(server("keeper"))  # any change sweeps
        assert [each.id for each in provider.list("server")] == [keeper.id]
        local = workspace / ".provisioning/local"
        assert [each.name for each in (local / "servers").iterdir()] == [keeper.id]
        assert list((local / "trash").iterdir()) == []
        assert made.id not in Path("/proc/self/mountinfo").read_text()
    destroy(workspace)
    assert list(workspace.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("busybox") is None, reason="this machine has no busybox to make a root directory of")
def test_an_image_can_be_a_tar_archive_and_no_link_in_it_leads_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    workspace, outside, root = (tmp_path / name for name in ("workspace", "outside", "root"))
    for each in (workspace, outside, root / "bin", root / "etc", root / "root"):
        each.mkdir(parents=True)
    shutil.copy(str(shutil.which("busybox")), root / "bin/sh")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    for name in ("mine", "hostile"):
        with tarfile.open(workspace / f"{name}.tar", "w") as archive:
            archive.add(root, arcname=".")
            if name == "hostile":
                link = tarfile.TarInfo("escape")
                link.type, link.linkname = tarfile.SYMTYPE, str(outside)
                archive.addfile(link)
                archive.addfile(tarfile.TarInfo("escape/planted"))
    provider = LocalProvider(workspace, {"images": {"mine": "mine.tar", "hostile": "hostile.tar"}})
    try:
        made = provider.create(server(image="mine")).resource
        assert made.attributes["image_source"] == "unpacked from mine.tar"
        assert says(made, "echo $HOME; echo /*").split()[0] == "/root"
        with pytest.raises(ProviderError) as caught:
            provider.create(server("other", image="hostile"))
        assert caught.value.code == "image_unavailable"
    finally:
        destroy(workspace)
    assert list(outside.iterdir()) == []
    left = sorted(each.name.split("-")[0] for each in (tmp_path / "cache/provisioning/images").iterdir())
    assert left == ["lock", "mine"]
    remove_tree(tmp_path / "cache")  # where root does not run us, what is in it belongs to others of ours
